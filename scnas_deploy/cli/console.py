"""What commands print with: progress, tables and JSON."""

import json
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Report = Callable[..., None]
"""Called with done, total, and optionally the latest figures in words."""

_PLAIN_INTERVAL_SECONDS = 10.0
_WORTH_A_LINE_SECONDS = 2.0


@contextmanager
def progress(title: str) -> Iterator[Report]:
    """Show progress on standard error: a bar with rate and time left on a terminal, plain lines elsewhere."""
    if sys.stderr.isatty():
        with _bar(title) as report:
            yield report
    else:
        yield _plain(title)


@contextmanager
def _bar(title: str) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None, figures="")
        yield lambda done, total, figures="": bar.update(task, completed=done, total=total, figures=figures)


def _plain(title: str) -> Report:
    started = last = time.monotonic()

    def report(done: int, total: int, figures: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        ended = done == total and now - started > _WORTH_A_LINE_SECONDS
        if not ended and now - last < _PLAIN_INTERVAL_SECONDS:
            return
        last = now
        left = f", {(now - started) / done * (total - done):.0f} s left" if done else ""
        sys.stderr.write(f"{title}: {done} of {total}, {now - started:.0f} s{left} {figures}".rstrip() + "\n")

    return report


def say(text: str = "") -> None:
    """Print a line of the result."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Print a line about the work, apart from the result."""
    sys.stderr.write(text + "\n")


def say_json(value: Any) -> None:
    """Print a result for a program."""
    say(json.dumps(value, indent=1))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: Collection[str] = ()) -> None:
    """Print a table: boxed and coloured on a terminal, aligned columns elsewhere.

    Args:
        columns: Their heads.
        rows: Their cells.
        words: Columns of words, which begin at the left as the first one does.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    terminal = sys.stdout.isatty()
    grid = Table(box=box.SIMPLE_HEAD if terminal else None, pad_edge=False, show_edge=False)
    for column in columns:
        grid.add_column(column, justify="left" if column in (columns[0], *words) else "right", overflow="fold")
    for row in rows:
        grid.add_row(*row)
    Console(file=sys.stdout, width=None if terminal else 200, markup=False).print(grid)
