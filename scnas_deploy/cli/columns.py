"""How the columns of a table are laid out where they are wider than the terminal."""

import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Final

from scnas_deploy.cli.terminal import cells_in, printable

GAP: Final = 2
"""Spaces between columns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    cells: tuple[str, ...]
    is_words: bool
    """Words begin at the left, numbers end at the right."""
    is_narrow: bool = False
    """Its head is broken at spaces, as far as its cells and the head's longest word let it shrink."""

    @property
    def head(self) -> list[str]:
        """Lines of its head."""
        if not self.is_narrow:
            return [self.name]
        least = max(map(cells_in, ("-", *self.name.split(), *self.cells)))
        return textwrap.wrap(self.name, least, break_long_words=False, break_on_hyphens=False)

    @property
    def width(self) -> int:
        """Cells of the terminal that its widest line takes."""
        return max(map(cells_in, (*self.head, *self.cells)), default=0)


@dataclass(frozen=True, slots=True)
class Layout:
    """What stands beside what."""

    blocks: tuple[tuple[Column, ...], ...]
    """Tables, one after the other; those columns that name a row are in each."""
    below: tuple[Column, ...] = ()
    """Columns whose cells stand below their rows, in the first table."""


def columns_of(heads: Sequence[str], rows: Sequence[Sequence[str]], words: Collection[str]) -> tuple[Column, ...]:
    """Columns of a table, of which the first is one of words.

    Args:
        heads: Their heads.
        rows: Cells, one row after the other.
        words: Heads of further columns of words.
    """
    return tuple(
        Column(
            name=printable(head),
            cells=tuple(printable(row[place]) for row in rows),
            is_words=not place or head in words,
        )
        for place, head in enumerate(heads)
    )


def width_of_table(columns: Sequence[Column]) -> int:
    """Cells that columns take beside each other."""
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def lay_out(columns: Sequence[Column], width: int | None) -> Layout:
    """Fit columns into a width; no cell is ever broken or cut.

    Where they are too wide, heads are broken at spaces. If that is not enough, columns of words go below their rows,
    the last one first: they are the longest and are read row by row. What is left of numbers goes into further
    tables, since numbers are compared within their column; the words at the left, which name a row, are in each.

    Args:
        columns: All of them.
        width: Cells of the terminal; None has room for everything.
    """
    if width is None or width_of_table(columns) <= width:
        return Layout((tuple(columns),))
    narrow = [replace(column, is_narrow=True) for column in columns]
    names = list(takewhile(lambda column: column.is_words, narrow))
    rest = narrow[len(names) :]
    below: list[Column] = []
    for column in [column for column in reversed(rest) if column.is_words]:
        if width_of_table([*names, *rest]) > width:
            below.insert(0, column)
            rest.remove(column)
    widest = sorted(rest, key=lambda column: column.width)[-1:]
    while len(names) > 1 and width_of_table([*names, *widest]) > width:
        below.insert(0, names.pop())
    return Layout(tuple(_relaxed(block, width) for block in _blocks(names, rest, width)), tuple(below))


def _blocks(names: Sequence[Column], rest: Sequence[Column], width: int) -> list[list[Column]]:
    """Tables of all the rest, as many columns in each as fit."""
    blocks = [[*names]]
    for column in rest:
        if len(blocks[-1]) > len(names) and width_of_table([*blocks[-1], column]) > width:
            blocks.append([*names])
        blocks[-1].append(column)
    return blocks


def _relaxed(block: Sequence[Column], width: int) -> tuple[Column, ...]:
    """The same columns, with whole heads where there is room for them."""
    whole = tuple(replace(column, is_narrow=False) for column in block)
    return whole if width_of_table(whole) <= width else tuple(block)
