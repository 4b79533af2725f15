"""What `scnas bench` has measured, as bars: patches a second, and the share of the machine's peak."""

from html import escape
from typing import Final

from scnas_deploy.inference.bench import Bench, EngineFigures

_WIDTH: Final = 960.0
_MARGIN: Final = 16.0
_LEFT: Final = (340.0, 650.0)
"""Where the bars of rate and share begin."""
_LENGTH: Final = 220.0
"""Of the longest bar."""
_TOP: Final = 104.0
_ROW: Final = 34.0
_BAR: Final = 20.0
_BOTTOM: Final = 40.0
_LONGEST_NAME: Final = 44
"""Letters; an address of a server may be longer."""

_STYLE: Final = """
text { font: 13px system-ui, "Segoe UI", Arial, sans-serif; fill: #1c2530 }
.title { font-size: 17px; font-weight: 600 } .head { font-weight: 600 } .soft { font-size: 12px; fill: #5b6775 }
.name { text-anchor: end } .paper { fill: #fff } .room { fill: #edf0f3 }
.rate { fill: #2563a8 } .share { fill: #0f766e }
"""


def draw_bench(bench: Bench) -> str:
    """Draw one row an engine and precision; one that could not be measured says so in its row.

    Returns:
        An SVG picture that needs nothing beside it.
    """
    height = _TOP + _ROW * len(bench.engines) + _BOTTOM
    fastest = max(figures.patches_per_second or 0.0 for figures in bench.engines)
    rows = "".join(_row(figures, _TOP + _ROW * place, fastest) for place, figures in enumerate(bench.engines))
    x, y, z = bench.patch_size
    note = f"Patches of {x} x {y} x {z} voxels; medians. For research use only."
    paper = f'<rect class="paper" width="{_WIDTH:g}" height="{height:g}"/>'
    body = f"{paper}\n{_heading(bench)}{rows}{_text(_MARGIN, height - 14, note, 'soft')}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {height:g}" width="{_WIDTH:g}">\n'
        f"<style>{_STYLE}</style>\n{body}</svg>\n"
    )


def _heading(bench: Bench) -> str:
    machine = f"{bench.processor}, {bench.num_threads} thread(s), {bench.peak_gmacs_per_second:.1f} GMAC/s at its peak"
    return (
        _text(_MARGIN, 30, f"Model '{bench.model}' on this machine", "title")
        + _text(_MARGIN, 52, machine, "soft")
        + _text(_LEFT[0], _TOP - 12, "patches/s", "head")
        + _text(_LEFT[1], _TOP - 12, "share of a float32 matrix product's rate", "head")
    )


def _row(figures: EngineFigures, y: float, fastest: float) -> str:
    name = _text(_LEFT[0] - 12, y + 15, _shortened(f"{figures.engine}, {figures.precision}"), "name")
    rate, share = figures.patches_per_second, figures.share_of_peak
    if rate is None:
        return name + _text(_LEFT[0], y + 15, "could not be measured", "soft")
    bars = _bar(_LEFT[0], y, rate / fastest, "rate", f"{rate:.2f}")
    if share is None:
        return name + bars + _text(_LEFT[1], y + 15, "not known", "soft")
    whole = _rectangle(_LEFT[1], y, _LENGTH, "room")
    return name + bars + whole + _bar(_LEFT[1], y, min(share, 1.0), "share", f"{share:.1%}", behind=_LENGTH)


def _shortened(name: str) -> str:
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"


def _bar(x: float, y: float, part: float, kind: str, figure: str, *, behind: float | None = None) -> str:
    """A bar of a part of the longest one, and its figure behind it, or behind another length."""
    length = part * _LENGTH
    return _rectangle(x, y, length, kind) + _text(x + (behind or length) + 8, y + 15, figure, "figure")


def _rectangle(x: float, y: float, length: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{length:.1f}" height="{_BAR:g}" rx="2"/>\n'


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>\n'
