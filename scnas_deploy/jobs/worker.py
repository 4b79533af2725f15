"""A worker: claims jobs, keeps their leases while they run, and says how they ended."""

import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from scnas_deploy.errors import DataError, EngineError, LedgerError, ScnasError, StaleLeaseError
from scnas_deploy.jobs.job import Job, Lease
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.patience import patiently


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSettings:
    """How a worker lives."""

    queue: str
    """Where it takes its jobs."""
    name: str
    """Who it is, different from all other workers of the ledger."""
    lease_s: float = 60.0
    """Seconds after which others take over the job of a worker that has vanished; more than any call into a library
    lasts that keeps the lease from being renewed."""
    first_wait_s: float = 2.0
    """Seconds before a failed job's second attempt; each further wait is twice as long."""
    longest_wait_s: float = 60.0
    """Where the waits stop growing."""
    poll_s: float = 1.0
    """Seconds between two looks into a queue where nothing is to be run now."""


_LOOK_S: Final = 1.0
"""Seconds between two looks at the clock of a lease, which a machine may sleep through."""


class WorkerEnd(Enum):
    """Why a worker has ended."""

    ALL_FINISHED = auto()
    """Its queue has no unfinished job."""
    STOPPED = auto()
    """It was asked to."""
    BROKEN_ENGINE = auto()
    """Its engine failed, and a new process must open it anew before the queue is eaten."""


class Halt(BaseException):
    """Ends a handler from within :meth:`Attempt.check`: the worker is to stop, or has lost the job.

    No error: as for KeyboardInterrupt, nothing that handles errors may catch it.
    """


class Attempt:
    """What a handler is given: a job, and its word with the worker."""

    def __init__(
        self,
        job: Job,
        check: Callable[[], None],
        record: Callable[[Mapping[str, Any]], None],
        look_up: Callable[[str, str], list[Job]],
    ) -> None:
        self.job = job
        self.check = check
        """To be called often; raises :class:`Halt` when the handler must not go on."""
        self.record = record
        """Keeps a first result for a next attempt; raises StaleLeaseError if the job is somebody else's by now."""
        self.look_up = look_up
        """Finds the jobs of this kind, of all queues, that have recorded a value in a field of their result."""


Handler = Callable[[Attempt], Mapping[str, Any]]
"""Runs a job and returns its result as JSON."""


class Worker:
    """Runs the jobs of one queue, one at a time.

    A job whose input is wrong (DataError) fails at once. After an EngineError the worker ends itself; after any other
    error it goes on with the next job. In both cases the job waits for another attempt.

    Args:
        ledger: Where the jobs are.
        handler: Runs them.
        settings: See there.
        stop: Asks the worker to give back its job and end.
    """

    def __init__(self, ledger: Ledger, handler: Handler, settings: WorkerSettings, stop: threading.Event) -> None:
        self._ledger, self._handler, self._settings, self._stop = ledger, handler, settings, stop

    def run(self) -> WorkerEnd:
        """Run jobs until none is left.

        Raises:
            LedgerError: If the ledger stays away.
        """
        while not self._stop.is_set():
            lease = patiently(self._claim, self._stop)
            if lease is not None:
                if self._run(lease) is WorkerEnd.BROKEN_ENGINE:
                    return WorkerEnd.BROKEN_ENGINE
                continue
            wait_s = patiently(lambda: self._ledger.seconds_to_next(self._settings.queue), self._stop)
            if wait_s is None:
                return WorkerEnd.ALL_FINISHED
            self._stop.wait(min(wait_s + 0.01, self._settings.poll_s))
        return WorkerEnd.STOPPED

    def _claim(self) -> Lease | None:
        settings = self._settings
        return self._ledger.claim(settings.name, queue=settings.queue, lease_s=settings.lease_s)

    def _run(self, lease: Lease) -> WorkerEnd | None:
        """Run one job; names an end where the worker cannot go on."""
        with _Renewal(self._ledger, lease) as renewal:
            try:
                say, end = self._attempt(lease, renewal)
            except KeyboardInterrupt:
                self._ledger.give_back(lease)
                raise
            if say is not None:
                self._say(say)
        return end

    def _attempt(self, lease: Lease, renewal: "_Renewal") -> tuple[Callable[[], object] | None, WorkerEnd | None]:
        """Run the handler; return what to tell the ledger, and the worker's end."""
        ledger, fail = self._ledger, partial(self._ledger.fail, lease)
        try:
            result = self._handler(self._attempt_of(lease, renewal))
        except Halt:
            return (None if renewal.lost.is_set() else lambda: ledger.give_back(lease)), None
        except StaleLeaseError:
            return None, None
        except LedgerError:
            raise
        except DataError as error:
            return partial(fail, error.redacted, retry_in_s=None), None
        except EngineError as error:
            return partial(fail, error.redacted, retry_in_s=self._wait_s(lease)), WorkerEnd.BROKEN_ENGINE
        except Exception as error:  # noqa: BLE001 (whatever it is, the other jobs are to be run)
            return partial(fail, _in_words(error), retry_in_s=self._wait_s(lease)), None
        return lambda: ledger.done(lease, result), None

    def _attempt_of(self, lease: Lease, renewal: "_Renewal") -> Attempt:
        def check() -> None:
            if self._stop.is_set() or renewal.lost.is_set():
                raise Halt

        def record(result: Mapping[str, Any]) -> None:
            patiently(lambda: self._ledger.record(lease, result), self._stop)

        def look_up(field: str, value: str) -> list[Job]:
            return patiently(lambda: self._ledger.recorded(lease.job.kind, field, [value]), self._stop)

        return Attempt(lease.job, check, record, look_up)

    def _say(self, say: Callable[[], object]) -> None:
        try:
            patiently(say, self._stop)
        except StaleLeaseError:
            return  # another worker has it; what this one has to say is of no use any more

    def _wait_s(self, lease: Lease) -> float:
        doublings = min(lease.job.num_attempts - 1, 30)
        return float(min(self._settings.longest_wait_s, self._settings.first_wait_s * 2**doublings))


class _Renewal:
    """Renews a lease in the background."""

    def __init__(self, ledger: Ledger, lease: Lease) -> None:
        self._ledger, self._lease = ledger, lease
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self.lost = threading.Event()
        """Set when the job is somebody else's."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _renew(self) -> None:
        length_s, renewed = self._lease.length_s, _clocks()
        while not self._ended.wait(min(_LOOK_S, length_s / 12)):
            now = _clocks()
            if all(late - early < length_s / 3 for late, early in zip(now, renewed, strict=True)):
                continue
            try:
                self._ledger.renew(self._lease)
            except StaleLeaseError:
                self.lost.set()
                return
            except LedgerError:
                continue  # where it is away for us, it most likely is for others, who cannot claim the job either
            renewed = now


def _clocks() -> tuple[float, float]:
    """The wall's clock, which leases run by and which may be set, and one that stands still in a machine's sleep."""
    return time.time(), time.monotonic()


def _in_words(error: Exception) -> str:
    """Which error it was; what it says of its values may name a patient."""
    if isinstance(error, ScnasError):
        return error.redacted
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"expected no error, found {type(error).__name__} in {Path(place.filename).name}, line {place.lineno}."
