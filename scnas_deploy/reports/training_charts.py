"""Charts of figures over the epochs of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scnas_deploy.pages.charts import Chart
from scnas_deploy.reports.training_run import RunProgress

Spec = dict[str, Any]
Points = Sequence[tuple[int, float]]
"""A figure by epoch, counted from one."""

_COLORS: Final = ("#1d5a9c", "#c2410c", "#0f766e", "#7c3aed")
_DASHES: Final = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
"""Lines are told apart by their dashes as well as by their colours."""

_HEIGHT: Final = 190
_FEW: Final = 40
"""Epochs whose points are drawn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """A chart of one or several figures over the epochs."""

    name: str
    """Unique on its page."""
    title: str
    tracks: Mapping[str, Points]
    """Words -> figure; what was never recorded is left out."""
    y_title: str
    unit: str = "epoch"
    """What is counted along the time."""
    note: str = ""
    scale: float = 1.0
    """What the figures are multiplied with."""
    logarithmic: bool = False
    from_zero: bool = False
    limit: tuple[float, str] | None = None
    """A line across, and its words."""


def lines_chart(lines: Lines) -> Chart | None:
    """Draw figures over the epochs; None where none was recorded."""
    known = {words: points for words, points in lines.tracks.items() if points}
    if not known:
        return None
    values = [
        {lines.unit: epoch, "figure": words, "value": float(f"{value * lines.scale:.6g}")}
        for words, points in known.items()
        for epoch, value in points
    ]
    layers = [_curves(list(known), values, lines)]
    if lines.limit is not None:
        layers += _limit(*lines.limit)
    spec = {"height": _HEIGHT, "layer": layers}
    return Chart(lines.name, lines.title, spec, _described(known, lines), lines.note)


def drawn(*charts: Chart | None) -> tuple[Chart, ...]:
    """Those that there is something to draw of."""
    return tuple(chart for chart in charts if chart is not None)


def loss_charts(
    progress: RunProgress, title: str, tracks: Mapping[str, Points], unit: str = "epoch"
) -> tuple[Chart, ...]:
    """Losses and the weights' learning rate."""
    return drawn(
        lines_chart(Lines(name="losses", title=title, tracks=tracks, y_title="loss", unit=unit)),
        lines_chart(
            Lines(
                name="rate",
                title="Learning rate of the weights",
                tracks={"rate": progress.track("learning_rate")},
                y_title="learning rate",
                unit=unit,
                logarithmic=True,
            )
        ),
    )


def resource_charts(progress: RunProgress, unit: str = "epoch") -> tuple[Chart, ...]:
    """Memory and time of the epochs."""
    seconds = [(epoch["epoch"] + 1, took) for epoch, took in zip(progress.epochs, progress.epoch_seconds, strict=True)]
    return drawn(
        lines_chart(
            Lines(
                name="memory",
                title="Peak memory up to each " + unit,
                tracks={"memory": progress.track("peak_bytes")},
                y_title="GB",
                unit=unit,
                scale=1e-9,
                from_zero=True,
            )
        ),
        lines_chart(
            Lines(
                name="seconds",
                title=f"Time of each {unit}",
                tracks={"time": seconds},
                y_title="seconds",
                unit=unit,
                from_zero=True,
            )
        ),
    )


def _curves(series: Sequence[str], values: list[Spec], lines: Lines) -> Spec:
    scale: Spec = {"type": "log"} if lines.logarithmic else {"zero": lines.from_zero}
    legend = {"orient": "top", "title": None, "symbolType": "stroke", "symbolSize": 400} if len(series) > 1 else None
    several = {"field": "figure", "type": "nominal", "sort": list(series)}
    number, last = len(series), max(value[lines.unit] for value in values)
    x_scale = {"domain": [1, max(last, 2)], "nice": False}
    return {
        "data": {"values": values},
        "encoding": {
            "x": {
                "field": lines.unit,
                "type": "quantitative",
                "scale": x_scale,
                "axis": {"tickMinStep": 1, "format": "d"},
            },
            "y": {"field": "value", "type": "quantitative", "title": lines.y_title, "scale": scale},
            "color": {**several, "legend": legend, "scale": {"domain": list(series), "range": _COLORS[:number]}},
            "tooltip": [
                {"field": lines.unit},
                {"field": "figure"},
                {"field": "value", "title": lines.y_title, "format": ".4~g"},
            ],
        },
        "layer": [
            {
                "mark": {"type": "line", "strokeWidth": 2, "interpolate": "linear"},
                "encoding": {
                    "strokeDash": {
                        **several,
                        "legend": legend,
                        "scale": {"domain": list(series), "range": _DASHES[:number]},
                    }
                },
            },
            _points(few=last <= _FEW),
        ],
    }


def _points(*, few: bool) -> Spec:
    """What is pointed at: drawn where there are few, else only below the pointer."""
    hover = {"type": "point", "nearest": True, "on": "pointerover", "clear": "pointerout"}
    shown = {"condition": {"param": "hover", "empty": False, "value": 1}, "value": 1 if few else 0}
    return {
        "params": [{"name": "hover", "select": hover}],
        "mark": {"type": "point", "filled": True, "size": 28},
        "encoding": {"opacity": shown},
    }


def _limit(value: float, words: str) -> list[Spec]:
    """A line across whose words stand beside the drawing, where no curve hides them."""
    data = {"values": [{"value": value, "words": words}]}
    y = {"field": "value", "type": "quantitative"}
    text = {"type": "text", "align": "left", "dx": 5, "color": "#4f5b68", "fontSize": 11, "fontWeight": 600}
    right = {"y": y, "x": {"value": "width"}, "text": {"field": "words"}}
    return [
        {"data": data, "mark": {"type": "rule", "color": "#5b6775", "strokeDash": [4, 3]}, "encoding": {"y": y}},
        {"data": data, "mark": text, "encoding": right},
    ]


def _described(known: Mapping[str, Points], lines: Lines) -> str:
    """First, last and extreme values, for a reader who does not see the curves."""
    parts = []
    for words, points in known.items():
        values = [value * lines.scale for _, value in points]
        first, last = (f"{values[place]:.4g} in {lines.unit} {points[place][0]}" for place in (0, -1))
        parts.append(f"{words}: {first}, {last}, between {min(values):.4g} and {max(values):.4g}")
    limit = "" if lines.limit is None else f" The line across: {lines.limit[1]}."
    return f"{lines.title} by {lines.unit}, {lines.y_title}. {'; '.join(parts)}.{limit}"
