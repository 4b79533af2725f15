"""The job ledger: one table with leases, on SQLite or PostgreSQL.

A job is run at least once and counted once. Whoever claims it holds a lease; when that has run out, the job may be
claimed again. Each claim has a number that only grows (``attempt``), and every later word about the job must name the
latest: a worker that was stopped, slept through its lease and goes on is refused and changes nothing.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, Final, Self

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from scnas_deploy.errors import StaleLeaseError
from scnas_deploy.jobs.job import Job, JobState, Lease, NewJob
from scnas_deploy.jobs.schema import JOBS, open_database, translated, writing

Clock = Callable[[], float]
"""Seconds since 1970."""

_JOB: Final = [JOBS.c[field.name] for field in fields(Job)]
_UNFINISHED: Final = sa.or_(JOBS.c.state == JobState.QUEUED, JOBS.c.state == JobState.RUNNING)
_NUM_ATTEMPTS: Final = JOBS.c.attempt - JOBS.c.given_back
_CHUNK: Final = 500
"""Values a statement; databases limit them."""
_VANISHED: Final = "expected an answer, found that its worker has ended without one."
_AT_ONCE: Final = 0.0
"""When a job may be run that waits for nothing; no time of today, since clocks may be set back."""


class Ledger:
    """The jobs of one database; may be used by several threads.

    Args:
        url: ``sqlite:///FILE`` for one machine, ``postgresql://USER@HOST/DATABASE`` for several.
        clock: What time it is; left out, PostgreSQL's clock, which all machines share, or this machine's.

    Raises:
        ConfigError: If the URL is neither.
        LedgerError: Here and in every method, if the database cannot be reached or is of another version.
    """

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        self._engine = open_database(url)
        self._on_postgres = self._engine.dialect.name == "postgresql"
        self._clock = clock or (None if self._on_postgres else time.time)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def enqueue(self, queue: str, jobs: Iterable[NewJob]) -> None:
        """Put jobs into a queue.

        A job that the queue knows by its key stays one job: unfinished it takes over payload and priority, finished it
        stays as it is.
        """
        insert = (postgresql if self._on_postgres else sqlite).insert(JOBS)
        renewed = {name: insert.excluded[name] for name in ("kind", "payload", "priority", "max_attempts")}
        upsert = insert.on_conflict_do_update(index_elements=["queue", "key"], set_=renewed, where=_UNFINISHED)
        with self._transaction() as (connection, now):
            if rows := [_row(queue, job, now) for job in jobs]:
                connection.execute(upsert, rows)

    def claim(self, worker: str, *, queue: str, lease_s: float) -> Lease | None:
        """Take the next job: the highest priority first, then the least often claimed, then the oldest.

        So a job that ends its workers comes up again when those that were never tried are done.

        Args:
            worker: Name of who takes it.
            queue: Where to look.
            lease_s: Seconds until others may take it, unless it is renewed.

        Returns:
            The lease, or None where nothing is to be run now.
        """
        with self._transaction() as (connection, now):
            self._bury(connection, queue, now)
            ready = sa.or_(
                sa.and_(JOBS.c.state == JobState.QUEUED, JOBS.c.run_at <= now),
                sa.and_(JOBS.c.state == JobState.RUNNING, JOBS.c.lease_until < now),
            )
            found = sa.select(JOBS.c.id).where(JOBS.c.queue == queue, ready)
            found = (
                found.order_by(JOBS.c.priority.desc(), JOBS.c.attempt, JOBS.c.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            claimed = sa.update(JOBS).where(JOBS.c.id == found.scalar_subquery())
            claimed = claimed.values(
                state=JobState.RUNNING,
                attempt=JOBS.c.attempt + 1,
                worker=worker,
                lease_until=now + lease_s,
                changed_at=now,
            )
            row = connection.execute(claimed.returning(*_JOB)).first()
        return None if row is None else Lease(job=_job(row), worker=worker, length_s=lease_s)

    def renew(self, lease: Lease) -> None:
        """Have a lease last its length from now on.

        Raises:
            StaleLeaseError: If the job is somebody else's by now; so in every method that takes a lease.
        """
        with self._transaction() as (connection, now):
            _change(connection, lease, now, lease_until=now + lease.length_s)

    def record(self, lease: Lease, result: Mapping[str, Any]) -> None:
        """Keep what a running job has so far; it outlives its worker, and the next attempt sees it."""
        with self._transaction() as (connection, now):
            _change(connection, lease, now, result=dict(result))

    def done(self, lease: Lease, result: Mapping[str, Any]) -> None:
        """Finish a job."""
        with self._transaction() as (connection, now):
            _change(connection, lease, now, state=JobState.DONE, lease_until=None, result=dict(result), error=None)

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
        with self._transaction() as (connection, now):
            run_at = now + (retry_in_s or 0.0)
            _change(connection, lease, now, state=state, lease_until=None, run_at=run_at, error=error)
        return state

    def give_back(self, lease: Lease) -> None:
        """Leave a job to others; the attempt does not count."""
        with self._transaction() as (connection, now):
            back = JOBS.c.given_back + 1
            _change(connection, lease, now, state=JobState.QUEUED, lease_until=None, run_at=_AT_ONCE, given_back=back)

    def end_leases(self, worker: str) -> None:
        """End the leases of a worker that is known to be gone, so that nobody waits for them."""
        with self._transaction() as (connection, now):
            its = sa.and_(JOBS.c.worker == worker, JOBS.c.state == JobState.RUNNING, JOBS.c.lease_until > now)
            connection.execute(sa.update(JOBS).where(its).values(lease_until=now - 1.0))

    def reopen(self, queue: str, jobs: Iterable[NewJob]) -> None:
        """Queue finished jobs again, told anew, with all their attempts before them; what they have recorded stays."""
        told = ("payload", "priority", "max_attempts")
        finished = sa.and_(JOBS.c.queue == queue, JOBS.c.key == sa.bindparam("its_key"), sa.not_(_UNFINISHED))
        with self._transaction() as (connection, now):
            fresh = {"state": JobState.QUEUED, "given_back": JOBS.c.attempt, "run_at": _AT_ONCE, "error": None}
            rows = [{"its_key": job.key, **{f"new_{name}": getattr(job, name) for name in told}} for job in jobs]
            anew: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in told}
            if rows:
                connection.execute(sa.update(JOBS).where(finished).values({**fresh, **anew, "changed_at": now}), rows)

    def adopt(self, queue: str, keys: Iterable[str]) -> None:
        """Take over what other queues have done under these keys, as if it had been done in this one."""
        names = [column.name for column in JOBS.c if column.name not in ("id", "queue")]
        insert = (postgresql if self._on_postgres else sqlite).insert(JOBS)
        with self._transaction() as (connection, _):
            for chunk in _chunks(keys):
                others = sa.and_(JOBS.c.key.in_(chunk), JOBS.c.state == JobState.DONE, JOBS.c.queue != queue)
                taken = sa.select(sa.literal(queue), *(JOBS.c[name] for name in names)).where(others)
                adopted = insert.from_select(["queue", *names], taken.order_by(JOBS.c.changed_at.desc()))
                connection.execute(adopted.on_conflict_do_nothing(index_elements=["queue", "key"]))

    def named(self, queue: str, keys: Iterable[str]) -> dict[str, Job]:
        """Return the queue's jobs of these keys, by key; keys it does not know are left out."""
        found: dict[str, Job] = {}
        with self._reading() as connection:
            for chunk in _chunks(keys):
                rows = connection.execute(sa.select(*_JOB).where(JOBS.c.queue == queue, JOBS.c.key.in_(chunk)))
                found.update((row.key, _job(row)) for row in rows)
        return found

    def recorded(self, kind: str, field: str, values: Iterable[str]) -> list[Job]:
        """Return the jobs of a kind, of all queues, that have recorded one of the values in a field."""
        found: list[Job] = []
        with self._reading() as connection:
            for chunk in _chunks(values):
                matches = JOBS.c.result[field].as_string().in_(chunk)
                found += map(_job, connection.execute(sa.select(*_JOB).where(JOBS.c.kind == kind, matches)))
        return found

    def workers(self, queue: str) -> set[str]:
        """Return the names of those who hold the queue's leases."""
        held = sa.select(JOBS.c.worker).where(JOBS.c.queue == queue, JOBS.c.state == JobState.RUNNING).distinct()
        with self._reading() as connection:
            return set(connection.scalars(held))

    def counts(self, queue: str) -> dict[JobState, int]:
        """Return how many jobs are in each state; every state is named."""
        counted = (
            sa.select(JOBS.c.state, sa.func.count().label("number")).where(JOBS.c.queue == queue).group_by(JOBS.c.state)
        )
        with self._reading() as connection:
            found = {row.state: row.number for row in connection.execute(counted)}
        return {state: found.get(state, 0) for state in JobState}

    def seconds_to_next(self, queue: str) -> float | None:
        """Return the seconds until a job may be claimed, 0 where one may be now; None where all are finished."""
        due = sa.case((JOBS.c.state == JobState.QUEUED, JOBS.c.run_at), else_=JOBS.c.lease_until)
        with self._reading() as connection:
            first = connection.scalar(sa.select(sa.func.min(due)).where(JOBS.c.queue == queue, _UNFINISHED))
            return None if first is None else max(0.0, first - self._now(connection))

    @contextmanager
    def _transaction(self) -> Iterator[tuple[sa.Connection, float]]:
        with translated(self._engine.url), writing(self._engine).begin() as connection:
            yield connection, self._now(connection)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with translated(self._engine.url), self._engine.connect() as connection:
            yield connection

    def _now(self, connection: sa.Connection) -> float:
        if self._clock is not None:
            return self._clock()
        return float(connection.scalar(sa.select(sa.extract("epoch", sa.func.clock_timestamp()))) or 0.0)

    @staticmethod
    def _bury(connection: sa.Connection, queue: str, now: float) -> None:
        """Give up what has lost its last lease."""
        lost = sa.and_(JOBS.c.queue == queue, JOBS.c.state == JobState.RUNNING, JOBS.c.lease_until < now)
        worn_out = sa.and_(lost, JOBS.c.max_attempts <= _NUM_ATTEMPTS)
        error = sa.func.coalesce(JOBS.c.error + " Then: ", "") + _VANISHED
        given_up = {"state": JobState.DEAD, "lease_until": None, "error": error, "changed_at": now}
        connection.execute(sa.update(JOBS).where(worn_out).values(**given_up))


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


def _job(row: sa.Row[Any]) -> Job:
    return Job(**{**row._mapping, "state": JobState(row.state)})


def _chunks(values: Iterable[str]) -> Iterator[Sequence[str]]:
    all_values = list(values)
    for start in range(0, len(all_values), _CHUNK):
        yield all_values[start : start + _CHUNK]
