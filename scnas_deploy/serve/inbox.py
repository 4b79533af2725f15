"""Where arriving objects go: onto the disk and into the ledger, and only then are they received."""

import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from scnas_deploy.jobs.patience import patiently
from scnas_deploy.serve.arrivals import Arrivals, study_key
from scnas_deploy.serve.metrics import Metrics
from scnas_deploy.serve.space import Space
from scnas_deploy.serve.spool import Spool


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A DICOM object that has arrived."""

    content: bytes = field(repr=False)
    """The whole file, preamble and meta information included."""
    study_uid: str
    sop_instance_uid: str
    called_ae_title: str
    calling_ae_title: str


class Inbox:
    """Receives objects; may be used by several threads.

    Args:
        spool: Keeps them.
        arrivals: Know of them.
        metrics: Count them.
        space: Lets in what fits.
        patience_s: Seconds that a sender waits for an absent ledger.
        stop: Ends the waiting.
    """

    def __init__(
        self,
        spool: Spool,
        arrivals: Arrivals,
        metrics: Metrics,
        *,
        space: Space,
        patience_s: float,
        stop: threading.Event,
    ) -> None:
        self._spool, self._arrivals, self._metrics, self._stop = spool, arrivals, metrics, stop
        self._space, self._patience_s = space, patience_s

    def receive(self, arrival: Arrival) -> None:
        """Take an object. When this returns it is on the disk and in the ledger.

        Raises:
            SpoolFullError: If too little space is left.
            OutputError: If it cannot be written.
            InputError: If the spool has gone away.
            LedgerError: If the ledger stays away.
        """
        key = study_key(arrival.study_uid, arrival.called_ae_title)
        with self._space.reserve(len(arrival.content)):
            self._store_and_note(key, arrival)
        self._metrics.objects_received.inc()

    def _store_and_note(self, key: str, arrival: Arrival) -> None:
        """Store the object and note it; once more where the study was forgotten between the two."""
        sent = (arrival.study_uid, arrival.called_ae_title, arrival.calling_ae_title)
        while True:
            name = self._spool.store_object(key, arrival.sop_instance_uid, arrival.content)
            is_first = patiently(lambda: self._arrivals.touch(*sent), self._stop, waits_s=self._waits())
            self._metrics.studies_received.inc(int(is_first))
            if (self._spool.incoming(key) / name).exists():
                return

    def _waits(self) -> Iterator[float]:
        """A second each, for as long as the sender's patience lasts."""
        deadline = time.monotonic() + self._patience_s
        while time.monotonic() < deadline:
            yield 1.0

    def known(self, study_uid: str, called_ae_title: str) -> int:
        """Return how many objects of a study have been received, 0 where none has."""
        key = study_key(study_uid, called_ae_title)
        return 0 if self._arrivals.find(key) is None else len(self._spool.objects(key))

    def missing(self, study_uid: str, called_ae_title: str, sop_instance_uids: Collection[str]) -> set[str]:
        """Return those of a study's objects that have not been received, all where the ledger knows no such study.

        Raises:
            LedgerError: If the ledger does not answer.
        """
        key = study_key(study_uid, called_ae_title)
        if self._arrivals.find(key) is None:
            return set(sop_instance_uids)
        there = {name.partition(".")[0] for name in self._spool.objects(key)}
        return {uid for uid in sop_instance_uids if self._spool.object_prefix(uid) not in there}
