"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from scnas_deploy.cli.terminal import can_redraw, cells_in, fitted, width_of
from scnas_deploy.pages.figures import duration

if TYPE_CHECKING:
    from rich.progress import Progress

Report = Callable[..., None]
"""Called with done, total, and optionally the latest figures in words."""

_PLAIN_INTERVAL_SECONDS = 10.0
_WORTH_A_LINE_SECONDS = 2.0
_LEAST_BAR: Final = 8
_TIME_LEFT: Final = "0:00:00 left"


@contextmanager
def progress(title: str, *, percent: bool = False) -> Iterator[Report]:
    """Show progress on standard error: a bar with the time left on a terminal, plain lines elsewhere.

    Args:
        title: What is being done.
        percent: Show which part is done, where the numbers mean nothing to a reader.
    """
    if can_redraw(sys.stderr):
        with _bar(title, percent=percent) as report:
            yield report
    else:
        yield _plain(title, percent=percent)


@contextmanager
def _bar(title: str, *, percent: bool) -> Iterator[Report]:
    with _display(percent=percent) as bar:
        task = bar.add_task(title, total=None, figures="")

        def report(done: int, total: int, figures: str = "") -> None:
            beside = " ".join([title, " " * _LEAST_BAR, "100%" if percent else f"{total}/{total}", _TIME_LEFT, ""])
            room = bar.console.width - cells_in(beside)
            bar.update(task, completed=done, total=total, figures=_shortened(figures, room))

        yield report


def _display(*, percent: bool) -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TaskProgressColumn,
        TextColumn,
    )
    from rich.table import Column

    from scnas_deploy.cli.time_left import TimeLeftColumn

    whole = Column(no_wrap=True)
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TaskProgressColumn(table_column=whole) if percent else MofNCompleteColumn(table_column=whole),
        TimeLeftColumn(table_column=whole),
        TextColumn("{task.fields[figures]}", markup=False),
    ]
    # a result that goes into a file must not be drawn above the bar instead
    return Progress(*columns, console=Console(stderr=True), redirect_stdout=sys.stdout.isatty())


def _shortened(text: str, room: int) -> str:
    if cells_in(text) <= room:
        return text
    return f"{text[: room - 3]}..." if room > 3 else ""


def _plain(title: str, *, percent: bool) -> Report:
    started = last = time.monotonic()

    def report(done: int, total: int, figures: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        ended = done == total and now - started > _WORTH_A_LINE_SECONDS
        if not ended and now - last < _PLAIN_INTERVAL_SECONDS:
            return
        last = now
        part = f"{done / max(total, 1):.0%}" if percent else f"{done} of {total}"
        left = f"{duration((now - started) / done * (total - done))} left" if 0 < done < total else ""
        told = ", ".join(filter(None, [part, duration(now - started), left, figures]))
        sys.stderr.write(fitted(f"{title}: {told}", width_of(sys.stderr)) + "\n")

    return report
