"""Studies on their way into the spool: whole under their job's key, or not at all."""

import filecmp
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from scnas_deploy.documents import Frozen, read_document, to_json
from scnas_deploy.errors import CapacityError, FormatError, RefusedError
from scnas_deploy.files import translating
from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb
from scnas_deploy.serve.rpc.wanted import Wanted
from scnas_deploy.serve.space import Reservation, Space
from scnas_deploy.serve.spool import UPLOADS, Spool
from scnas_deploy.serve.work import StudyWork

_SUFFIXES: Final = {pb.FILE_KIND_NIFTI: ".nii", pb.FILE_KIND_NIFTI_GZ: ".nii.gz", pb.FILE_KIND_DICOM: ".dcm"}
_STAGED: Final = ".scnas-"
"""How the folders of uploads under way begin; those that killed servers leave are removed by this."""
_RECORD: Final = "upload.json"
_DIGEST_BYTES: Final = 32


class UploadRecord(Frozen):
    """``upload.json``: what an upload was for, beside its files; without its key, which it lies under anyway."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    wanted: Wanted
    work: StudyWork


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """An upload that has come in whole, in a folder that only its call knows."""

    folder: Path
    files: tuple[str, ...]
    dicom: bool
    """Whether they are DICOM objects."""


class Uploads:
    """Takes studies into the spool.

    Args:
        spool: Where they go.
        space: On its disk; what is announced and does not fit is not taken.
        max_bytes: Of a study.
    """

    def __init__(self, spool: Spool, space: Space, *, max_bytes: int) -> None:
        self._spool, self._space, self._max_bytes = spool, space, max_bytes

    @contextmanager
    def receive(self, parts: Iterator[pb.SubmitRequest], num_files: int) -> Iterator[Received]:
        """Take the files of an upload; they are gone after the block unless they were settled in it.

        Args:
            parts: What follows the header.
            num_files: That it said there are.

        Raises:
            FormatError: If they are not what they say they are.
            CapacityError: If they are too large.
            SpoolFullError: If the disk is too full.
            OutputError: If they cannot be written.
        """
        root = self._spool.root / UPLOADS
        with translating(root), tempfile.TemporaryDirectory(prefix=_STAGED, dir=root) as staging:
            folder = Path(staging) / "study"
            folder.mkdir()
            yield self._received(folder, parts, num_files)

    def settle(self, received: Received, key: str, wanted: Wanted, work: StudyWork) -> StudyWork:
        """Move an upload to where its job finds it.

        Args:
            received: What came.
            key: The job's.
            wanted: What it came with.
            work: The job's payload.

        Returns:
            The payload of this key: this one or, where the same was sent before, the one from then.

        Raises:
            RefusedError: If something else was sent before under the same key.
            OutputError: If it cannot be written.
        """
        target = self._spool.upload(key)
        record = UploadRecord(wanted=wanted.model_copy(update={"idempotency_key": ""}), work=work)
        with translating(target):
            _write_synced(received.folder / _RECORD, to_json(record).encode())
            _sync(received.folder)
            try:
                received.folder.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
                return _same_as_before(received, record.wanted, target)
            _sync(target.parent)
        return work

    def _received(self, folder: Path, parts: Iterator[pb.SubmitRequest], num_files: int) -> Received:
        names: list[str] = []
        kinds: set[int] = set()
        num_bytes = 0
        part = next(parts, None)
        while part is not None:
            start = _start_of(part)
            num_bytes += start.size
            self._check_size(num_bytes)
            if len(names) == num_files:
                raise _malformed(f"{num_files} files, as was said", "more")
            names.append(f"{len(names):04d}{_SUFFIXES[start.kind]}")
            kinds.add(start.kind)
            with self._space.reserve(start.size) as reservation:
                part = _receive_file(folder / names[-1], start, parts, reservation)
        if len(names) < num_files:
            raise _malformed(f"{num_files} files, as was said", str(len(names)))
        dicom = pb.FILE_KIND_DICOM in kinds
        if dicom and len(kinds) > 1:
            raise _malformed("DICOM objects or NIfTI files", "both")
        return Received(folder=folder, files=tuple(names), dicom=dicom)

    def _check_size(self, num_bytes: int) -> None:
        if num_bytes > self._max_bytes:
            raise CapacityError(
                "the upload",
                expected=f"at most {self._max_bytes} bytes",
                found="more",
                remedy="Send less, or have the server's max_upload_bytes raised",
            )


def _start_of(part: pb.SubmitRequest) -> pb.FileStart:
    if part.WhichOneof("part") != "file":
        raise _malformed("the start of a file", "something else")
    start = part.file
    if start.kind not in _SUFFIXES:
        raise _malformed("a kind of file that is known", f"number {start.kind}")
    if start.size < 1:
        raise _malformed("a file that is not empty", f"{start.size} bytes")
    if len(start.sha256) not in (0, _DIGEST_BYTES):
        raise _malformed(f"a digest of {_DIGEST_BYTES} bytes or none", f"{len(start.sha256)} bytes")
    return start


def _receive_file(
    path: Path, start: pb.FileStart, parts: Iterator[pb.SubmitRequest], reservation: Reservation
) -> pb.SubmitRequest | None:
    """Write a file; returns the part that follows its last chunk, None at the end."""
    left = start.size
    digest = hashlib.sha256() if start.sha256 else None
    after = None
    with path.open("wb", buffering=0) as file:
        for part in parts:
            if part.WhichOneof("part") != "chunk":
                after = part
                break
            chunk = part.chunk
            left -= len(chunk)
            if left < 0 or not chunk:
                raise _malformed(f"{start.size} bytes, as was said", "more" if left < 0 else "an empty chunk")
            if digest is not None:
                digest.update(chunk)
            _write(file.write, chunk)
            reservation.written(len(chunk))
        if left:
            raise _malformed(f"{start.size} bytes, as was said", f"{start.size - left}")
        if digest is not None and digest.digest() != start.sha256:
            raise _malformed("the digest that was said", "another one")
        os.fsync(file.fileno())
    return after


def _write(write: Callable[[memoryview], int | None], chunk: bytes) -> None:
    """Write all of a chunk without copying it; the system may take it in parts."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[write(rest) or 0 :]


def _same_as_before(received: Received, wanted: Wanted, target: Path) -> StudyWork:
    """Return the payload from before, where the same was wanted of the same files."""
    before = read_document(target / _RECORD, UploadRecord, made_by="another upload")
    same = before.wanted == wanted and before.work.files == received.files
    if same and not any(filecmp.cmpfiles(target, received.folder, received.files, shallow=False)[1:]):
        return before.work
    raise RefusedError(
        "the idempotency key",
        expected="one that is new, or the study and settings it was used for before",
        found="another study or other settings",
        remedy="Choose another key",
    )


def _malformed(expected: str, found: str) -> FormatError:
    return FormatError("the upload", expected=expected, found=found, remedy="Correct the client, then submit again")


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
