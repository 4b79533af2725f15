"""Several workers, replaced when they are lost."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from scnas_deploy.errors import ConfigError, DataError, MissingExtraError
from scnas_deploy.jobs.job import JobState
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.names import new_name
from scnas_deploy.jobs.patience import patiently
from scnas_deploy.jobs.records import Clock

_HOPELESS: Final = frozenset(error.exit_status for error in (ConfigError, DataError, MissingExtraError))
"""A worker that ends with one of these finds its model, its settings or a package missing; so would any other."""
_POLL_S: Final = 0.25
_IDLE_PATIENCE_S: Final = 5.0
"""Workers without a job have nothing to give back; on a cluster, some may still wait for room to start in."""


class Runner(Protocol):
    """A worker that was started somewhere else: in a process of this machine, or on another one."""

    def status(self) -> int | None:
        """None while it runs, 0 when it has ended in order; else it was lost, by an error of that exit status."""

    def ask_to_stop(self) -> None:
        """Have it give back its job and end."""

    def kill(self) -> None:
        """End it at once."""


Start = Callable[[str], Runner]
"""Starts a worker of that name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CrewSettings:
    """How many workers there are, and how often they are replaced."""

    num_workers: int = 1
    max_replacements: int = 10
    """Losses of one place, in a row and without a job finished meanwhile, after which it stays empty."""
    first_wait_s: float = 1.0
    """Seconds before the first replacement; each further wait is twice as long."""
    longest_wait_s: float = 60.0
    """Where the waits stop growing."""
    proven_after_s: float = 600.0
    """A worker that has lived so long was no failed start; losses are counted anew."""
    stop_patience_s: float = 60.0
    """Seconds that workers have for the end of a patch before they are killed."""


@dataclass(slots=True)
class _Place:
    """Where one worker stands."""

    runner: Runner | None = None
    name: str = ""
    num_losses: int = 0
    changed_at: float = float("-inf")
    """When its worker was started, or may be."""
    num_finished: int = 0
    """Jobs that were finished when its worker was started."""
    empty: bool = False
    """No worker will stand there any more."""


class Crew:
    """Keeps a number of workers at work.

    Args:
        start: Starts one.
        settings: See there.
        on_loss: Told the name of a worker that was lost, its status, and the seconds until it is replaced or None.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        start: Start,
        settings: CrewSettings,
        on_loss: Callable[[str, int, float | None], None],
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        self._start, self._settings, self._on_loss, self._clock = start, settings, on_loss, clock
        self._places = [_Place() for _ in range(settings.num_workers)]

    def tend(self, num_finished: int) -> bool:
        """Start who is to be started; whether any worker is there or will be.

        Args:
            num_finished: Jobs of the queue that are finished by now.
        """
        for place in self._places:
            if place.runner is not None:
                self._look_after(place, place.runner, num_finished)
            if place.runner is None and not place.empty and self._clock() >= place.changed_at:
                place.name = new_name()
                place.runner, place.changed_at = self._start(place.name), self._clock()
                place.num_finished = num_finished
        return not all(place.empty for place in self._places)

    def stop(self, *, patience_s: float | None = None) -> None:
        """Have all workers end: in order, or by force where that takes longer than the settings or the caller allow."""
        runners = [place.runner for place in self._places if place.runner is not None]
        for runner in runners:
            runner.ask_to_stop()
        deadline = self._clock() + (self._settings.stop_patience_s if patience_s is None else patience_s)
        while any(runner.status() is None for runner in runners) and self._clock() < deadline:
            time.sleep(_POLL_S / 5)
        self.kill()

    def kill(self) -> None:
        """End all workers at once."""
        for place in self._places:
            if place.runner is not None and place.runner.status() is None:
                place.runner.kill()
            place.runner, place.empty = None, True

    def _look_after(self, place: _Place, runner: Runner, num_finished: int) -> None:
        status = runner.status()
        if status is None:
            return
        place.runner = None
        if status == 0:
            place.empty = True
            return
        wait_s = None if status in _HOPELESS else self._wait_s(place, num_finished)
        place.empty = wait_s is None
        place.changed_at = self._clock() + (wait_s or 0.0)
        self._on_loss(place.name, status, wait_s)

    def _wait_s(self, place: _Place, num_finished: int) -> float | None:
        settings = self._settings
        lived_long = self._clock() - place.changed_at >= settings.proven_after_s
        proven = lived_long or num_finished > place.num_finished
        place.num_losses = 1 if proven else place.num_losses + 1
        if place.num_losses > settings.max_replacements:
            return None
        return float(min(settings.longest_wait_s, settings.first_wait_s * 2 ** (place.num_losses - 1)))


def work_through(
    ledger: Ledger, queue: str, crew: Crew, interrupted: threading.Event, progress: Callable[[int, int], None]
) -> None:
    """Have a crew work until all jobs of a queue are finished, no worker is left, or someone interrupts.

    Args:
        ledger: Says what is finished.
        queue: The crew's queue.
        crew: Is stopped in any case.
        interrupted: Ends the work.
        progress: Told jobs finished and in all.
    """
    try:
        while not interrupted.is_set():
            counts = patiently(lambda: ledger.counts(queue), interrupted)
            unfinished = counts[JobState.QUEUED] + counts[JobState.RUNNING]
            num_finished = sum(counts.values()) - unfinished
            progress(num_finished, sum(counts.values()))
            if not unfinished:
                crew.stop(patience_s=_IDLE_PATIENCE_S)
                return
            if not crew.tend(num_finished):
                return
            interrupted.wait(_POLL_S)
        crew.stop()
    finally:
        crew.kill()
