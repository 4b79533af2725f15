"""What goes on at present, gathered for the first page."""

import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from scnas_deploy.errors import LedgerError, ScnasError
from scnas_deploy.jobs.job import JobState
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.serve.catalog import ModelDescription
from scnas_deploy.serve.page.destinations import DestinationRows, destination_rows
from scnas_deploy.serve.page.jobs import GRAVE, JobRow, job_row, priority_name
from scnas_deploy.serve.page.sights import Sights
from scnas_deploy.serve.page.words import duration, part, size
from scnas_deploy.serve.work import DELIVER, PRIORITIES, SEGMENT

HOURS: Final = 24
_MOST_UNDER_WAY, _MOST_FAILURES = 25, 8
_CLOSING: Final = frozenset({"ledger", "disk", "server"})
"""Troubles in which nothing is taken."""


@dataclass(frozen=True, slots=True)
class Bar:
    """An hour of the picture of what was done."""

    done: int
    failed: int
    hours_ago: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """What the ledger says."""

    queue: dict[str, dict[str, int]]
    """Priority -> state -> jobs that segment."""
    waiting_for: str
    """How long the oldest job has waited; empty where none does."""
    under_way: tuple[JobRow, ...]
    num_under_way: int
    hours: tuple[Bar, ...]
    """The longest ago first."""
    failures: tuple[JobRow, ...]
    destinations: DestinationRows

    @property
    def last_hour(self) -> Bar:
        """What ended in it."""
        return self.hours[-1]

    @property
    def num_done(self) -> int:
        """In all hours together."""
        return sum(bar.done for bar in self.hours)

    @property
    def num_failed(self) -> int:
        """In all hours together."""
        return sum(bar.failed for bar in self.hours)

    @property
    def tallest(self) -> int:
        """The most that ended in an hour, and no less than one."""
        return max(1, *(bar.done + bar.failed for bar in self.hours))


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRow:
    """An installed model."""

    description: ModelDescription
    parity: tuple[tuple[str, str], ...]
    """Precision, and the part of the voxels that got the same label as from PyTorch."""
    rules: tuple[str, ...]
    """Those that name it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """The first page."""

    troubles: dict[str, str]
    traffic: Traffic | None
    """None while the ledger is away."""
    away: str
    """Why it is."""
    models: tuple[ModelRow, ...]
    models_away: str
    facts: tuple[tuple[str, str], ...]
    """Of this server alone."""
    sentence: str
    """All of it in short, read out where it changes."""

    @property
    def is_closed(self) -> bool:
        """Whether senders are told to come again; other troubles have studies wait once they are taken."""
        return not _CLOSING.isdisjoint(self.troubles)


class Watch:
    """Gathers the overview; may be used by several threads.

    Args:
        sights: What is looked at.
    """

    def __init__(self, sights: Sights) -> None:
        self._sights, self._started = sights, time.monotonic()

    def look(self) -> Overview:
        """Return what goes on."""
        troubles = dict(self._sights.troubles())
        traffic, away = self._traffic(troubles)
        models, models_away = self._models()
        return Overview(
            troubles=troubles,
            traffic=traffic,
            away=away,
            models=models,
            models_away=models_away,
            facts=self._facts(),
            sentence=_sentence(troubles, traffic),
        )

    def _traffic(self, troubles: dict[str, str]) -> tuple[Traffic | None, str]:
        ledger = self._sights.ledger()
        if ledger is None or "ledger" in troubles:  # asking it again could take long, and the server does so already
            return None, troubles.get("ledger", "The server has just started.")
        try:
            return self._of_ledger(ledger), ""
        except LedgerError as error:
            return None, error.redacted

    def _of_ledger(self, ledger: Ledger) -> Traffic:
        now, running = time.time(), self._sights.running
        counts = ledger.counts_by_priority(SEGMENT)
        oldest = ledger.oldest(SEGMENT, JobState.QUEUED)
        under_way = ledger.changed_last(SEGMENT, [JobState.RUNNING], limit=_MOST_UNDER_WAY)
        failures = [
            job for queue in (SEGMENT, DELIVER) for job in ledger.changed_last(queue, GRAVE, limit=_MOST_FAILURES)
        ]
        failures.sort(key=lambda job: job.changed_at, reverse=True)
        return Traffic(
            queue={
                priority_name(priority): {state.value: counts.get(priority, {}).get(state, 0) for state in JobState}
                for priority in dict.fromkeys((*PRIORITIES.values(), *counts))
            },
            waiting_for=duration(now - oldest.enqueued_at) if oldest else "",
            under_way=tuple(job_row(job, running, now) for job in sorted(under_way, key=lambda job: job.id)),
            num_under_way=sum(each.get(JobState.RUNNING, 0) for each in counts.values()),
            hours=_hours(ledger),
            failures=tuple(job_row(job, running, now) for job in failures[:_MOST_FAILURES]),
            destinations=destination_rows(ledger, self._sights.settings.destinations, now),
        )

    def _models(self) -> tuple[tuple[ModelRow, ...], str]:
        rules = self._sights.rulebook.rules()
        try:
            described = self._sights.catalog.described()
        except (ScnasError, OSError) as error:
            return (), error.redacted if isinstance(error, ScnasError) else "The folder of models cannot be read."
        return tuple(
            ModelRow(
                description=model,
                parity=tuple(
                    (precision, part(agreement, 3))
                    for precision, agreement in zip(model.precisions, model.parity, strict=True)
                ),
                rules=tuple(rule.name for rule in rules if rule.model == model.name),
            )
            for model in described
        ), ""

    def _facts(self) -> tuple[tuple[str, str], ...]:
        admission, lived = self._sights.admission, max(time.monotonic() - self._started, 1.0)
        try:
            free = size(self._sights.spool.free_bytes())
        except OSError:
            free = "unknown: the spool is away"
        held = size(admission.held_bytes())
        return (
            ("Free on the spool's disk", free),
            ("Takes nothing more below", size(self._sights.settings.disk.min_free_bytes)),
            ("Memory held by studies", held if admission.limit is None else f"{held} of {size(admission.limit)}"),
            ("Studies in work here", f"{len(self._sights.running)} of {self._sights.settings.work.studies}"),
            ("Engine has computed", f"{part(min(1.0, self._sights.busy_seconds() / lived))} of the time"),
            ("Running for", duration(lived)),
            ("Version", version("scnas-deploy")),
        )


def _hours(ledger: Ledger) -> tuple[Bar, ...]:
    done, *failed = (ledger.changed_by_hour(SEGMENT, state, HOURS) for state in (JobState.DONE, *GRAVE))
    return tuple(Bar(done[hour], sum(each[hour] for each in failed), HOURS - 1 - hour) for hour in range(HOURS))


def _sentence(troubles: dict[str, str], traffic: Traffic | None) -> str:
    ready = f"This server is not ready: {', '.join(troubles)}." if troubles else "This server is ready."
    if traffic is None:
        return f"{ready} The ledger does not answer."
    queued = sum(states[JobState.QUEUED] for states in traffic.queue.values())
    return f"{ready} {traffic.num_under_way} under way, {queued} waiting, {traffic.num_failed} failed in a day."
