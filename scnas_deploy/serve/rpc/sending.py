"""A study's files on their way from a client to a server, without their names."""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scnas_deploy.data.dicom.headers import UnreadableError, read_header
from scnas_deploy.data.dicom.sources import Source, list_sources
from scnas_deploy.data.nifti import is_nifti_name
from scnas_deploy.errors import FormatError
from scnas_deploy.files import reading
from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb

CHUNK_BYTES: Final = 2**20
_MAGIC_AT, _MAGIC = 128, b"DICM"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """A file to send."""

    source: Source
    kind: Any
    """Its FileKind."""


class Sender:
    """Makes the messages of an upload.

    gRPC takes them in a thread of its own, which cannot raise; what goes wrong there is kept in :attr:`error`, and the
    upload breaks off, which the server does not take for its end.

    Args:
        header: The first message.
        files: What to send.
        digests: Whether the server shall check a digest of each.
        progress: Told the bytes sent and in all.
    """

    def __init__(
        self, header: pb.SubmitHeader, files: Sequence[Outgoing], *, digests: bool, progress: Callable[[int, int], None]
    ) -> None:
        self._header, self._files, self._digests, self._progress = header, files, digests, progress
        self.error: Exception | None = None

    def messages(self) -> Iterator[pb.SubmitRequest]:
        """Yield the messages."""
        try:
            yield pb.SubmitRequest(header=self._header)
            sizes = [_size(file.source) for file in self._files]
            sent, total = 0, sum(sizes)
            for file, size in zip(self._files, sizes, strict=True):
                digest = _digest(file.source) if self._digests else b""
                yield pb.SubmitRequest(file=pb.FileStart(size=size, sha256=digest, kind=file.kind))
                for chunk in _chunks(file.source):
                    yield pb.SubmitRequest(chunk=chunk)
                    sent += len(chunk)
                    self._progress(sent, total)
        except Exception as error:  # noqa: BLE001  # see the class
            self.error = error


def outgoing(paths: Sequence[Path]) -> list[Outgoing]:
    """Find the files of a study.

    Args:
        paths: NIfTI files in the order of the model's channels; or DICOM files, folders and zip archives.

    Raises:
        FormatError: If there is nothing to send, or one is missing.
        InputError: If the system cannot read one just now.
    """
    if paths and all(is_nifti_name(path) for path in paths):
        return [Outgoing(source=source, kind=_nifti_kind(source.name)) for source in list_sources(paths)]
    found = [Outgoing(source=each, kind=pb.FILE_KIND_DICOM) for each in list_sources(paths) if _is_dicom(each)]
    if not found:
        raise FormatError(
            paths[0] if paths else "the study",
            expected="NIfTI files, or DICOM objects",
            found="neither",
            remedy="Name the study's files or its folder",
        )
    return found


def _nifti_kind(name: str) -> Any:
    return pb.FILE_KIND_NIFTI_GZ if name.lower().endswith(".gz") else pb.FILE_KIND_NIFTI


def _is_dicom(source: Source) -> bool:
    """Whether a file is a DICOM object, be it one without preamble."""
    with _opened(source) as file:
        if file.read(_MAGIC_AT + len(_MAGIC))[_MAGIC_AT:] == _MAGIC:
            return True
    try:
        read_header(source)
    except UnreadableError:
        return False
    return True


def _size(source: Source) -> int:
    with _opened(source) as file:
        return file.seek(0, io.SEEK_END)


def _digest(source: Source) -> bytes:
    sha256 = hashlib.sha256()
    for chunk in _chunks(source):
        sha256.update(chunk)
    return sha256.digest()


def _chunks(source: Source) -> Iterator[bytes]:
    with reading(Path(source.name)), _opened(source) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _opened(source: Source) -> io.BufferedIOBase:
    try:
        with reading(Path(source.name)):
            return source.open()
    except FileNotFoundError as error:
        raise FormatError(
            source.name, expected="a file", found="that it is gone", remedy="Submit the study when it is whole"
        ) from error
