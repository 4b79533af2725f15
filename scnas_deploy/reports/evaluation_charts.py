"""Charts of an evaluation: how scores are distributed over cases, and how volumes agree."""

from collections.abc import Collection
from statistics import median
from typing import Any, Final

from scnas_deploy.pages.charts import Chart
from scnas_deploy.reports.evaluation_agreement import Agreement
from scnas_deploy.reports.scores import AXES, known, ml, score
from scnas_deploy.training.evaluation import METRICS, Evaluation, Metric

FIRST, SECOND, GREY = "#1d5a9c", "#c2410c", "#5b6775"
_TURN: Final = 0.618034
"""Of the golden ratio: its multiples fall evenly between 0 and 1, so that neighbours in rank lie apart."""
_LANE: Final = 76
"""Pixels a label."""
LISTED, OTHER = "listed above", "other cases"


def distribution_charts(evaluation: Evaluation, listed: Collection[str]) -> list[Chart]:
    """Return a chart a metric that some case defines: every case a point, over a box plot a label.

    Args:
        evaluation: Whose scores.
        listed: Cases that the page lists as failures; they get a mark of their own.
    """
    charts = []
    for metric, title in METRICS.items():
        rows = [
            row
            for label in evaluation.labels
            for row in case_rows(evaluation, metric, label, named=label, listed=listed)
        ]
        if rows:
            spec = distribution(metric, rows)
            charts.append(Chart(f"distribution-{metric.replace('_', '-')}", title, spec, _told(evaluation, metric)))
    return charts


def case_rows(
    evaluation: Evaluation, metric: Metric, label: str, *, named: str, listed: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return the points of one label for :func:`distribution`, called ``named`` there."""
    values = evaluation.values(metric, label)
    pairs = [(value, case.case_id) for case, value in zip(evaluation.cases, values, strict=True) if value is not None]
    return [
        {
            "label": named,
            "case": case_id,
            "value": round(value, 5),
            "lane": round(rank * _TURN % 1, 3),
            "kind": LISTED if case_id in listed else OTHER,
        }
        for rank, (value, case_id) in enumerate(sorted(pairs))
    ]


def _told(evaluation: Evaluation, metric: Metric) -> str:
    parts = []
    for label in evaluation.labels:
        values = known(evaluation.values(metric, label))
        if values:
            low, middle, high = (score(metric, value) for value in (min(values), median(values), max(values)))
            parts.append(f"{label}: from {low} to {high}, median {middle}")
    return f"{AXES[metric]} of every case, by label. {'; '.join(parts)}."


def distribution(metric: Metric, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the specification of points over box plots, a label's below each other.

    Args:
        metric: What is on the axis.
        rows: Of each point label, case, value, lane (its height, 0 to 1) and kind (:data:`LISTED` or :data:`OTHER`).
    """
    x = {
        "field": "value",
        "type": "quantitative",
        "title": AXES[metric],
        "scale": {"zero": metric == "hd95_mm", "nice": True},
        "axis": {"tickCount": 10},
    }
    box = {"type": "boxplot", "extent": 1.5, "outliers": False, "size": 34, "color": "#ccd5de"}
    box |= {"median": {"color": SECOND, "thickness": 3}, "rule": {"color": "#9aa6b2"}, "ticks": False}
    kinds = [LISTED, OTHER]
    legend = {"title": None, "orient": "top"} if any(row["kind"] == LISTED for row in rows) else None
    points = {
        "x": x,
        "yOffset": {"field": "lane", "type": "quantitative", "scale": {"domain": [-0.35, 1.35]}},
        "color": {"field": "kind", "scale": {"domain": kinds, "range": [SECOND, FIRST]}, "legend": legend},
        "shape": {"field": "kind", "scale": {"domain": kinds, "range": ["diamond", "circle"]}, "legend": legend},
        "tooltip": [
            {"field": "case", "title": "Case"},
            {"field": "label", "title": "Label"},
            {"field": "value", "type": "quantitative", "title": AXES[metric], "format": ".4f"},
        ],
    }
    return {
        "data": {"values": rows},
        "height": _LANE * len({row["label"] for row in rows}),
        "encoding": {"y": {"field": "label", "type": "nominal", "sort": None, "title": None, "axis": _names()}},
        "layer": [
            {"mark": box, "encoding": {"x": x, "tooltip": None}},
            {"mark": {"type": "point", "filled": True, "size": 46, "opacity": 0.7}, "encoding": points},
        ],
    }


def _names() -> dict[str, Any]:
    return {"labelLimit": 200, "domain": False, "ticks": False}


def agreement_charts(agreements: list[Agreement]) -> list[Chart]:
    """Return Bland and Altman's plot of each label that occurs."""
    return [
        Chart(f"agreement-{number}", each.label, _bland_altman(each), _told_agreement(each))
        for number, each in enumerate(agreements, 1)
        if each.pairs
    ]


def _told_agreement(agreement: Agreement) -> str:
    assert agreement.bias_ml is not None
    bias = f"Bland-Altman plot of {agreement.label}: bias {ml(agreement.bias_ml, sign=True)} ml"
    if agreement.limits_ml is None:
        return f"{bias} on a single case."
    low, high = agreement.limits_ml
    return (
        f"{bias}, limits of agreement {ml(low, sign=True)} to {ml(high, sign=True)} ml, {len(agreement.pairs)} cases."
    )


def _bland_altman(agreement: Agreement) -> dict[str, Any]:
    rows = [
        {
            "case": pair.case_id,
            "mean": round(pair.mean_ml, 5),
            "difference": round(pair.difference_ml, 5),
            "true": pair.true_ml,
            "predicted": pair.predicted_ml,
        }
        for pair in agreement.pairs
    ]
    tooltip = [{"field": "case", "title": "Case"}]
    tooltip += [{"field": name, "title": f"{name.capitalize()} ml"} for name in ("true", "predicted", "difference")]
    points = {
        "x": {"field": "mean", "type": "quantitative", "title": "Mean of both, ml", "scale": {"zero": False}},
        "y": {"field": "difference", "type": "quantitative", "title": "Predicted - true, ml"},
        "tooltip": tooltip,
    }
    mark = {"type": "point", "filled": True, "size": 46, "opacity": 0.7, "color": FIRST}
    return {
        "data": {"values": rows},
        "height": 240,
        "layer": [
            {"data": {"values": [{"y": 0}]}, "mark": {"type": "rule", "color": "#9aa6b2"}, "encoding": _y()},
            *_lines(agreement),
            {"mark": mark, "encoding": points},
        ],
    }


def _lines(agreement: Agreement) -> list[dict[str, Any]]:
    """Bias and limits, each named at its right end."""
    assert agreement.bias_ml is not None
    lines = [(f"bias {ml(agreement.bias_ml, sign=True)}", agreement.bias_ml, [1, 0])]
    for side, limit in zip(("-", "+"), agreement.limits_ml or (), strict=False):
        lines.append((f"{side}1.96 sd {ml(limit, sign=True)}", limit, [6, 4]))
    layers: list[dict[str, Any]] = []
    for name, value, dashes in lines:
        data = {"values": [{"y": value, "name": name}]}
        rule = {"type": "rule", "color": SECOND, "strokeWidth": 1.5, "strokeDash": dashes}
        text = {"type": "text", "align": "right", "dy": -7, "color": SECOND, "fontSize": 11}
        named = {**_y(), "x": {"value": "width"}, "text": {"field": "name"}}
        layers += [{"data": data, "mark": rule, "encoding": _y()}, {"data": data, "mark": text, "encoding": named}]
    return layers


def _y() -> dict[str, Any]:
    return {"y": {"field": "y", "type": "quantitative"}}
