"""What a job is, seen from outside the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    """To be run, now or after a wait."""
    RUNNING = "running"
    """Leased to a worker; claimable again once the lease has run out."""
    DONE = "done"
    FAILED = "failed"
    """Its input is wrong, which no other attempt would change."""
    DEAD = "dead"
    """Given up after its last attempt; a person has to look."""
    CANCELLED = "cancelled"
    """Ended by a person or a client before it was finished."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewJob:
    """A job to be put into a queue."""

    key: str
    """Names the job within its queue: enqueued twice, it is still one job."""
    kind: str
    """Which handler understands the payload."""
    payload: Mapping[str, Any]
    """JSON that says what to do."""
    priority: int = 0
    """Higher ones first, whatever their age."""
    max_attempts: int = 3
    """Attempts before it is given up; those that a worker gave back do not count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job as the ledger knows it."""

    id: int
    queue: str
    key: str
    kind: str
    payload: dict[str, Any]
    priority: int
    state: JobState
    attempt: int
    """Number of the latest claim; it only grows and fences off whoever holds an older one."""
    given_back: int
    """Claims that do not count as attempts."""
    max_attempts: int
    result: dict[str, Any] | None
    """What its handler returned or, before the end, last recorded."""
    error: str | None
    """Why the latest attempt failed, or who cancelled it; names no patient."""
    worker: str | None
    """Who claimed it last."""
    enqueued_at: float
    """Seconds since 1970."""
    changed_at: float
    """Seconds since 1970 at the latest word about it."""

    @property
    def num_attempts(self) -> int:
        """Attempts that count."""
        return self.attempt - self.given_back


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The right to run a job for a while, good until another worker claims the job."""

    job: Job
    worker: str
    """Who holds it."""
    length_s: float
    """Seconds it lasts from its claim, or from its latest renewal."""
