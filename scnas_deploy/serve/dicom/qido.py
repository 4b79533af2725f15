"""An archive asked by QIDO-RS (PS3.18, 10.6), that gives its objects by WADO-RS (10.4)."""

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, Final

from scnas_deploy.errors import FormatError, RefusedError, UnreachableError
from scnas_deploy.serve.dicom.dicomweb import DicomWeb, only_part, values
from scnas_deploy.serve.dicom.reconcile import Archive, ArchivedObject, ArchivedSeries, Take
from scnas_deploy.serve.logs import event, logger
from scnas_deploy.serve.settings import QidoSource

_LOG: Final = logger("serve.reconcile")
_SOP_CLASS, _SOP_INSTANCE = "00080016", "00080018"
_MODALITY, _MODALITIES = "00080060", "00080061"
_STUDY, _SERIES, _NUM_OBJECTS = "0020000D", "0020000E", "00201209"
_PAGE: Final = 500
_MAX_FOUND: Final = 100_000
_ANY_SYNTAX: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_ENVELOPE_BYTES: Final = 64 << 10
_MOST_UNANSWERED: Final = 3
"""Objects in a row, after which the archive counts as away."""


@contextmanager
def qido_archive(source: QidoSource, max_object_bytes: int) -> Iterator[Archive]:
    """Open an archive until the block ends.

    Raises:
        ConfigError: If a password, token or certificate cannot be read.
    """
    with DicomWeb(source) as web:
        yield _QidoArchive(web, max_object_bytes)


class _QidoArchive:
    def __init__(self, web: DicomWeb, max_object_bytes: int) -> None:
        self._web, self._max_object_bytes = web, max_object_bytes

    def studies(self, modalities: Sequence[str], since: date) -> Iterator[str]:
        """Yield the UIDs of the studies of a day or later that have, or may have, series of one of the modalities.

        These are not asked for: Orthanc 1.10 leaves out studies on all pages but the first where they are.
        """
        asked = {"StudyDate": f"{since:%Y%m%d}-", "includefield": _MODALITIES}
        for found in self._all("/studies", _STUDY, **asked):
            if not (there := values(found, _MODALITIES)) or set(modalities) & set(map(str, there)):
                yield _text(found, _STUDY)

    def series(self, study_uid: str) -> list[ArchivedSeries]:
        """Return a study's series."""
        return [
            ArchivedSeries(_text(found, _SERIES), _text(found, _MODALITY), _count(found))
            for found in self._all(f"/studies/{study_uid}/series", _SERIES, includefield=_NUM_OBJECTS)
        ]

    def objects(self, study_uid: str, series_uid: str) -> list[ArchivedObject]:
        """Return a series' objects."""
        path = f"/studies/{study_uid}/series/{series_uid}/instances"
        return [
            ArchivedObject(series_uid, _text(found, _SOP_INSTANCE), _text(found, _SOP_CLASS))
            for found in self._all(path, _SOP_INSTANCE)
        ]

    def fetch(
        self,
        study_uid: str,
        wanted: Iterable[ArchivedObject],
        whole: Collection[str],  # noqa: ARG002
        take: Take,
    ) -> int:
        """Fetch objects one by one; return how many were taken. One that is not given does not stop the others.

        Raises:
            UnreachableError: If several in a row are not answered.
        """
        fetched = unanswered = 0
        for each in wanted:
            try:
                take(each, self._object(study_uid, each))
                fetched, unanswered = fetched + 1, 0
            except (FormatError, RefusedError, UnreachableError) as error:
                unanswered = unanswered + 1 if isinstance(error, UnreachableError) else 0
                if unanswered == _MOST_UNANSWERED:
                    raise
                event(_LOG, logging.WARNING, "an object was not taken", source=self._web.name, error=error.redacted)
        return fetched

    def _object(self, study_uid: str, wanted: ArchivedObject) -> bytes:
        path = f"/studies/{study_uid}/series/{wanted.series_uid}/instances/{wanted.uid}"
        with self._web.asked("GET", path, headers={"Accept": _ANY_SYNTAX}) as response:
            self._web.require(response)
            content = self._web.content(response, self._max_object_bytes + _ENVELOPE_BYTES)
            return only_part(content, response.headers.get("Content-Type", ""))

    def _all(self, path: str, tag: str, **parameters: str) -> Iterator[dict[str, Any]]:
        """Yield what is found, page by page; a service may give fewer at a time than asked for."""
        seen: set[str] = set()
        while len(seen) < _MAX_FOUND:
            page = self._web.query(path, limit=_PAGE, offset=len(seen), **parameters)
            fresh = {uid: found for found in page if (uid := _text(found, tag)) and uid not in seen}
            if not fresh:
                return
            seen.update(fresh)
            yield from fresh.values()
        raise RefusedError(
            self._web.name, expected=f"fewer than {_MAX_FOUND} answers", found="more", remedy="Ask for fewer days"
        )


def _text(found: dict[str, Any], tag: str) -> str:
    listed = values(found, tag)
    return listed[0] if listed and isinstance(listed[0], str) else ""


def _count(found: dict[str, Any]) -> int | None:
    listed = values(found, _NUM_OBJECTS)
    try:
        return int(listed[0])
    except (IndexError, TypeError, ValueError):
        return None
