"""How it stands with each destination: what waits for it, what it has taken, and what it said last."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from scnas_deploy.jobs.job import Job, JobState
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.schema import JOBS
from scnas_deploy.serve.page.jobs import GRAVE
from scnas_deploy.serve.page.words import Moment, moment
from scnas_deploy.serve.settings import Destination, DicomDestination
from scnas_deploy.serve.work import DELIVER

MOST_COUNTED: Final = 10_000
"""Deliveries of each state that are counted by destination; where there are more, figures are lower bounds."""
_MOST_READ: Final = 200
_WAITING: Final = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, kw_only=True, slots=True)
class DestinationRow:
    """One of them."""

    name: str
    how: str
    waiting: int
    failed: int
    """Given up, so that a person has to look."""
    last_taken: Moment | None
    """None where it is not among the latest deliveries of all."""
    error: str
    """What went wrong last, of deliveries that are not done."""
    erred: Moment | None
    state: str
    look: str


@dataclass(frozen=True, slots=True)
class DestinationRows:
    """All of them."""

    rows: tuple[DestinationRow, ...]
    are_bounds: bool
    """Whether there are more deliveries than were counted."""


def destination_rows(ledger: Ledger, destinations: tuple[Destination, ...], now: float) -> DestinationRows:
    """Look at the destinations of the settings, and at others for which deliveries are left.

    Raises:
        LedgerError: If the ledger cannot be reached.
    """
    waiting, failed = _counted(ledger, _WAITING), _counted(ledger, GRAVE)
    taken = _latest(ledger.changed_last(DELIVER, [JobState.DONE], limit=_MOST_READ))
    unfinished = ledger.changed_last(DELIVER, [*_WAITING, *GRAVE], limit=_MOST_READ)
    errors = _latest([job for job in unfinished if job.error])
    known = {each.name: _how(each) for each in destinations}
    names = [*known, *sorted((waiting.keys() | failed.keys()) - known.keys())]
    rows = tuple(
        _row(name, known.get(name), (waiting[name], failed[name]), (taken.get(name), errors.get(name)), now)
        for name in names
    )
    return DestinationRows(rows, max(waiting.total(), failed.total()) >= MOST_COUNTED)


def _row(
    name: str, how: str | None, numbers: tuple[int, int], last: tuple[Job | None, Job | None], now: float
) -> DestinationRow:
    (waiting, failed), (taken, erred) = numbers, last
    state, look = _state(how is not None, waiting, failed, taken, erred)
    return DestinationRow(
        name=name,
        how=how or "no longer in the settings",
        waiting=waiting,
        failed=failed,
        last_taken=moment(taken.changed_at, now) if taken else None,
        error=(erred.error or "") if erred else "",
        erred=moment(erred.changed_at, now) if erred else None,
        state=state,
        look=look,
    )


def _state(is_known: bool, waiting: int, failed: int, taken: Job | None, erred: Job | None) -> tuple[str, str]:
    is_failing = erred is not None and (taken is None or erred.changed_at > taken.changed_at)
    if waiting and is_failing:
        return "does not take results", "bad"
    if failed:
        return "results were refused", "bad"
    if not is_known:
        return "no longer in the settings", "warn"
    if waiting:
        return "results on their way", ""
    return ("takes results", "good") if taken else ("nothing sent lately", "")


def _counted(ledger: Ledger, states: tuple[JobState, ...]) -> Counter[str]:
    found: Counter[str] = Counter()
    destination = JOBS.c.payload["destination"].as_string().label("destination")
    with ledger.reading() as connection:
        for state in states:
            which = (JOBS.c.queue == DELIVER, JOBS.c.state == state)
            some = sa.select(destination).where(*which).limit(MOST_COUNTED).subquery()
            counted = sa.select(some.c.destination, sa.func.count().label("number")).group_by(some.c.destination)
            found.update({row.destination: row.number for row in connection.execute(counted)})
    return found


def _latest(jobs: list[Job]) -> dict[str, Job]:
    """The first of each destination, of jobs of which the latest come first."""
    found: dict[str, Job] = {}
    for job in jobs:
        found.setdefault(job.payload["destination"], job)
    return found


def _how(destination: Destination) -> str:
    if isinstance(destination, DicomDestination):
        return f"C-STORE to {destination.ae_title}"
    return "STOW-RS"
