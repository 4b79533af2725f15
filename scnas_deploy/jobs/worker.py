"""A worker: claims jobs, keeps their leases while they run, and says how they ended."""

import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Any

from scnas_deploy.errors import DataError, EngineError, LedgerError, RefusedError, ScnasError, StaleLeaseError
from scnas_deploy.jobs.job import Job, JobState, Lease, NewJob
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.patience import Answer, patiently, tirelessly
from scnas_deploy.jobs.renewal import Renewal
from scnas_deploy.jobs.schema import is_away


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
    stay: bool = False
    """Wait for jobs instead of ending when all are finished, and for a ledger that is away however long it is."""


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

    A handler may raise it too, to give its job back. No error: as for KeyboardInterrupt, nothing that handles errors
    may catch it.

    Args:
        again_in_s: Seconds until the job may be claimed again.
    """

    def __init__(self, again_in_s: float = 0.0) -> None:
        super().__init__(again_in_s)
        self.again_in_s = again_in_s


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
        """Keeps a first result for a next attempt; raises StaleLeaseError if the job is somebody else's by now.

        Where the worker stays, a ledger that is away keeps nothing, and the handler goes on.
        """
        self.look_up = look_up
        """Finds the jobs of this kind, of all queues, that have recorded a value in a field of their result."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A result that other jobs follow from."""

    result: Mapping[str, Any]
    """As JSON."""
    then: Mapping[str, Sequence[NewJob]] = field(default_factory=dict)
    """Jobs to be put into queues in the moment in which this one is done, by the queues' names."""


Handler = Callable[[Attempt], Mapping[str, Any] | Finished]
"""Runs a job and returns its result as JSON, alone or with what follows from it."""

OnEnd = Callable[[Job, JobState, str | None], None]
"""Told of a job whose attempt has ended where it stands now, and why where it is not done; names no patient."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ending:
    """How an attempt has ended."""

    tell: Callable[[], JobState] | None = None
    """Tells the ledger and returns where the job stands; None where the job is somebody else's by now."""
    error: str | None = None
    worker_end: WorkerEnd | None = None
    """Why the worker cannot go on."""


class Worker:
    """Runs the jobs of one queue, one at a time.

    A job whose input is wrong (DataError), or that another side will never take (RefusedError), fails at once. After
    an EngineError the worker ends itself; after any other error it goes on with the next job. In both cases the job
    waits for another attempt.

    Args:
        ledger: Where the jobs are.
        handler: Runs them.
        settings: See there.
        stop: Asks the worker to give back its job and end. A worker that stays even so keeps a finished result until
            the ledger has it, so that it is best run in a daemon thread.
        on_end: Told how each attempt has ended.
        drain: Asks the worker to finish its job and end; where it is given, it is to be set before ``stop``.
    """

    def __init__(
        self,
        ledger: Ledger,
        handler: Handler,
        settings: WorkerSettings,
        stop: threading.Event,
        on_end: OnEnd = lambda *_: None,
        *,
        drain: threading.Event | None = None,
    ) -> None:
        self._ledger, self._handler, self._settings, self._on_end = ledger, handler, settings, on_end
        self._stop, self._drain = stop, drain or stop

    def run(self) -> WorkerEnd:
        """Run jobs until none is left or, where the worker stays, until it is asked to end.

        Raises:
            LedgerError: If the ledger stays away, or refuses what it is asked.
        """
        try:
            return self._run_all()
        except LedgerError:
            if self._settings.stay and self._is_to_end():
                return WorkerEnd.STOPPED  # nobody can be told; the lease of its job runs out
            raise

    def _run_all(self) -> WorkerEnd:
        while not self._is_to_end():
            lease = self._ask(self._claim, self._drain)
            if lease is not None:
                if self._run(lease) is WorkerEnd.BROKEN_ENGINE:
                    return WorkerEnd.BROKEN_ENGINE
                continue
            wait_s = self._seconds_to_next()
            if wait_s is None:
                return WorkerEnd.ALL_FINISHED
            self._drain.wait(min(wait_s + 0.01, self._settings.poll_s))
        return WorkerEnd.STOPPED

    def _is_to_end(self) -> bool:
        return self._stop.is_set() or self._drain.is_set()

    def _ask(self, action: Callable[[], Answer], stop: threading.Event) -> Answer:
        return (tirelessly if self._settings.stay else patiently)(action, stop)

    def _claim(self) -> Lease | None:
        settings = self._settings
        return self._ledger.claim(settings.name, queue=settings.queue, lease_s=settings.lease_s)

    def _seconds_to_next(self) -> float | None:
        if self._settings.stay:
            return self._settings.poll_s
        return self._ask(lambda: self._ledger.seconds_to_next(self._settings.queue), self._drain)

    def _run(self, lease: Lease) -> WorkerEnd | None:
        """Run one job; names an end where the worker cannot go on."""
        with Renewal(self._ledger, lease) as renewal:
            try:
                ending = self._attempt(lease, renewal)
            except KeyboardInterrupt:
                with suppress(LedgerError):
                    self._ledger.give_back(lease)
                raise
            state, error = self._conclude(lease, ending)
        self._on_end(lease.job, state, error)
        return ending.worker_end

    def _attempt(self, lease: Lease, renewal: Renewal) -> _Ending:
        """Run the handler and, where it finishes the job, tell the ledger so."""
        try:
            self._finish(lease, self._handler(self._attempt_of(lease, renewal)))
        except Halt as halt:
            return _Ending() if renewal.lost.is_set() else self._given_back(lease, halt.again_in_s)
        except StaleLeaseError:
            return _Ending()
        except LedgerError as error:
            if not self._settings.stay:
                raise
            return self._given_back(lease) if self._is_to_end() else self._failed(lease, error)
        except Exception as error:  # noqa: BLE001 (whatever it is, the other jobs are to be run)
            return self._failed(lease, error)
        return _Ending(tell=lambda: JobState.DONE)

    def _finish(self, lease: Lease, answer: Mapping[str, Any] | Finished) -> None:
        finished = answer if isinstance(answer, Finished) else Finished(answer)
        never = threading.Event()
        stop = never if self._settings.stay else self._stop
        self._ask(lambda: self._ledger.done(lease, finished.result, finished.then), stop)

    def _given_back(self, lease: Lease, in_s: float = 0.0) -> _Ending:
        def tell() -> JobState:
            self._ledger.give_back(lease, in_s=in_s)
            return JobState.QUEUED

        return _Ending(tell=tell)

    def _failed(self, lease: Lease, error: Exception) -> _Ending:
        words = _in_words(error)
        retry_in_s = None if isinstance(error, DataError | RefusedError) else self._wait_s(lease)
        worker_end = WorkerEnd.BROKEN_ENGINE if isinstance(error, EngineError) else None
        tell = partial(self._ledger.fail, lease, words, retry_in_s=retry_in_s)
        return _Ending(tell=tell, error=words, worker_end=worker_end)

    def _conclude(self, lease: Lease, ending: _Ending) -> tuple[JobState, str | None]:
        """Tell the ledger; return where the job stands now, and why."""
        try:
            if ending.tell is not None:
                return self._ask(ending.tell, self._stop), ending.error
        except StaleLeaseError:
            pass  # what this worker has to say of the job is of no use any more
        job = self._ask(lambda: self._ledger.find(lease.job.id), self._stop)
        return (JobState.CANCELLED, None) if job is None else (job.state, job.error)

    def _attempt_of(self, lease: Lease, renewal: Renewal) -> Attempt:
        def check() -> None:
            if self._stop.is_set() or renewal.lost.is_set():
                raise Halt

        def record(result: Mapping[str, Any]) -> None:
            if self._settings.stay:
                self._record_or_go_on(lease, result)
            else:
                patiently(lambda: self._ledger.record(lease, result), self._stop)

        def look_up(field: str, value: str) -> list[Job]:
            return self._ask(lambda: self._ledger.recorded(lease.job.kind, field, [value]), self._stop)

        return Attempt(lease.job, check, record, look_up)

    def _record_or_go_on(self, lease: Lease, result: Mapping[str, Any]) -> None:
        """Ask the ledger once: the work, and its looking whether it is to stop, are not to wait for it."""
        try:
            self._ledger.record(lease, result)
        except LedgerError as error:
            if not is_away(error):
                raise

    def _wait_s(self, lease: Lease) -> float:
        doublings = min(lease.job.num_attempts - 1, 30)
        return float(min(self._settings.longest_wait_s, self._settings.first_wait_s * 2**doublings))


def _in_words(error: Exception) -> str:
    """Which error it was; what it says of its values may name a patient."""
    if isinstance(error, ScnasError):
        return error.redacted
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"expected no error, found {type(error).__name__} in {Path(place.filename).name}, line {place.lineno}."
