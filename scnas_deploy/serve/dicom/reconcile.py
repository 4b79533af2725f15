"""Looking at what an archive has and we have missed, as while the server or the way to it was down.

Asked for are identifiers, dates, modalities, kinds and counts; what else an archive tells with them is not looked at.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from itertools import takewhile
from typing import Final, Protocol

from scnas_deploy.errors import FormatError, RefusedError, UnreachableError
from scnas_deploy.serve.dicom.objects import IMAGE_CLASSES, identify_file, is_uid
from scnas_deploy.serve.inbox import Arrival, Inbox
from scnas_deploy.serve.logs import event, logger
from scnas_deploy.serve.settings import QidoSource, ReconcileSource

_LOG: Final = logger("serve.reconcile")
_LONGEST_WAIT_S: Final = 6 * 3600.0
_PROOF_S: Final = 6 * 3600.0
"""For so long an unchanged study that was found complete is not listed again."""
_MAX_OBJECT_BYTES: Final = 2_000_000_000


@dataclass(frozen=True, slots=True)
class ArchivedSeries:
    """A series as an archive lists it."""

    uid: str
    modality: str
    num_objects: int | None
    """None where it does not tell."""


@dataclass(frozen=True, slots=True)
class ArchivedObject:
    """An object as an archive lists it."""

    series_uid: str
    uid: str
    sop_class: str
    """Empty where it does not tell."""


Take = Callable[[ArchivedObject, bytes], None]
"""Is given each object's file; raises FormatError where it is not that object."""


class Archive(Protocol):
    """A way to ask an archive. Every method raises UnreachableError or RefusedError."""

    def studies(self, modalities: Sequence[str], since: date) -> Iterator[str]:
        """Yield the UIDs of the studies of a day or later that have, or may have, series of one of the modalities."""

    def series(self, study_uid: str) -> list[ArchivedSeries]:
        """Return a study's series."""

    def objects(self, study_uid: str, series_uid: str) -> list[ArchivedObject]:
        """Return a series' objects."""

    def fetch(self, study_uid: str, wanted: Iterable[ArchivedObject], whole: Collection[str], take: Take) -> int:
        """Have objects brought here, to ``take`` or to our node, as they come; return how many have been.

        Those of a series come one after another. ``whole`` are the UIDs of the series of which all objects are wanted.
        """


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a look has found."""

    found: int
    """Studies there."""
    missing: int
    """Of these, with objects that we have not."""
    fetched: int
    """Objects brought here."""


class Reconciler:
    """Looks into one archive, and has brought here what is missing.

    Objects are compared by their UIDs: of equal numbers here and there nothing follows, as where a series was replaced,
    or where what came was of another modality. A study that was found complete is listed again when its series or
    numbers change, and after some hours. One of which something stays missing, as an object that nobody can read, is
    asked for again after waits that grow to some hours.

    Args:
        source: See there.
        inbox: Knows what has arrived, and takes what is fetched.
        our_ae_title: Who we are when we ask.
        max_object_bytes: Of one object.
        stop: Ends a look.
    """

    def __init__(
        self,
        source: ReconcileSource,
        inbox: Inbox,
        our_ae_title: str,
        *,
        max_object_bytes: int = _MAX_OBJECT_BYTES,
        stop: threading.Event | None = None,
    ) -> None:
        self._source, self._inbox, self._our_ae_title = source, inbox, our_ae_title
        self._max_object_bytes, self._stop = max_object_bytes, stop or threading.Event()
        self._asked: dict[str, _Asked] = {}
        self._complete: dict[str, _Complete] = {}

    def run_once(self) -> Reconciled:
        """Look once.

        Raises:
            UnreachableError: If the archive does not answer, or to no question about any study.
            RefusedError: If it will not.
            SpoolFullError: If there is no room for what is missing.
            OutputError: If it cannot be written.
            LedgerError: If the ledger does not answer.
        """
        since = date.today() - timedelta(days=self._source.days - 1)
        with self._opened() as archive:
            studies = dict.fromkeys(filter(is_uid, archive.studies(self._source.modalities, since)))
            self._asked = {uid: asked for uid, asked in self._asked.items() if uid in studies}
            self._complete = {uid: complete for uid, complete in self._complete.items() if uid in studies}
            missing, fetched = self._look_at(archive, list(studies))
        if fetched:
            event(_LOG, logging.INFO, "fetched what was missing", source=self._source.name, objects=fetched)
        return Reconciled(found=len(studies), missing=missing, fetched=fetched)

    def _look_at(self, archive: Archive, studies: Sequence[str]) -> tuple[int, int]:
        """Look at each study, and fetch what is due; one that is not given stops no other."""
        missing = fetched = 0
        failures: list[RefusedError | UnreachableError] = []
        for uid in takewhile(lambda _: not self._stop.is_set(), studies):
            try:
                wanted = self._missing(archive, uid)
                missing += bool(wanted.objects)
                if wanted.objects and self._is_due(uid, len(wanted.objects)):
                    fetched += self._fetch(archive, uid, wanted)
            except (RefusedError, UnreachableError) as error:
                failures.append(error)
        if failures and all(isinstance(each, UnreachableError) for each in failures) and len(failures) == len(studies):
            raise failures[-1]
        for each in failures:
            event(_LOG, logging.WARNING, "a study that is not given", source=self._source.name, error=each.redacted)
        return missing, fetched

    def _opened(self) -> AbstractContextManager[Archive]:
        if isinstance(self._source, QidoSource):
            from scnas_deploy.serve.dicom.qido import qido_archive

            return qido_archive(self._source, self._max_object_bytes)
        from scnas_deploy.serve.dicom.find import find_archive

        return find_archive(self._source, self._our_ae_title)

    def _missing(self, archive: Archive, study_uid: str) -> "_Missing":
        """A study's images that the archive has and we have not."""
        called = self._source.called_ae_title
        known = self._inbox.known(study_uid, called)
        series = frozenset(each for each in archive.series(study_uid) if each.modality in self._source.modalities)
        complete = self._complete.get(study_uid)
        if complete is not None and complete.is_still(series, known):
            return _Missing((), frozenset())
        listed = [each for one in series if is_uid(one.uid) for each in archive.objects(study_uid, one.uid)]
        images = {each.uid for each in listed if is_uid(each.uid) and each.sop_class in ("", *IMAGE_CLASSES)}
        missing = self._inbox.missing(study_uid, called, images)
        if not missing:
            self._complete[study_uid] = _Complete(series, known, time.monotonic() + _PROOF_S)
        partly = {each.series_uid for each in listed if each.uid not in missing}
        wanted = tuple(each for each in listed if each.uid in missing)
        return _Missing(wanted, frozenset(each.series_uid for each in wanted) - partly)

    def _is_due(self, study_uid: str, num_wanted: int) -> bool:
        asked = self._asked.get(study_uid)
        return asked is None or asked.num_wanted != num_wanted or time.monotonic() >= asked.not_before

    def _note(self, study_uid: str, num_wanted: int) -> None:
        """Note that a study was asked for; where it is complete by now, that is of no consequence."""
        asked = self._asked.get(study_uid)
        times = asked.times + 1 if asked is not None and asked.num_wanted == num_wanted else 0
        wait_s = min(self._source.every_s * 2 ** min(times, 30), _LONGEST_WAIT_S)
        self._asked[study_uid] = _Asked(num_wanted, times, time.monotonic() + wait_s)

    def _fetch(self, archive: Archive, study_uid: str, wanted: "_Missing") -> int:
        going_on = takewhile(lambda _: not self._stop.is_set(), wanted.objects)
        try:
            fetched = archive.fetch(study_uid, going_on, wanted.whole, partial(self._take, study_uid))
        except (RefusedError, UnreachableError):
            self._note(study_uid, len(wanted.objects))
            raise
        self._note(study_uid, len(wanted.objects))
        return fetched

    def _take(self, study_uid: str, wanted: ArchivedObject, content: bytes) -> None:
        identity = identify_file(content)
        asked_for = (study_uid, wanted.uid) == (identity.study_uid, identity.sop_instance_uid)
        if not asked_for or identity.sop_class not in IMAGE_CLASSES:
            raise FormatError(
                "an object", expected="the image asked for", found="another one", remedy="Look at the archive"
            )
        arrival = Arrival(
            content=content,
            study_uid=study_uid,
            sop_instance_uid=wanted.uid,
            called_ae_title=self._source.called_ae_title,
            calling_ae_title=self._source.name,
        )
        self._inbox.receive(arrival)


@dataclass(frozen=True, slots=True)
class _Missing:
    """What of a study we have not."""

    objects: tuple[ArchivedObject, ...]
    """Those of a series one after another."""
    whole: frozenset[str]
    """UIDs of the series of which that is all there is."""


@dataclass(frozen=True, slots=True)
class _Complete:
    """A study of which, object by object, nothing was missing."""

    series: frozenset[ArchivedSeries]
    num_known: int
    until: float
    """Of :func:`time.monotonic`, when it is looked at object by object again in any case."""

    def is_still(self, series: frozenset[ArchivedSeries], num_known: int) -> bool:
        """Whether nothing suggests that it has changed, there or here."""
        is_told = all(each.num_objects is not None for each in series)
        return is_told and (self.series, self.num_known) == (series, num_known) and time.monotonic() < self.until


@dataclass(frozen=True, slots=True)
class _Asked:
    """When a study was asked for."""

    num_wanted: int
    times: int
    not_before: float
    """Of :func:`time.monotonic`, when it may be asked for again."""
