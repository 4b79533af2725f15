"""Jobs that bring a result to a destination."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scnas_deploy.errors import FormatError, RefusedError
from scnas_deploy.files import reading, sha256_of, sha256_of_file
from scnas_deploy.jobs.worker import Attempt
from scnas_deploy.serve.dicom.destinations import open_destination
from scnas_deploy.serve.dicom.outcomes import Receipts
from scnas_deploy.serve.settings import Destination, DicomSettings, ServeSettings
from scnas_deploy.serve.spool import Spool
from scnas_deploy.serve.work import DeliveryAnswer, DeliveryWork, ResultFile


class DeliveryHandler:
    """Runs the jobs of the delivery queue; may be used by several workers.

    Args:
        settings: Name the destinations, and us.
        spool: Holds the results.
    """

    def __init__(self, settings: ServeSettings, spool: Spool) -> None:
        self._destinations = {each.name: each for each in settings.destinations}
        self._our_ae_title = (settings.dicom or DicomSettings()).ae_title
        self._spool = spool

    def __call__(self, attempt: Attempt) -> Mapping[str, Any]:
        """Deliver a result.

        Raises:
            UnreachableError: If the destination does not answer, lets us not in, or asks to come again later.
            RefusedError: If it will never take the result, or there is no such destination any more.
            FormatError: If the result is not what it was when it was proven.
        """
        work = DeliveryWork.model_validate(attempt.job.payload)
        destination = self._destination(work.destination)
        files = self._files(work, destination)
        for file, path in files:
            attempt.check()
            _require_unchanged(file, path)
        if not files:
            return DeliveryAnswer(accepted=()).model_dump(mode="json")
        sender = open_destination(destination, self._our_ae_title)
        answer = sender.send(files, attempt.check, _receipts(attempt, destination))
        return answer.model_dump(mode="json")

    def _destination(self, name: str) -> Destination:
        if name not in self._destinations:
            raise RefusedError(
                name,
                expected="a destination of the settings",
                found="none of that name any more",
                remedy="Enter it again, then try again",
            )
        return self._destinations[name]

    def _files(self, work: DeliveryWork, destination: Destination) -> list[tuple[ResultFile, Path]]:
        """The DICOM files of the kinds that the destination is to have."""
        wanted = [file for file in work.files if file.sop_class and file.format in destination.formats]
        return [(file, self._spool.path(f"{work.folder}/{file.name}")) for file in wanted]


def _receipts(attempt: Attempt, destination: Destination) -> Receipts:
    """Of the attempts before, and kept for those to come, as long as the settings of the destination stay the same."""
    settings = sha256_of(destination.model_dump_json().encode())
    before = attempt.job.result or {}
    names = before.get("accepted", ()) if before.get("settings") == settings else ()
    return Receipts(names, lambda accepted: attempt.record({"settings": settings, "accepted": accepted}))


def _require_unchanged(file: ResultFile, path: Path) -> None:
    try:
        with reading(path):
            digest = sha256_of_file(path)
    except FileNotFoundError:
        digest = ""
    if digest != file.sha256:
        raise FormatError(
            "the result",
            expected=f"a file {file.name} as it was proven",
            found="another content" if digest else "no such file",
            remedy="Segment the study again",
        )
