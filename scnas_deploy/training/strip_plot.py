"""Scores of cases as dots on one line: inline SVG, dots side by side where they would hide each other. Torch-free."""

from collections.abc import Mapping
from html import escape
from statistics import median

_WIDTH, _MARGIN, _RADIUS = 800.0, 20.0, 4.5
_LANES = 7
"""Dots that do not fit into so many rows lie on top of each other."""
_MIDDLE = _RADIUS * (_LANES + 1)
_HEIGHT = 2 * _MIDDLE + 16


def strip_plot(points: Mapping[str, float], start: float) -> str:
    """Return a plot of scores on an axis from ``start`` to 1, the median as a bar.

    Args:
        points: What a dot is called -> its score, from ``start`` to 1.
        start: Left end of the axis, a multiple of 0.1 below 1.
    """
    ranked = sorted(points.items(), key=lambda point: (point[1], point[0]))
    places = [_place(value, start) for _, value in ranked]
    dots = "".join(
        _dot(f"{name}: {value:.4f}", x, _MIDDLE + offset)
        for (name, value), x, offset in zip(ranked, places, _offsets(places), strict=True)
    )
    bar = _upright(_place(median(points.values()), start), kind="median")
    return f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img">{_axis(start)}{dots}{bar}</svg>'


def _place(value: float, start: float) -> float:
    return _MARGIN + (value - start) / (1 - start) * (_WIDTH - 2 * _MARGIN)


def _dot(title: str, x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS}"><title>{escape(title)}</title></circle>'


def _axis(start: float) -> str:
    return "".join(_tick(tenth / 10, _place(tenth / 10, start)) for tenth in range(round(start * 10), 11))


def _tick(value: float, x: float) -> str:
    return f'{_upright(x, kind="tick")}<text x="{x:.1f}" y="{_HEIGHT - 3:.1f}">{value:.1f}</text>'


def _upright(x: float, *, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="2" y2="{2 * _MIDDLE - 2:.1f}"/>'


def _offsets(places: list[float]) -> list[float]:
    """Give each dot, from left to right, the row nearest to the middle in which it touches no other."""
    last = [float("-inf")] * _LANES
    offsets = []
    for x in places:
        lane = next((lane for lane in range(_LANES) if x - last[lane] >= 2 * _RADIUS), 0)
        last[lane] = x
        steps = (lane + 1) // 2 * (-1 if lane % 2 else 1)
        offsets.append(steps * 2 * _RADIUS)
    return offsets
