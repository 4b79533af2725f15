"""Delivering results by STOW-RS (PS3.18, 10.5)."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final
from uuid import uuid4

from scnas_deploy.errors import UnreachableError
from scnas_deploy.serve.dicom.dicomweb import JSON, DicomWeb, parsed, values
from scnas_deploy.serve.dicom.outcomes import Outcome, Receipts, Tally, outcome_of_failure
from scnas_deploy.serve.settings import StowDestination
from scnas_deploy.serve.work import DeliveryAnswer, ResultFile

_SOME_FAILED, _ALL_FAILED, _WRONG_MEDIA_TYPE = 202, 409, 415
_ELSEWHERE: Final = {401, 403, 404, *range(300, 400)}
"""Said of no object: by a proxy while the archive restarts, or of credentials that an operator renews."""
_FAILED, _REASON = "00081198", "00081197"
_PIECE: Final = 1 << 20
_MAX_ANSWER_BYTES: Final = 4 << 20


class StowSender:
    """Sends results to one destination, each file in a request of its own: what is said then is said of this file.

    Args:
        destination: See there.
    """

    def __init__(self, destination: StowDestination) -> None:
        self._destination = destination

    def send(
        self, files: Sequence[tuple[ResultFile, Path]], check: Callable[[], None], receipts: Receipts | None = None
    ) -> DeliveryAnswer:
        """Send files; see :class:`~scnas_deploy.serve.dicom.destinations.Sender`."""
        tally = Tally(self._destination.name, receipts)
        with DicomWeb(self._destination) as web:
            for file, path in files:
                check()
                if not tally.is_taken(file):
                    tally.add(file, *_sent(web, path))
        return tally.answer()


def _sent(web: DicomWeb, path: Path) -> tuple[Outcome, str]:
    body = _Body(path)
    kind = f'multipart/related; type="application/dicom"; boundary={body.boundary}'
    with web.asked("POST", "/studies", data=body, headers={"Content-Type": kind, "Accept": JSON}) as response:
        _require_reached(web, response.status_code)
        web.require(response, _SOME_FAILED, _ALL_FAILED, _WRONG_MEDIA_TYPE)
        status, content = response.status_code, web.content(response, _MAX_ANSWER_BYTES)
    reasons = [reason for failed in values(_dataset(content), _FAILED) for reason in values(failed, _REASON)]
    if reasons and isinstance(reasons[0], int):
        return outcome_of_failure(reasons[0]), f"failure reason {reasons[0]:04X}"
    if status in (_ALL_FAILED, _WRONG_MEDIA_TYPE) or values(_dataset(content), _FAILED):
        return Outcome.NEVER, f"status {status}"
    return Outcome.ACCEPTED, ""


def _require_reached(web: DicomWeb, status: int) -> None:
    if status in _ELSEWHERE:
        raise UnreachableError(
            web.name,
            expected="a DICOMweb service that lets us in",
            found=f"status {status}",
            remedy="It is tried again; check url, credentials and rights",
        )


def _dataset(content: bytes) -> object:
    """What it answers in DICOM JSON, which some put into a list."""
    found = parsed(content)
    return found[0] if isinstance(found, list) and found else found


class _Body:
    """A multipart body of one file, read while it is sent."""

    def __init__(self, path: Path) -> None:
        self._path, self.boundary = path, uuid4().hex
        self._head = f"--{self.boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._tail = f"\r\n--{self.boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._head) + self._path.stat().st_size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        with self._path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
        yield self._tail
