"""What commands print with: progress, tables, lines and JSON.

On a terminal all of it fits the terminal's width. Elsewhere a line is as long as what it says.
"""

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from scnas_deploy.cli.bars import Report, progress
from scnas_deploy.cli.columns import GAP, Column, columns_of, lay_out, width_of_table
from scnas_deploy.cli.terminal import cells_in, fitted, printable, width_of

__all__ = ["Report", "note", "progress", "say", "say_facts", "say_json", "table"]

_ASCII_RULE: Final = "    \n    \n -- \n    \n    \n    \n    \n    \n"
"""rich's SIMPLE_HEAD, for terminals without line-drawing letters."""


def say(text: str = "") -> None:
    """Print a line of the result."""
    sys.stdout.write(fitted(text, width_of(sys.stdout)) + "\n")


def note(text: str) -> None:
    """Print a line about the work, apart from the result."""
    sys.stderr.write(fitted(text, width_of(sys.stderr)) + "\n")


def say_json(value: Any) -> None:
    """Print a result for a program."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def say_facts(facts: Mapping[str, str], *, indent: int = 0) -> None:
    """Print names and, in a column beside them, what is to be said of each."""
    longest = max(map(cells_in, facts), default=0)
    for name, value in facts.items():
        head = " " * indent + name + " " * (longest - cells_in(name) + GAP)
        line = (head + printable(value)).rstrip()
        sys.stdout.write(fitted(line, width_of(sys.stdout), hanging=cells_in(head) - indent) + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: Collection[str] = ()) -> None:
    """Print a table: laid out for the terminal, see :func:`lay_out`; elsewhere aligned by spaces, one line a row.

    Args:
        columns: Their heads.
        rows: Their cells.
        words: Columns of words, which begin at the left as the first one does; the others are numbers, which end at
            the right.
    """
    width = width_of(sys.stdout)
    layout = lay_out(columns_of(columns, rows, words), width)
    for number, block in enumerate(layout.blocks):
        below = layout.below if number == 0 else ()
        if number:
            sys.stdout.write("\n")
        heads, lines = _drawn(block, len(rows), ruled=width is not None)
        for line in heads:
            sys.stdout.write(line + "\n")
        for place, line in enumerate(lines):
            sys.stdout.write(line + "\n")
            for column in below:
                _say_below(column, place, width)


def _say_below(column: Column, place: int, width: int | None) -> None:
    if cell := column.cells[place]:
        sys.stdout.write(fitted(f"  {column.name}: {cell}", width, hanging=2) + "\n")


def _drawn(columns: Sequence[Column], num_rows: int, *, ruled: bool) -> tuple[list[str], list[str]]:
    """The lines of a table's head, and one line for each of its rows."""
    from rich.box import SIMPLE_HEAD, Box
    from rich.console import Console
    from rich.table import Table

    console = Console(
        width=max(1, width_of_table(columns)),  # wider than the terminal if it must be: nothing is cut
        color_system="auto" if ruled else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    unicode = console.encoding.startswith("utf")
    rule = (SIMPLE_HEAD if unicode else Box(_ASCII_RULE, ascii=True)) if ruled else None
    padding = (0, GAP - 1 if ruled else GAP, 0, 0)  # a ruled table has a space for the line that it does not draw
    grid = Table(box=rule, pad_edge=False, show_edge=False, padding=padding)
    for column in columns:
        grid.add_column("\n".join(column.head), justify="left" if column.is_words else "right", no_wrap=True)
    for cells in zip(*(column.cells for column in columns), strict=True):
        grid.add_row(*cells)
    with console.capture() as captured:
        console.print(grid)
    lines = [line.rstrip() for line in captured.get().rstrip("\n").split("\n")]
    num_heads = len(lines) - num_rows
    return lines[:num_heads], lines[num_heads:]
