"""Removes what nobody needs any more: finished jobs after their time, with their results, studies and uploads."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from scnas_deploy.jobs.job import Job, JobState
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.schema import JOBS
from scnas_deploy.serve.arrivals import Arrivals, ArrivedStudy
from scnas_deploy.serve.spool import MODELS, RESULTS, UPLOADS, Spool
from scnas_deploy.serve.work import DELIVER, SEGMENT, delivery_key

_DAY_S: Final = 86_400.0
_ORPHAN_AGE_S: Final = _DAY_S
"""What no job knows may be under way for as long as this."""
_LIVE: Final = (JobState.QUEUED, JobState.RUNNING, JobState.DEAD)
"""States of a delivery that still needs the result; a dead one waits for a person."""


class Janitor:
    """Tidies a ledger and its spool; several servers may do so at once.

    Args:
        ledger: The jobs.
        spool: Their files.
        keep_days: How long finished things stay.
    """

    def __init__(self, ledger: Ledger, spool: Spool, *, keep_days: float) -> None:
        self._ledger, self._spool, self._keep_s = ledger, spool, keep_days * _DAY_S
        self._arrivals = Arrivals(ledger)

    def tidy(self) -> int:
        """Remove what is due; returns how many jobs were forgotten.

        Raises:
            LedgerError: If the ledger cannot be reached.
        """
        now = time.time()
        forgotten = self._forget_jobs(now - self._keep_s)
        self._forget_studies(now - self._keep_s)
        for folder in (UPLOADS, RESULTS):
            self._remove_orphans(folder, now - _ORPHAN_AGE_S)
        self._remove_unknown(now - _ORPHAN_AGE_S)
        self._remove_models(now - _ORPHAN_AGE_S)
        self._spool.remove_leftovers(age_s=_ORPHAN_AGE_S)
        return forgotten

    def _forget_jobs(self, before: float) -> int:
        """Forget each study's job and its deliveries together, so that no half of them is left."""
        forgotten = last = 0
        while jobs := self._ledger.finished_before(before, queues=[SEGMENT], after=last):
            forgotten += sum(self._forget(job, before) for job in jobs)
            last = jobs[-1].id
        return forgotten

    def _forget(self, job: Job, before: float) -> bool:
        """Forget a job whose deliveries are all over since that time too."""
        destinations = job.payload["destinations"]
        keys = [delivery_key(job.key, job.attempt, destination) for destination in destinations]
        deliveries = self._ledger.named(DELIVER, keys).values()
        if any(delivery.state in _LIVE or delivery.changed_at >= before for delivery in deliveries):
            return False
        if job.result and "folder" in job.result:
            self._spool.remove(self._spool.path(job.result["folder"]))
        if job.payload["source"] == "grpc":
            self._spool.remove(self._spool.path(job.payload["folder"]))
        self._ledger.forget([job.id, *(each.id for each in deliveries)])  # last: it may be submitted again then
        return True

    def _forget_studies(self, before: float) -> None:
        for study in self._arrivals.closed(before=before):
            if not self._used([self._spool.relative(self._spool.incoming(study.key))]):
                self._forget_study(study)

    def _forget_study(self, study: ArrivedStudy) -> None:
        """Forget a study and take its folder away in one step: what comes meanwhile is not removed with it."""
        graves: list[Path | None] = []
        self._arrivals.forget(study, lambda: graves.append(self._spool.bury(study.key)))
        for grave in filter(None, graves):
            self._spool.remove(grave)

    def _remove_unknown(self, before: float) -> None:
        """Remove folders of objects that nobody was told are received, and that no study was made of since."""
        old = {each.name: each for each in self._spool.studies() if each.stat().st_mtime < before}
        for name in old.keys() - self._arrivals.known(old):
            self._spool.remove(old[name])

    def _used(self, folders: Iterable[str]) -> set[str]:
        """Those of the folders that a job reads or has written."""
        named = list(folders)
        read, written = JOBS.c.payload["folder"].as_string(), JOBS.c.result["folder"].as_string()
        with self._ledger.reading() as connection:
            return {
                str(name)
                for column in (read, written)
                for name in connection.scalars(sa.select(column).where(column.in_(named)))
            }

    def _remove_orphans(self, where: str, before: float) -> None:
        """Remove folders of attempts and uploads that came to nothing."""
        old = {self._spool.relative(each): each for each in _old(self._spool.root / where, before)}
        for name in old.keys() - self._used(old):
            self._spool.remove(old[name])

    def _remove_models(self, before: float) -> None:
        """Remove packages that no job was made for."""
        digest = JOBS.c.payload["model_digest"].as_string()
        with self._ledger.reading() as connection:
            used = set(connection.scalars(sa.select(digest).where(JOBS.c.queue == SEGMENT).distinct()))
        for path in _old(self._spool.root / MODELS, before):
            if path.stem not in used:
                self._spool.remove(path)


def _old(folder: Path, before: float) -> list[Path]:
    return [each for each in folder.iterdir() if each.name[0] != "." and each.stat().st_mtime < before]
