"""Charts of a measurement, one bar or point an engine and precision."""

from collections.abc import Sequence, Set
from typing import Any, Final

from scnas_deploy.inference.bench import EngineFigures
from scnas_deploy.pages.charts import Chart
from scnas_deploy.reports.training_charts import drawn
from scnas_deploy.reports.training_words import size

_FIRST: Final = "#1d5a9c"
_LOOKS: Final = {"float32": (_FIRST, "circle"), "float16": ("#0f766e", "diamond"), "int8": ("#c2410c", "square")}
"""Colour and shape of a precision."""
_ROW_HEIGHT: Final = 34
_LONGEST_NAME: Final = 220
"""Pixels."""

Rows = Sequence[tuple[str, float | None, str]]
"""Engine, figure, and how it is written."""


def named(figures: EngineFigures) -> str:
    """An engine and its precision."""
    return f"{figures.engine}, {figures.precision}"


def speed_charts(measured: Sequence[EngineFigures]) -> tuple[Chart, ...]:
    """Patches a second, time of a study, and share of the processor's peak."""
    rates = [(named(each), each.patches_per_second, "{:.2f}") for each in measured]
    seconds = [(named(each), each.study_seconds, "{:.3f} s") for each in measured]
    shares = [
        (named(each), None if each.share_of_peak is None else 100 * each.share_of_peak, "{:.1f} %") for each in measured
    ]
    return drawn(
        _bars("patches", "Patches a second", "more is better", "patches/s", rates),
        _bars("seconds", "Time of a study", "less is better", "seconds", seconds),
        _bars("share", "Share of the processor's peak", "of a float32 matrix product", "%", shares),
    )


def energy_charts(measured: Sequence[EngineFigures]) -> tuple[Chart, ...]:
    """Energy of a study, where it could be read."""
    processors = [(named(each), each.cpu_joules, "{:.1f} J") for each in measured]
    gpus = [(named(each), each.gpu_joules, "{:.1f} J") for each in measured]
    return drawn(
        _bars("processor-energy", "Processor energy of a study", "the whole machine's", "joules", processors),
        _bars("gpu-energy", "GPU energy of a study", "all GPUs'", "joules", gpus),
    )


def accuracy_chart(measured: Sequence[EngineFigures]) -> Chart | None:
    """Speed against agreement with PyTorch; None where no engine's was proven."""
    values: list[dict[str, Any]] = [
        {
            "engine": named(each),
            "precision": each.precision,
            "rate": each.patches_per_second,
            "other": 100 * (1 - each.label_agreement),
        }
        for each in measured
        if each.label_agreement is not None
    ]
    if not values:
        return None
    spec = {
        "height": 240,
        "data": {"values": values},
        "encoding": _accuracy_axes(values),
        "layer": _points({value["precision"] for value in values}),
    }
    words = "; ".join(f"{value['engine']}: {value['rate']:.2f} patches/s, {value['other']:.3f} %" for value in values)
    return Chart(
        "accuracy",
        "Speed against accuracy",
        spec,
        f"Patches a second against voxels labelled otherwise than by PyTorch. {words}.",
        "Lower right is best. Accuracy as proven at the export, on real patches.",
    )


def _accuracy_axes(values: Sequence[dict[str, Any]]) -> dict[str, Any]:
    fastest, farthest = (max(value[field] for value in values) for field in ("rate", "other"))
    others = _scale(max(farthest, 0.01), 1.4)
    return {
        "x": {"field": "rate", "type": "quantitative", "title": "patches/s", "scale": _scale(fastest, 1.4)},
        "y": {"field": "other", "type": "quantitative", "title": "% of voxels labelled otherwise", "scale": others},
        "tooltip": [{"field": "engine"}, {"field": "rate", "format": ".2f"}, {"field": "other", "format": ".4f"}],
    }


def _scale(largest: float, room: float = 1.2) -> dict[str, Any]:
    """From zero to as many times the largest figure as the words behind it need."""
    return {"domain": [0, room * largest], "nice": False}


def _points(present: Set[str]) -> list[dict[str, Any]]:
    """Engines as points, told apart by the shape of their precision and by their name."""
    looks = {name: look for name, look in _LOOKS.items() if name in present}
    kind = {"field": "precision", "type": "nominal", "legend": {"orient": "top", "title": None}}
    colors, shapes = (
        {**kind, "scale": {"domain": list(looks), "range": [look[place] for look in looks.values()]}}
        for place in (0, 1)
    )
    text = {"type": "text", "align": "left", "angle": -25, "dx": 9, "dy": -6, "color": "#1c2530", "fontSize": 11}
    return [
        {
            "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
            "encoding": {"color": colors, "shape": shapes},
        },
        {"mark": text, "encoding": {"text": {"field": "engine"}}},
    ]


def memory_chart(measured: Sequence[EngineFigures]) -> Chart | None:
    """What the forecast says beside what was taken; None where neither is known."""
    known = [
        (named(each), kind, amount)
        for each in measured
        for kind, amount in (("predicted", each.said_bytes), ("measured", each.taken_bytes))
        if amount is not None
    ]
    if not known:
        return None
    values = [
        {"engine": engine, "kind": kind, "bytes": amount / 1e6, "words": size(amount)} for engine, kind, amount in known
    ]
    kinds = ["predicted", "measured"]
    most = max(amount for _, _, amount in known)
    x = {"field": "bytes", "type": "quantitative", "title": "MB", "axis": {"tickCount": 6}, "scale": _scale(most / 1e6)}
    legend = {"orient": "top", "title": None}
    color = {"field": "kind", "legend": legend, "scale": {"domain": kinds, "range": ["#5b6775", _FIRST]}}
    spec = {
        "height": 2 * _ROW_HEIGHT * len({value["engine"] for value in values}),
        "data": {"values": values},
        "encoding": {
            **_engine_axis([named(each) for each in measured]),
            "yOffset": {"field": "kind", "sort": kinds},
            "x": x,
        },
        "layer": [{"mark": {"type": "bar"}, "encoding": {"color": color}}, _figures()],
    }
    words = "; ".join(f"{value['engine']} {value['kind']} {value['words']}" for value in values)
    note = "A prediction has 34 MB for interpreter and allocators in it, and is to be an upper bound."
    return Chart("memory", "Memory of the study beside the model", spec, f"Memory: {words}.", note)


def _bars(name: str, title: str, note: str, unit: str, rows: Rows) -> Chart | None:
    known = [(engine, value, words.format(value)) for engine, value, words in rows if value is not None]
    if not known:
        return None
    values = [{"engine": engine, "value": value, "words": words} for engine, value, words in known]
    longest = max(value for _, value, _ in known)
    x = {"field": "value", "type": "quantitative", "title": unit, "axis": {"tickCount": 5}, "scale": _scale(longest)}
    spec = {
        "height": _ROW_HEIGHT * len(known),
        "data": {"values": values},
        "encoding": {**_engine_axis([engine for engine, _, _ in known]), "x": x},
        "layer": [{"mark": {"type": "bar", "color": _FIRST, "height": {"band": 0.62}}}, _figures()],
    }
    words = "; ".join(f"{engine} {said}" for engine, _, said in known)
    return Chart(name, title, spec, f"{title}: {words}.", note)


def _engine_axis(names: Sequence[str]) -> dict[str, Any]:
    axis = {"labelLimit": _LONGEST_NAME}
    return {"y": {"field": "engine", "type": "nominal", "sort": names, "title": None, "axis": axis}}


def _figures() -> dict[str, Any]:
    """Each bar's figure behind it."""
    text = {"type": "text", "align": "left", "dx": 5, "color": "#1c2530", "fontSize": 11}
    return {"mark": text, "encoding": {"text": {"field": "words"}}}
