"""Charts of a comparison: differences with their intervals, and every case of one evaluation against the other."""

from typing import Any, Final

from scnas_deploy.pages.charts import Chart
from scnas_deploy.reports.comparison_rows import DifferenceRow, pairs
from scnas_deploy.reports.evaluation_charts import FIRST, GREY, SECOND
from scnas_deploy.reports.scores import AXES
from scnas_deploy.training.evaluation import METRICS, Evaluation, Metric

_VERDICTS: Final = ("A better", "B better", "not told apart", "too few cases")
_COLORS: Final = (SECOND, FIRST, GREY, GREY)
_SHAPES: Final = ("triangle-left", "triangle-right", "circle", "circle")


def difference_charts(rows: list[DifferenceRow]) -> list[Chart]:
    """Return a forest plot a metric: B - A of each label with its 95 % interval, and a line at zero."""
    charts = []
    for metric, title in METRICS.items():
        known = [row for row in rows if row.metric == metric and row.difference is not None]
        if known:
            side = "left" if metric == "hd95_mm" else "right"
            note = f"{side} of zero: B better"
            told = "; ".join(f"{row.label}: {row.cells[3]}, {row.verdict}" for row in known)
            name = f"difference-{metric.replace('_', '-')}"
            spec, description = _forest(metric, known), f"B - A with 95 % intervals of {title}. {told}."
            charts.append(Chart(name, title, spec, description, note))
    return charts


def _forest(metric: Metric, rows: list[DifferenceRow]) -> dict[str, Any]:
    values = [_forest_row(row) for row in rows]
    verdicts = list(dict.fromkeys(row["verdict"] for row in values))
    kinds = {"field": "verdict", "legend": {"title": None, "orient": "top"}}
    where = [_VERDICTS.index(verdict) for verdict in verdicts]
    color = {**kinds, "scale": {"domain": verdicts, "range": [_COLORS[index] for index in where]}}
    shape = {**kinds, "scale": {"domain": verdicts, "range": [_SHAPES[index] for index in where]}}
    x = {"type": "quantitative", "title": f"B - A, {AXES[metric]}", "axis": {"tickCount": 8}}
    tooltip = [{"field": name, "title": title} for name, title in (("label", "Label"), ("told", "B - A"))]
    tooltip += [{"field": "interval", "title": "95 % interval"}, {"field": "verdict", "title": "Verdict"}]
    label_axis = {"labelLimit": 200, "domain": False, "ticks": False}
    y = {"field": "label", "type": "nominal", "sort": None, "title": None, "axis": label_axis}
    ends = {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": color, "tooltip": tooltip}
    zero = {"mark": {"type": "rule", "color": "#1c2530", "aria": False}, "encoding": {"x": {**x, "datum": 0}}}
    return {
        "data": {"values": values},
        "height": 40 * len(values),
        "layer": [
            zero,
            {"mark": {"type": "rule", "strokeWidth": 2.5}, "encoding": {**ends, "y": y}},
            {
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                "encoding": {"x": {**x, "field": "value"}, "y": y, "color": color, "shape": shape, "tooltip": tooltip},
            },
        ],
    }


def _forest_row(row: DifferenceRow) -> dict[str, Any]:
    assert row.difference is not None
    low, high = row.difference.interval or (row.difference.difference,) * 2
    return {
        "label": row.label,
        "value": row.difference.difference,
        "low": low,
        "high": high,
        "told": row.cells[3],
        "interval": row.cells[4],
        "verdict": row.verdict,
    }


def scatter_charts(a: Evaluation, b: Evaluation) -> list[Chart]:
    """Return a plot a label: each case's Dice in B against that in A, with the line on which they are equal."""
    charts = []
    for number, label in enumerate(a.labels, 1):
        known = [
            (first.case_id, before, after)
            for first, second in pairs(a, b)
            if (before := first.dice[label]) is not None and (after := second.dice[label]) is not None
        ]
        if known:
            values = [{"case": case_id, "a": before, "b": after} for case_id, before, after in known]
            better = sum(after > before for _, before, after in known)
            told = f"Dice of {label}, case by case: better in B in {better} of {len(known)} cases."
            charts.append(Chart(f"cases-{number}", label, _scatter(values), told, "above the line: B better"))
    return charts


def _scatter(values: list[dict[str, Any]]) -> dict[str, Any]:
    scores = [value[side] for value in values for side in "ab"]
    low, high = min(scores), max(scores)
    margin = max(0.02, (high - low) * 0.05)
    domain = [max(0.0, low - margin), min(1.0, high + margin)]
    axes = {
        side: {
            "field": side,
            "type": "quantitative",
            "title": f"Dice of {side.upper()}",
            "scale": {"domain": domain, "nice": False},
        }
        for side in "ab"
    }
    ends = {"data": {"values": [{"a": end, "b": end} for end in domain]}}
    tooltip = [{"field": "case", "title": "Case"}]
    tooltip += [{"field": side, "type": "quantitative", "title": side.upper(), "format": ".4f"} for side in "ab"]
    encoding = {"x": axes["a"], "y": axes["b"]}
    return {
        "data": {"values": values},
        "height": 300,
        "layer": [
            {**ends, "mark": {"type": "line", "color": GREY, "strokeDash": [6, 4]}, "encoding": encoding},
            {
                "mark": {"type": "point", "filled": True, "size": 50, "opacity": 0.7, "color": FIRST},
                "encoding": {**encoding, "tooltip": tooltip},
            },
        ],
    }
