"""The job ledger: one table with leases, on SQLite or PostgreSQL.

A job is run at least once and counted once. Whoever claims it holds a lease; when that has run out, the job may be
claimed again. Each claim has a number that only grows (``attempt``), and every later word about the job must name the
latest: a worker that was stopped, slept through its lease and goes on is refused and changes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from scnas_deploy.errors import StaleLeaseError
from scnas_deploy.jobs.claims import bury, lock_next, numbers_of_due
from scnas_deploy.jobs.job import JobState, Lease, NewJob
from scnas_deploy.jobs.records import FORGETTABLE, JOB, UNFINISHED, Records, as_job, chunks, in_states
from scnas_deploy.jobs.schema import JOBS

_RETRIABLE: Final = in_states(JobState.FAILED, JobState.DEAD, JobState.CANCELLED)
_AT_ONCE: Final = 0.0
"""When a job may be run that waits for nothing; no time of today, since clocks may be set back."""
_NONE: Final[Mapping[str, Sequence[NewJob]]] = MappingProxyType({})
_AFRESH: Final = {"state": JobState.QUEUED, "given_back": JOBS.c.attempt, "run_at": _AT_ONCE, "error": None}
"""A job that is queued again with all its attempts before it."""
_GIVEN_BACK: Final = {"state": JobState.QUEUED, "lease_until": None, "given_back": JOBS.c.given_back + 1}
"""A job that is queued again as if it had not been claimed."""


class Ledger(Records):
    """The jobs of one database; may be used by several threads. See :class:`Records` for its arguments."""

    def enqueue(self, queue: str, jobs: Iterable[NewJob]) -> None:
        """Put jobs into a queue.

        A job that the queue knows by its key stays one job: unfinished it takes over payload and priority, finished it
        stays as it is.
        """
        with self.transaction() as (connection, now):
            _enqueue(connection, queue, jobs, now)

    def claim(self, worker: str, *, queue: str, lease_s: float) -> Lease | None:
        """Take the next job: the highest priority first, then that of the fewest attempts that count, then the oldest.

        So a job that ends its workers comes up again when those that were never tried are done, and one that was
        given back keeps its place.

        Args:
            worker: Name of who takes it.
            queue: Where to look.
            lease_s: Seconds until others may take it, unless it is renewed.

        Returns:
            The lease, or None where nothing is to be run now.
        """
        if not self._is_any_due(queue):
            return None
        with self.transaction() as (connection, now):
            bury(connection, queue, now)
            job_id = lock_next(connection, queue, now)
            claimed = sa.update(JOBS).where(JOBS.c.id == job_id).values(worker=worker, lease_until=now + lease_s)
            claimed = claimed.values(state=JobState.RUNNING, attempt=JOBS.c.attempt + 1, changed_at=now)
            row = None if job_id is None else connection.execute(claimed.returning(*JOB)).one()
        return None if row is None else Lease(job=as_job(row), worker=worker, length_s=lease_s)

    def renew(self, lease: Lease) -> None:
        """Have a lease last its length from now on.

        Raises:
            StaleLeaseError: If the job is somebody else's by now; so in every method that takes a lease.
        """
        with self.transaction() as (connection, now):
            _change(connection, lease, now, lease_until=now + lease.length_s)

    def record(self, lease: Lease, result: Mapping[str, Any]) -> None:
        """Keep what a running job has so far; it outlives its worker, and the next attempt sees it."""
        with self.transaction() as (connection, now):
            _change(connection, lease, now, result=dict(result))

    def done(self, lease: Lease, result: Mapping[str, Any], then: Mapping[str, Sequence[NewJob]] = _NONE) -> None:
        """Finish a job and enqueue what follows from it: both, or neither.

        Args:
            lease: Of the job.
            result: What it has come to, as JSON.
            then: Jobs to be put into queues, by the queues' names.
        """
        with self.transaction() as (connection, now):
            _change(connection, lease, now, state=JobState.DONE, lease_until=None, result=dict(result), error=None)
            for queue, jobs in then.items():
                _enqueue(connection, queue, jobs, now)

    def fail(self, lease: Lease, error: str, *, retry_in_s: float | None) -> JobState:
        """Say that an attempt has failed.

        Args:
            lease: Of the job.
            error: Why; names no patient.
            retry_in_s: Seconds until the next attempt; None where no other attempt would do better.

        Returns:
            Where the job stands now: queued again, failed, or dead after its last attempt.
        """
        state = JobState.FAILED if retry_in_s is None else JobState.QUEUED
        if retry_in_s is not None and lease.job.num_attempts >= lease.job.max_attempts:
            state = JobState.DEAD
        with self.transaction() as (connection, now):
            run_at = now + (retry_in_s or 0.0)
            _change(connection, lease, now, state=state, lease_until=None, run_at=run_at, error=error)
        return state

    def give_back(self, lease: Lease, *, in_s: float = 0.0) -> None:
        """Leave a job to others; the attempt does not count.

        Args:
            lease: Of the job.
            in_s: Seconds until it may be claimed again.
        """
        with self.transaction() as (connection, now):
            run_at = now + in_s if in_s > 0.0 else _AT_ONCE
            _change(connection, lease, now, **_GIVEN_BACK, run_at=run_at)

    def release(self, worker: str) -> None:
        """Give back all that a worker runs, in its stead; it is refused from then on."""
        with self.transaction() as (connection, now):
            its = sa.and_(JOBS.c.worker == worker, JOBS.c.state == JobState.RUNNING)
            connection.execute(
                sa.update(JOBS).where(its).values({**_GIVEN_BACK, "run_at": _AT_ONCE, "changed_at": now})
            )

    def end_leases(self, worker: str) -> None:
        """End the leases of a worker that is known to be gone, so that nobody waits for them."""
        with self.transaction() as (connection, now):
            its = sa.and_(JOBS.c.worker == worker, JOBS.c.state == JobState.RUNNING, JOBS.c.lease_until > now)
            connection.execute(sa.update(JOBS).where(its).values(lease_until=now - 1.0))

    def cancel(self, job_id: int, why: str) -> JobState | None:
        """End a job that is not finished; whoever runs it learns so at its next word, which is refused.

        Args:
            job_id: Its number.
            why: Is kept as the job's error; names no patient.

        Returns:
            Where the job stands now; None where there is no such job.
        """
        with self.transaction() as (connection, now):
            _cancel(connection, now, why, JOBS.c.id == job_id, UNFINISHED)
            return _state(connection, job_id)

    def cancel_expired(self, queue: str, field: str, why: str) -> int:
        """End the jobs of a queue that nobody runs and whose time is over.

        Args:
            queue: Where they are.
            field: Of their payload: until when they are of use, in seconds since 1970; missing or null, for ever.
            why: Is kept as their error; names no patient.

        Returns:
            How many there were.
        """
        with self.transaction() as (connection, now):
            is_over = JOBS.c.payload[field].as_float() < now
            return _cancel(connection, now, why, JOBS.c.queue == queue, JOBS.c.state == JobState.QUEUED, is_over)

    def retry(self, job_id: int) -> JobState | None:
        """Queue a failed, dead or cancelled job again, with all its attempts before it; what it has recorded stays.

        Returns:
            Where the job stands now; None where there is no such job.
        """
        with self.transaction() as (connection, now):
            again = sa.update(JOBS).where(JOBS.c.id == job_id, _RETRIABLE)
            connection.execute(again.values({**_AFRESH, "changed_at": now}))
            return _state(connection, job_id)

    def forget(self, job_ids: Iterable[int]) -> None:
        """Remove those of the jobs that are done, failed or cancelled."""
        with self.transaction() as (connection, _):
            for chunk in chunks(job_ids):
                connection.execute(sa.delete(JOBS).where(JOBS.c.id.in_(chunk), FORGETTABLE))

    def reopen(self, queue: str, jobs: Iterable[NewJob]) -> None:
        """Queue finished jobs again, told anew, with all their attempts before them; what they have recorded stays."""
        told = ("payload", "priority", "max_attempts")
        finished = sa.and_(JOBS.c.queue == queue, JOBS.c.key == sa.bindparam("its_key"), sa.not_(UNFINISHED))
        with self.transaction() as (connection, now):
            rows = [{"its_key": job.key, **{f"new_{name}": getattr(job, name) for name in told}} for job in jobs]
            anew: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in told}
            if rows:
                connection.execute(sa.update(JOBS).where(finished).values({**_AFRESH, **anew, "changed_at": now}), rows)

    def adopt(self, queue: str, keys: Iterable[str]) -> None:
        """Take over what other queues have done under these keys, as if it had been done in this one."""
        names = [column.name for column in JOBS.c if column.name not in ("id", "queue")]
        with self.transaction() as (connection, _):
            insert = _insert(connection)
            for chunk in chunks(keys):
                others = sa.and_(JOBS.c.key.in_(chunk), JOBS.c.state == JobState.DONE, JOBS.c.queue != queue)
                taken = sa.select(sa.literal(queue), *(JOBS.c[name] for name in names)).where(others)
                adopted = insert.from_select(["queue", *names], taken.order_by(JOBS.c.changed_at.desc()))
                connection.execute(adopted.on_conflict_do_nothing(index_elements=["queue", "key"]))

    def _is_any_due(self, queue: str) -> bool:
        """Whether a job may be claimed: one query without a lock, since whoever waits for jobs asks all the time."""
        with self.reading() as connection:
            return any(job_id is not None for job_id in connection.execute(numbers_of_due(queue, self._time())).one())


def _enqueue(connection: sa.Connection, queue: str, jobs: Iterable[NewJob], now: float) -> None:
    insert = _insert(connection)
    renewed = {name: insert.excluded[name] for name in ("kind", "payload", "priority", "max_attempts")}
    upsert = insert.on_conflict_do_update(index_elements=["queue", "key"], set_=renewed, where=UNFINISHED)
    if rows := [_row(queue, job, now) for job in jobs]:
        connection.execute(upsert, rows)


def _insert(connection: sa.Connection) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(JOBS) if connection.dialect.name == "postgresql" else sqlite.insert(JOBS)


def _cancel(connection: sa.Connection, now: float, why: str, *which: sa.ColumnElement[bool]) -> int:
    ended = {"state": JobState.CANCELLED, "lease_until": None, "error": why, "changed_at": now}
    return connection.execute(sa.update(JOBS).where(*which).values(**ended)).rowcount


def _state(connection: sa.Connection, job_id: int) -> JobState | None:
    state = connection.scalar(sa.select(JOBS.c.state).where(JOBS.c.id == job_id))
    return None if state is None else JobState(state)


def _change(connection: sa.Connection, lease: Lease, now: float, **values: Any) -> None:
    """Change a job if the lease still is its latest."""
    job = lease.job
    held = sa.and_(JOBS.c.id == job.id, JOBS.c.attempt == job.attempt, JOBS.c.state == JobState.RUNNING)
    if connection.execute(sa.update(JOBS).where(held).values(changed_at=now, **values)).rowcount == 1:
        return
    row = connection.execute(sa.select(JOBS.c.state, JOBS.c.attempt).where(JOBS.c.id == job.id)).first()
    raise StaleLeaseError(
        f"job {job.id}",
        expected=f"the lease of its attempt {job.attempt}",
        found="no such job" if row is None else f"it {row.state} at attempt {row.attempt}",
        remedy="Leave the job to whoever holds it now",
    )


def _row(queue: str, job: NewJob, now: float) -> dict[str, Any]:
    return {
        "queue": queue,
        "key": job.key,
        "kind": job.kind,
        "payload": dict(job.payload),
        "priority": job.priority,
        "state": JobState.QUEUED,
        "attempt": 0,
        "given_back": 0,
        "max_attempts": job.max_attempts,
        "run_at": _AT_ONCE,
        "enqueued_at": now,
        "changed_at": now,
    }
