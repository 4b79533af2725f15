"""Which job is run next, and which has been claimed for the last time."""

from typing import Any, Final

import sqlalchemy as sa

from scnas_deploy.jobs.job import JobState
from scnas_deploy.jobs.schema import CLAIM_ORDER, JOBS, NUM_ATTEMPTS

_VANISHED: Final = "expected an answer, found that its worker has ended without one."


def numbers_of_due(queue: str, now: sa.ColumnElement[float]) -> sa.Select[Any]:
    """Ask for jobs that may be claimed, without a lock: one row of two numbers, each null where there is none."""
    return sa.select(*(first.scalar_subquery() for first in _firsts(queue, now, JOBS.c.id)))


def lock_next(connection: sa.Connection, queue: str, now: float) -> int | None:
    """Lock the next job that nobody else has locked, and return its number."""
    columns = (JOBS.c.priority, NUM_ATTEMPTS.label("num_attempts"), JOBS.c.id)
    firsts = _firsts(queue, sa.literal(now), *columns)
    found = [connection.execute(first.with_for_update(skip_locked=True)).first() for first in firsts]
    ranks = [(-row.priority, row.num_attempts, row.id) for row in found if row is not None]
    return min(ranks)[-1] if ranks else None


def bury(connection: sa.Connection, queue: str, now: float) -> None:
    """Give up what has lost its last lease."""
    lost = sa.and_(JOBS.c.queue == queue, JOBS.c.state == JobState.RUNNING, JOBS.c.lease_until < now)
    worn_out = sa.and_(lost, JOBS.c.max_attempts <= NUM_ATTEMPTS)
    error = sa.func.coalesce(JOBS.c.error + " Then: ", "") + _VANISHED
    given_up = {"state": JobState.DEAD, "lease_until": None, "error": error, "changed_at": now}
    connection.execute(sa.update(JOBS).where(worn_out).values(**given_up))


def _firsts(queue: str, now: sa.ColumnElement[float], *columns: sa.ColumnElement[Any]) -> list[sa.Select[Any]]:
    """The first job that waits, and the first whose lease has run out: each by itself can be read off the index."""
    waits = sa.and_(JOBS.c.state == JobState.QUEUED, JOBS.c.run_at <= now)
    is_lost = sa.and_(JOBS.c.state == JobState.RUNNING, JOBS.c.lease_until < now)
    found = sa.select(*columns).where(JOBS.c.queue == queue).order_by(*CLAIM_ORDER).limit(1)
    return [found.where(due) for due in (waits, is_lost)]
