"""What an output is: a terminal of some width, or a file or pipe, where a line is as long as what it says."""

import io
import os
import re
import sys
import textwrap
from typing import Final, TextIO

_USUAL_WIDTH: Final = 80
_BEFORE_UNIT: Final = re.compile(r"(?<=\d) (?=(?:mm|ml|ms|s|min|h|d|MB|GB|GMAC|kWh|voxels|cases|x)\b)")
_BOUND: Final = "\0"
"""Stands for a space at which a line is not broken; no text holds it."""


def write_any_letter() -> None:
    """Have letters that an output's encoding lacks written as escapes; they would end the command otherwise."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def width_of(stream: TextIO) -> int | None:
    """Cells in a line of the terminal that a stream goes to; None where it goes elsewhere."""
    if not stream.isatty():
        return None
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL_WIDTH
    except OSError:
        return _USUAL_WIDTH


def can_redraw(stream: TextIO) -> bool:
    """Whether a stream goes to a terminal on which a line can be written anew."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def cells_in(text: str) -> int:
    """How many cells of a terminal a line takes: an East Asian letter takes two."""
    from rich.cells import cell_len

    return cell_len(text)


def printable(text: str) -> str:
    """Text without line breaks, tabs and control sequences, which would move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def fitted(text: str, width: int | None, *, hanging: int = 0) -> str:
    """Break a line at spaces where it is wider than the terminal.

    Words stay whole, whatever their length, so that a path or an identifier can be copied; and a figure stays with
    its unit.

    Args:
        text: A line.
        width: Cells of the terminal; None leaves the line as it is.
        hanging: Cells by which further lines begin farther to the right than the first.
    """
    if width is None or len(text) <= width:
        return text
    indent = " " * (len(text) - len(text.lstrip(" ")) + hanging)
    bound = _BEFORE_UNIT.sub(_BOUND, text)
    lines = textwrap.fill(bound, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return lines.replace(_BOUND, " ")
