"""What a job ledger says: looking jobs up, without changing any."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, Final, Self

import sqlalchemy as sa

from scnas_deploy.jobs.job import Job, JobState
from scnas_deploy.jobs.schema import JOBS, open_database, translated, writing

Clock = Callable[[], float]
"""Seconds since 1970."""


def in_states(*states: JobState) -> sa.ColumnElement[bool]:
    """Whether a job is in one of these states; unlike IN, fit for statements that are executed with many values."""
    return sa.or_(*(JOBS.c.state == state for state in states))


JOB: Final = [JOBS.c[field.name] for field in fields(Job)]
"""Columns that make a :class:`Job`."""
UNFINISHED: Final = in_states(JobState.QUEUED, JobState.RUNNING)
FORGETTABLE: Final = in_states(JobState.DONE, JobState.FAILED, JobState.CANCELLED)
"""Finished, and nobody has to look; a dead job stays until a person acts."""
_POSTGRES_NOW: Final = sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)
_HOUR_S: Final = 3600.0
_CHUNK: Final = 500
"""Values a statement; databases limit them."""


class Records:
    """The jobs of one database, to be looked up.

    Args:
        url: ``sqlite:///FILE`` for one machine, ``postgresql://USER@HOST/DATABASE`` for several.
        clock: What time it is; left out, PostgreSQL's clock, which all machines share, or this machine's.

    Raises:
        ConfigError: If the URL is neither.
        LedgerError: Here and in every method, if the database cannot be reached or is of a later version.
    """

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        self._engine = open_database(url)
        self._clock = clock or (None if self._engine.dialect.name == "postgresql" else time.time)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[tuple[sa.Connection, float]]:
        """Begin a transaction that writes, and ends with the block; gives the connection and the time, in seconds."""
        with translated(self._engine.url), writing(self._engine).begin() as connection:
            yield connection, connection.execute(sa.select(self._time())).scalar_one()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection to read by."""
        with translated(self._engine.url), self._engine.connect() as connection:
            yield connection

    def find(self, job_id: int) -> Job | None:
        """Return a job by its number; None where there is none."""
        with self.reading() as connection:
            row = connection.execute(sa.select(*JOB).where(JOBS.c.id == job_id)).first()
        return None if row is None else as_job(row)

    def named(self, queue: str, keys: Iterable[str]) -> dict[str, Job]:
        """Return the queue's jobs of these keys, by key; keys it does not know are left out."""
        found: dict[str, Job] = {}
        with self.reading() as connection:
            for chunk in chunks(keys):
                rows = connection.execute(sa.select(*JOB).where(JOBS.c.queue == queue, JOBS.c.key.in_(chunk)))
                found.update((row.key, as_job(row)) for row in rows)
        return found

    def listed(
        self,
        *,
        queues: Collection[str] | None = None,
        states: Collection[JobState] | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[Job]:
        """Return jobs, the newest first.

        Args:
            queues: Of these; left out, of all.
            states: In these; left out, in any.
            limit: So many at most.
            before: Older than the job of this number, which takes up a list where it ended.
        """
        found = sa.select(*JOB).order_by(JOBS.c.id.desc()).limit(limit)
        if queues is not None:
            found = found.where(JOBS.c.queue.in_(queues))
        if states is not None:
            found = found.where(JOBS.c.state.in_(states))
        if before is not None:
            found = found.where(JOBS.c.id < before)
        with self.reading() as connection:
            return [as_job(row) for row in connection.execute(found)]

    def recorded(self, kind: str, field: str, values: Iterable[str]) -> list[Job]:
        """Return the jobs of a kind, of all queues, that have recorded one of the values in a field."""
        found: list[Job] = []
        with self.reading() as connection:
            for chunk in chunks(values):
                matches = JOBS.c.result[field].as_string().in_(chunk)
                found += map(as_job, connection.execute(sa.select(*JOB).where(JOBS.c.kind == kind, matches)))
        return found

    def finished_before(
        self, when: float, *, queues: Collection[str] | None = None, limit: int = 500, after: int = 0
    ) -> list[Job]:
        """Return jobs that are done, failed or cancelled and unchanged since a time, the oldest first.

        Args:
            when: Seconds since 1970.
            queues: Of these; left out, of all.
            limit: So many at most.
            after: Newer than the job of this number, which takes up a list where it ended.
        """
        found = sa.select(*JOB).where(FORGETTABLE, JOBS.c.changed_at < when, JOBS.c.id > after)
        if queues is not None:
            found = found.where(JOBS.c.queue.in_(queues))
        with self.reading() as connection:
            return [as_job(row) for row in connection.execute(found.order_by(JOBS.c.id).limit(limit))]

    def workers(self, queue: str) -> set[str]:
        """Return the names of those who hold the queue's leases."""
        held = sa.select(JOBS.c.worker).where(JOBS.c.queue == queue, JOBS.c.state == JobState.RUNNING).distinct()
        with self.reading() as connection:
            return set(connection.scalars(held))

    def queues(self) -> list[str]:
        """Return the names of all queues that have jobs, sorted."""
        with self.reading() as connection:
            return sorted(connection.scalars(sa.select(JOBS.c.queue).distinct()))

    def counts(self, queue: str) -> dict[JobState, int]:
        """Return how many jobs are in each state; every state is named."""
        counted = (
            sa.select(JOBS.c.state, sa.func.count().label("number")).where(JOBS.c.queue == queue).group_by(JOBS.c.state)
        )
        with self.reading() as connection:
            found = {row.state: row.number for row in connection.execute(counted)}
        return {state: found.get(state, 0) for state in JobState}

    def counts_by_priority(self, queue: str) -> dict[int, dict[JobState, int]]:
        """Return how many jobs of each priority are in each state, the highest first; every state is named."""
        counted = sa.select(JOBS.c.priority, JOBS.c.state, sa.func.count().label("number")).where(JOBS.c.queue == queue)
        found: dict[int, dict[JobState, int]] = {}
        with self.reading() as connection:
            for row in connection.execute(counted.group_by(JOBS.c.priority, JOBS.c.state)):
                found.setdefault(row.priority, dict.fromkeys(JobState, 0))[JobState(row.state)] = row.number
        return dict(sorted(found.items(), reverse=True))

    def changed_last(self, queue: str, states: Collection[JobState], *, limit: int) -> list[Job]:
        """Return so many jobs of these states at most, the one of the latest word about it first.

        Few of the ledger's jobs are looked at, however many there are.
        """
        with self.reading() as connection:
            numbers: list[int] = []
            for state in states:
                latest = sa.select(JOBS.c.id).where(JOBS.c.queue == queue, JOBS.c.state == state)
                numbers += connection.scalars(latest.order_by(JOBS.c.changed_at.desc()).limit(limit))
            found = [
                as_job(row)
                for chunk in chunks(numbers)
                for row in connection.execute(sa.select(*JOB).where(JOBS.c.id.in_(chunk)))
            ]
        return sorted(found, key=lambda job: (job.changed_at, job.id), reverse=True)[:limit]

    def changed_by_hour(self, queue: str, state: JobState, hours: int) -> list[int]:
        """Return how many jobs came into a state in each of the last hours, the present one last.

        Each hour ends so many whole hours before now.
        """
        found = [0] * hours
        with self.reading() as connection:
            now = connection.execute(sa.select(self._time())).scalar_one()  # as a value, so that the index can be used
            within = (JOBS.c.queue == queue, JOBS.c.state == state, JOBS.c.changed_at > now - hours * _HOUR_S)
            hour = sa.cast(sa.func.floor((now - JOBS.c.changed_at) / _HOUR_S), sa.Integer).label("hour")
            for row in connection.execute(
                sa.select(hour, sa.func.count().label("number")).where(*within).group_by(hour)
            ):
                found[hours - 1 - min(max(row.hour, 0), hours - 1)] += row.number
        return found

    def oldest(self, queue: str, state: JobState) -> Job | None:
        """Return the job in a state that was enqueued first; None where there is none."""
        first = sa.select(sa.func.min(JOBS.c.id)).where(JOBS.c.queue == queue, JOBS.c.state == state)
        with self.reading() as connection:
            row = connection.execute(sa.select(*JOB).where(JOBS.c.id == first.scalar_subquery())).first()
        return None if row is None else as_job(row)

    def seconds_to_next(self, queue: str) -> float | None:
        """Return the seconds until a job may be claimed, 0 where one may be now; None where all are finished."""
        due = sa.case((JOBS.c.state == JobState.QUEUED, JOBS.c.run_at), else_=JOBS.c.lease_until)
        left = sa.func.min(due) - self._time()
        with self.reading() as connection:
            seconds = connection.scalar(sa.select(left).where(JOBS.c.queue == queue, UNFINISHED))
        return None if seconds is None else max(0.0, seconds)

    def _time(self) -> sa.ColumnElement[float]:
        """What time it is, for a statement."""
        return _POSTGRES_NOW if self._clock is None else sa.literal(self._clock(), sa.Double)


def as_job(row: sa.Row[Any]) -> Job:
    """Make a job of its columns."""
    return Job(**{**row._mapping, "state": JobState(row.state)})


def chunks(values: Iterable[Any]) -> Iterator[Sequence[Any]]:
    """Part values into as many as a statement takes."""
    all_values = list(values)
    for start in range(0, len(all_values), _CHUNK):
        yield all_values[start : start + _CHUNK]
