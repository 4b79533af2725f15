"""Studies of which nothing more has come become jobs."""

import json
import time
from pathlib import Path
from typing import Final

from scnas_deploy.data.dicom.attributes import text
from scnas_deploy.data.dicom.headers import UnreadableError, read_header
from scnas_deploy.data.dicom.sources import FileSource
from scnas_deploy.errors import InputError, LedgerError
from scnas_deploy.files import sha256_of
from scnas_deploy.jobs.job import NewJob
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.schema import is_away
from scnas_deploy.serve.arrivals import Arrivals, ArrivedStudy, study_key
from scnas_deploy.serve.catalog import ModelCatalog
from scnas_deploy.serve.logs import event, in_words, logger
from scnas_deploy.serve.rulebook import RuleBook, fitting
from scnas_deploy.serve.settings import Rule
from scnas_deploy.serve.spool import Spool
from scnas_deploy.serve.tracing import past_span
from scnas_deploy.serve.work import PRIORITIES, SEGMENT, StudyWork

NO_RULE: Final = "no rule fits"
_LOG: Final = logger("serve.closing")
_INFO, _WARNING = 20, 30
_AGAIN_S: Final = 30.0
"""Seconds until a study whose model cannot be used is looked at again."""


class Closer:
    """Closes quiet studies; several servers may do so at once, since the same study makes the same jobs."""

    def __init__(
        self,
        ledger: Ledger,
        spool: Spool,
        catalog: ModelCatalog,
        rulebook: RuleBook,
        *,
        quiet_s: float,
        max_attempts: int,
    ) -> None:
        self._ledger, self._arrivals = ledger, Arrivals(ledger)
        self._spool, self._catalog, self._rulebook = spool, catalog, rulebook
        self._quiet_s, self._max_attempts = quiet_s, max_attempts
        self._not_before: dict[str, float] = {}

    def close_quiet(self) -> int:
        """Make jobs of the studies that are complete; returns how many studies were closed.

        Raises:
            LedgerError: If the ledger cannot be reached.
        """
        now = time.monotonic()
        due = [study for study in self._arrivals.quiet(self._quiet_s) if self._not_before.get(study.key, 0.0) <= now]
        return sum(map(self._tried, due))

    def recover(self) -> int:
        """Open closed studies again whose folder holds more than was closed; returns how many.

        So it is with an object that was stored by a server that was killed before it said so.
        """
        grown = [
            study
            for study in self._arrivals.closed(before=float("inf"))
            if len(self._spool.objects(study.key)) > study.num_objects
        ]
        for study in grown:
            self._arrivals.reopen(study)
        return len(grown) + sum(map(self._note_unknown, list(self._spool.studies())))

    def _note_unknown(self, folder: Path) -> bool:
        """Note a study whose first object was stored, and no more than that, when the server was killed."""
        names = self._spool.objects(folder.name)
        if not names or self._arrivals.find(folder.name) is not None:
            return False
        try:
            uid = text(read_header(FileSource(folder / names[0])).dataset, "StudyInstanceUID")
        except UnreadableError:
            return False
        titles = [each for each in self._rulebook.called_ae_titles() if study_key(uid, each) == folder.name]
        for title in titles:
            self._arrivals.touch(uid, title, "")
        return bool(titles)

    def _tried(self, study: ArrivedStudy) -> bool:
        """Close a study, or note why that cannot be done yet, which stops no other study."""
        try:
            self._close(study)
        except LedgerError as error:
            if is_away(error):
                raise
            return self._keep_waiting(study, error)
        except Exception as error:  # noqa: BLE001  # whatever a header holds, the other studies are to be closed
            return self._keep_waiting(study, error)
        self._not_before.pop(study.key, None)
        return True

    def _keep_waiting(self, study: ArrivedStudy, error: Exception) -> bool:
        said = in_words(error)
        self._arrivals.keep_waiting(study, f"waits: {said}")
        self._not_before[study.key] = time.monotonic() + _AGAIN_S
        event(_LOG, _WARNING, "a study waits", error=said)
        return False

    def _close(self, study: ArrivedStudy) -> None:
        self._spool.require_there()
        names = self._spool.objects(study.key)
        if not names:
            raise InputError("the study", expected="its objects", found="none", remedy="Send it again")
        folder = self._spool.incoming(study.key)
        rules = fitting(self._rulebook.rules(), study.called_ae_title, lambda: [folder / name for name in names])
        trace = past_span("receive", study.first_at, study.last_at, objects=len(names))
        jobs = [self._job(study, rule, names, trace) for rule in rules]
        self._ledger.enqueue(SEGMENT, jobs)
        outcome = f"rules: {', '.join(rule.name for rule in rules)}" if rules else NO_RULE
        self._arrivals.close(study, num_objects=len(names), outcome=outcome)
        event(_LOG, _INFO, "a study was closed", objects=len(names), jobs=len(jobs), outcome=outcome)

    def _job(self, study: ArrivedStudy, rule: Rule, names: list[str], trace: str) -> NewJob:
        work = StudyWork(
            source="dicom",
            submitted_by=study.calling_ae_title,
            folder=self._spool.relative(self._spool.incoming(study.key)),
            files=tuple(names),
            rule=rule.name,
            model=rule.model,
            model_digest=self._catalog.pin(rule.model).digest,
            formats=rule.formats,
            destinations=rule.destinations,
            allow=rule.allow,
            traceparent=trace,
        )
        return NewJob(
            key=_key(study, work),
            kind=SEGMENT,
            payload=work.model_dump(mode="json", by_alias=True),
            priority=PRIORITIES[rule.priority],
            max_attempts=self._max_attempts,
        )


def _key(study: ArrivedStudy, work: StudyWork) -> str:
    """Name a job by what goes in and what is asked for: the same again is the same job."""
    asked = work.model_dump(mode="json", exclude={"traceparent", "submitted_by", "files"})
    return sha256_of(json.dumps([study.key, sorted(work.files), asked], sort_keys=True).encode())
