"""Charts of a cross-validation: the folds' means, and the cases of each fold."""

from collections.abc import Mapping
from typing import Any, Final

from scnas_deploy.pages.charts import Chart
from scnas_deploy.reports.evaluation_charts import FIRST, SECOND, case_rows, distribution
from scnas_deploy.reports.fold_networks import FoldRun
from scnas_deploy.reports.scores import score
from scnas_deploy.training.cross_validation import CrossValidation, FoldResult, Spread

_MEAN: Final = "Mean of labels"
_NOTE: Final = "line: mean over folds; bar: one standard deviation to either side"


def fold_chart(report: CrossValidation) -> Chart | None:
    """Return the folds' mean Dice, a point a run, with mean and standard deviation over folds; None of no fold."""
    values = [value for result in report.results for value in _points(result)]
    if not values:
        return None
    spreads = [*report.dice.items(), (_MEAN, report.mean_foreground_dice)]
    told = "; ".join(f"{name}: {_told(spread)}" for name, spread in spreads)
    spec = _folds(values, [_range(name, spread) for name, spread in spreads if spread.mean is not None])
    return Chart("fold-means", "Mean Dice of each fold", spec, f"Mean Dice of each fold, by label. {told}.", _NOTE)


def _points(result: FoldResult) -> list[dict[str, Any]]:
    known = {**result.dice, _MEAN: result.mean_foreground_dice}
    fold = f"Fold {result.fold}, seed {result.seed}"
    return [
        {"label": label, "fold": fold, "value": round(value, 5)} for label, value in known.items() if value is not None
    ]


def _told(spread: Spread) -> str:
    deviation = "" if spread.standard_deviation is None else f" ± {score('dice', spread.standard_deviation)}"
    return f"{score('dice', spread.mean)}{deviation}"


def _range(label: str, spread: Spread) -> dict[str, Any]:
    assert spread.mean is not None
    around = spread.standard_deviation or 0.0
    return {"label": label, "mean": spread.mean, "low": spread.mean - around, "high": spread.mean + around}


def _folds(values: list[dict[str, Any]], ranges: list[dict[str, Any]]) -> dict[str, Any]:
    x = {"type": "quantitative", "title": "Mean Dice", "scale": {"zero": False}, "axis": {"tickCount": 10}}
    label_axis = {"labelLimit": 200, "domain": False, "ticks": False}
    y = {"field": "label", "type": "nominal", "sort": None, "title": None, "axis": label_axis}
    tooltip = [{"field": "fold", "title": "Fold"}, {"field": "label", "title": "Label"}]
    tooltip.append({"field": "value", "title": "Mean Dice"})
    ends = {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y}
    return {
        "height": 48 * len({value["label"] for value in values}),
        "layer": [
            {
                "data": {"values": ranges},
                "mark": {"type": "bar", "height": 22, "color": "#dde3e9"},
                "encoding": ends,
            },
            {
                "data": {"values": ranges},
                "mark": {"type": "tick", "size": 30, "thickness": 3, "color": SECOND},
                "encoding": {"x": {**x, "field": "mean"}, "y": y},
            },
            {
                "data": {"values": values},
                "mark": {"type": "point", "filled": True, "size": 70, "opacity": 0.75, "color": FIRST},
                "encoding": {"x": {**x, "field": "value"}, "y": y, "tooltip": tooltip},
            },
        ],
    }


def case_charts(report: CrossValidation, runs: Mapping[str, FoldRun]) -> list[Chart]:
    """Return a chart a label: every case's Dice, by fold."""
    charts = []
    for number, label in enumerate(report.dice, 1):
        rows = [
            row
            for result in report.results
            if result.run in runs and label in runs[result.run].evaluation.labels
            for row in case_rows(
                runs[result.run].evaluation, "dice", label, named=f"Fold {result.fold}, seed {result.seed}"
            )
        ]
        if rows:
            told = f"Dice of {label} in every case, by fold: {len(rows)} cases."
            charts.append(Chart(f"cases-{number}", label, distribution("dice", rows), told))
    return charts
