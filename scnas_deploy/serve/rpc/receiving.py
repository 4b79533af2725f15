"""A result on its way from a server to a folder: checked, and all of it or nothing."""

import hashlib
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scnas_deploy.errors import FormatError
from scnas_deploy.files import atomic_path, make_folder, translating
from scnas_deploy.results.formats import Format
from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb
from scnas_deploy.serve.rpc.words import FORMATS, ours

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9]+)*")
"""A server does not choose where in our file system it writes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A result that has come."""

    files: tuple[tuple[Format, Path], ...]
    volumes_ml: dict[str, float]
    model: str
    model_digest: str
    engine: str
    corrections: tuple[str, ...]
    outside_limits: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float
    """From the claim of the job to its proven files."""
    engine_seconds: float
    """Of these, in the engine."""


def receive_result(parts: Iterator[pb.FetchResponse], folder: Path) -> Fetched:
    """Write a result into a folder.

    Args:
        parts: What the server sends.
        folder: Made where there is none.

    Raises:
        FormatError: If a part is missing or not what was announced; nothing has been written then.
        OutputError: If the folder cannot be written to.
    """
    first = next(parts, None)
    if first is None or first.WhichOneof("part") != "header":
        raise _malformed("a header as its first message", "none")
    header = first.header
    make_folder(folder)
    with translating(folder), tempfile.TemporaryDirectory(prefix=".scnas-", dir=folder) as staging:
        staged = _staged(parts, Path(staging))
        if len(staged) != header.num_files:
            raise _malformed(f"{header.num_files} files", str(len(staged)))
        for _, path in staged:
            with atomic_path(folder / path.name) as temporary:
                path.rename(temporary)
    return _fetched(header, tuple((form, folder / path.name) for form, path in staged))


def _staged(parts: Iterator[pb.FetchResponse], staging: Path) -> list[tuple[Format, Path]]:
    staged: list[tuple[Format, Path]] = []
    part = next(parts, None)
    while part is not None:
        if part.WhichOneof("part") != "file":
            raise _malformed("the start of a file", "something else")
        start = part.file
        if not _NAME.fullmatch(start.name) or (staging / start.name).exists():
            raise _malformed("a plain file name of its own", "another one")
        part = _receive_file(staging / start.name, start, parts)
        staged.append((ours(FORMATS, start.format, "format"), staging / start.name))
    return staged


def _receive_file(path: Path, start: Any, parts: Iterator[pb.FetchResponse]) -> pb.FetchResponse | None:
    """Write a file; returns the part that follows its last chunk, None at the end."""
    digest, size, after = hashlib.sha256(), 0, None
    with path.open("wb") as file:
        for part in parts:
            if part.WhichOneof("part") != "chunk":
                after = part
                break
            size += len(part.chunk)
            if size > start.size:
                break
            digest.update(part.chunk)
            file.write(part.chunk)
    if size != start.size or digest.digest() != start.sha256:
        raise _malformed("the size and digest that were announced", "others")
    return after


def _fetched(header: pb.ResultHeader, files: tuple[tuple[Format, Path], ...]) -> Fetched:
    return Fetched(
        files=files,
        volumes_ml=dict(header.volumes_ml),
        model=header.model,
        model_digest=header.model_digest,
        engine=header.engine,
        corrections=tuple(header.corrections),
        outside_limits=tuple(header.outside_limits),
        notes=tuple(header.notes),
        seconds=header.seconds,
        engine_seconds=header.engine_seconds,
    )


def _malformed(expected: str, found: str) -> FormatError:
    return FormatError(
        "the result",
        expected=expected,
        found=found,
        remedy="Fetch it again, and look into the server if it happens again",
    )
