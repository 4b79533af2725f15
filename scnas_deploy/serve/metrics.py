"""What a monitoring system sees of a server: figures without a patient's name, identifier or date."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scnas_deploy.errors import LedgerError
from scnas_deploy.jobs.job import JobState
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.schema import JOBS
from scnas_deploy.serve.work import DELIVER, SEGMENT

_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000)


class Metrics:
    """Counted by whoever does the work; all names begin with ``scnas_``."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.studies_received = Counter("scnas_studies_received", "Studies begun by a first object.", registry=registry)
        self.objects_received = Counter("scnas_objects_received", "DICOM objects stored.", registry=registry)
        self.refusals = Counter(
            "scnas_refusals", "Calls, associations and objects refused.", ["by", "reason"], registry=registry
        )
        self.results = Counter(
            "scnas_results", "Segmentations ended, by model and outcome.", ["model", "outcome"], registry=registry
        )
        self.deliveries = Counter(
            "scnas_deliveries",
            "Deliveries ended, by destination and outcome.",
            ["destination", "outcome"],
            registry=registry,
        )
        self.study_seconds = Histogram(
            "scnas_study_seconds", "Seconds of a study's stages.", ["stage"], buckets=_SECONDS, registry=registry
        )


class StateCollector(Collector):
    """Looks at ledger, disk and engines whenever the figures are asked for.

    Args:
        ledger: Of all servers; gives None before it was opened.
        free_bytes: Free space of the spool.
        busy_seconds: In which an engine of this server has computed.
        is_ready: Whether it takes work.
    """

    def __init__(
        self,
        ledger: Callable[[], Ledger | None],
        *,
        free_bytes: Callable[[], int],
        busy_seconds: Callable[[], float],
        is_ready: Callable[[], bool],
    ) -> None:
        self._ledger = ledger
        self._free_bytes, self._busy_seconds, self._is_ready = free_bytes, busy_seconds, is_ready
        self._started = time.monotonic()

    def collect(self) -> Iterator[Metric]:
        """Yield the figures as they are now."""
        busy, lived = self._busy_seconds(), max(time.monotonic() - self._started, 1e-9)
        yield _gauge("scnas_engine_seconds_total", "Seconds in which an engine computed.", busy)
        yield _gauge("scnas_engine_busy_ratio", "Part of the server's life in which an engine computed.", busy / lived)
        yield _gauge("scnas_ready", "1 where the server takes work.", self._is_ready())
        with suppress(OSError):  # a share that is away has none
            yield _gauge("scnas_disk_free_bytes", "Free space of the spool.", self._free_bytes())
        ledger = self._ledger()
        try:
            jobs, oldest = (None, None) if ledger is None else (_jobs(ledger), _oldest(ledger))
        except LedgerError:
            jobs = oldest = None
        if jobs is None or oldest is None:
            yield _gauge("scnas_ledger_up", "1 where the ledger answers.", 0)
            return
        yield _gauge("scnas_ledger_up", "1 where the ledger answers.", 1)
        yield jobs
        yield oldest


def _jobs(ledger: Ledger) -> GaugeMetricFamily:
    family = GaugeMetricFamily("scnas_jobs", "Jobs of all servers.", labels=["queue", "state"])
    for queue in (SEGMENT, DELIVER):
        for state, number in ledger.counts(queue).items():
            family.add_metric([queue, state.value], number)
    return family


def _oldest(ledger: Ledger) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "scnas_oldest_waiting_seconds", "Age of the oldest job that waits; 0 where none does.", labels=["queue"]
    )
    with ledger.transaction() as (connection, now):
        for queue in (SEGMENT, DELIVER):
            waiting = sa.and_(JOBS.c.queue == queue, JOBS.c.state == JobState.QUEUED)
            first = connection.scalar(sa.select(sa.func.min(JOBS.c.enqueued_at)).where(waiting))
            family.add_metric([queue], 0.0 if first is None else max(0.0, now - first))
    return family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))
