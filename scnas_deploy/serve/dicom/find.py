"""An archive asked by C-FIND, that sends its objects to our node by C-MOVE (PS3.4, annex C)."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import groupby, islice
from typing import Any, Final

from scnas_deploy.data.dicom.library import pydicom
from scnas_deploy.errors import RefusedError, UnreachableError
from scnas_deploy.serve.dicom.associations import associated, unreachable
from scnas_deploy.serve.dicom.library import pynetdicom
from scnas_deploy.serve.dicom.reconcile import Archive, ArchivedObject, ArchivedSeries, Take
from scnas_deploy.serve.settings import FindSource

_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
_MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
_PENDING: Final = {0xFF00, 0xFF01}
_SUCCESS, _SOME_FAILED = 0x0000, 0xB000
_ANSWER_S: Final = 600.0
"""Some say nothing until all of a series has been sent."""
_MAX_FOUND: Final = 100_000
_MAX_LISTED: Final = 256
"""Objects that are asked for together: a list of UIDs has at most 64 KiB."""


@contextmanager
def find_archive(source: FindSource, our_ae_title: str) -> Iterator[Archive]:
    """Associate with an archive until the block ends.

    Raises:
        UnreachableError: If it does not answer.
        RefusedError: If it does not know us.
        ConfigError: If certificates cannot be used.
    """
    contexts = [pynetdicom().build_context(each) for each in (_FIND, _MOVE)]
    with associated(source, our_ae_title, contexts, answer_s=_ANSWER_S) as association:
        yield _FindArchive(source, association)


class _FindArchive:
    def __init__(self, source: FindSource, association: Any) -> None:
        self._source, self._association = source, association
        self._accepted = {str(each.abstract_syntax) for each in association.accepted_contexts}

    def studies(self, modalities: Sequence[str], since: date) -> Iterator[str]:
        """Yield the UIDs of the studies of a day or later that have series of one of the modalities."""
        for modality in modalities:
            asked = {"StudyDate": f"{since:%Y%m%d}-", "ModalitiesInStudy": modality, "StudyInstanceUID": ""}
            yield from (_text(found, "StudyInstanceUID") for found in self._found("STUDY", asked))

    def series(self, study_uid: str) -> list[ArchivedSeries]:
        """Return a study's series."""
        asked = {"Modality": "", "SeriesInstanceUID": "", "NumberOfSeriesRelatedInstances": ""}
        return [
            ArchivedSeries(_text(found, "SeriesInstanceUID"), _text(found, "Modality"), _count(found))
            for found in self._found("SERIES", {"StudyInstanceUID": study_uid} | asked)
        ]

    def objects(self, study_uid: str, series_uid: str) -> list[ArchivedObject]:
        """Return a series' objects."""
        keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
        return [
            ArchivedObject(series_uid, _text(found, "SOPInstanceUID"), _text(found, "SOPClassUID"))
            for found in self._found("IMAGE", keys | {"SOPInstanceUID": "", "SOPClassUID": ""})
        ]

    def fetch(
        self,
        study_uid: str,
        wanted: Iterable[ArchivedObject],
        whole: Collection[str],
        take: Take,  # noqa: ARG002
    ) -> int:
        """Have the objects sent to our node; return how many were."""
        completed = 0
        for series_uid, objects in groupby(wanted, key=lambda each: each.series_uid):
            keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
            if series_uid in whole:
                completed += self._move("SERIES", keys).completed
            else:
                completed += self._move_listed(keys, objects)
        return completed

    def _move_listed(self, keys: Mapping[str, str], objects: Iterator[ArchivedObject]) -> int:
        """Have some objects of a series sent, all of it where the archive takes no lists; return how many were."""
        completed = 0
        while uids := [each.uid for each in islice(objects, _MAX_LISTED)]:
            try:
                moved = self._move("IMAGE", {**keys, "SOPInstanceUID": uids})
            except (RefusedError, UnreachableError):  # statuses say too little to tell which list or way it was
                moved = _Moved(0, 0)
            completed += moved.completed
            if moved.tried < len(uids):
                return completed + self._move("SERIES", keys).completed
        return completed

    def _move(self, level: str, keys: Mapping[str, str | list[str]]) -> "_Moved":
        self._require(_MOVE)
        answers = self._association.send_c_move(_query(level, keys), self._source.called_ae_title, _MOVE)
        moved = _Moved(0, 0)
        for status, _ in self._answers(answers):
            counts = [status.get(f"NumberOf{how}Suboperations") or 0 for how in ("Completed", "Warning", "Failed")]
            moved = max(moved, _Moved(sum(counts[:2]), sum(counts)))  # not all archives tell it to the end
        return moved

    def _found(self, level: str, keys: dict[str, str]) -> Iterator[Any]:
        self._require(_FIND)
        answers = self._answers(self._association.send_c_find(_query(level, keys), _FIND))
        found = [identifier for status, identifier in answers if status.Status in _PENDING and identifier is not None]
        yield from found

    def _answers(self, answers: Any) -> Iterator[tuple[Any, Any]]:
        """Yield status and identifier of each answer, the last one included, if that says that all went well."""
        name = self._source.name
        for number, (status, identifier) in enumerate(answers):
            if "Status" not in status:
                raise unreachable(name, "none, or that it ended the association")
            if status.Status >> 8 == 0xA7:
                raise UnreachableError(
                    name, expected="success", found=f"status {status.Status:04X}", remedy="It is tried again later"
                )
            if status.Status not in {_SUCCESS, _SOME_FAILED, *_PENDING}:
                raise self._refused(f"status {status.Status:04X}")
            if number > _MAX_FOUND:
                raise self._refused(f"more than {_MAX_FOUND} answers")
            yield status, identifier

    def _require(self, what: str) -> None:
        if not self._association.is_established:
            raise unreachable(self._source.name, "that it ended the association")
        if what not in self._accepted:
            raise self._refused("that it takes no queries or moves of studies")

    def _refused(self, found: str) -> RefusedError:
        return RefusedError(
            self._source.name,
            expected="an archive that answers queries and sends to our AE title",
            found=found,
            remedy="Have our AE title, address and port entered there",
        )


@dataclass(frozen=True, order=True, slots=True)
class _Moved:
    """How many objects an archive says that it has sent, and tried to send."""

    completed: int
    tried: int


def _query(level: str, keys: Mapping[str, str | list[str]]) -> Any:
    dataset = pydicom().Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def _text(found: Any, keyword: str) -> str:
    return str(found.get(keyword, "") or "")


def _count(found: Any) -> int | None:
    text = _text(found, "NumberOfSeriesRelatedInstances")
    return int(text) if text.isdecimal() else None
