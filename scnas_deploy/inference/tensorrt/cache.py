"""Built engines, kept for the machine they were built on.

An engine serves one network, in one precision, for one range of shapes, on one kind of GPU and one version of
TensorRT: its key. A file holds a line of JSON, the header with the key and the digest of what follows, and TensorRT's
plan. TensorRT runs what a plan says, so the plan is handed to it only after the digest was verified: that guards
against damage and mix-ups, while against those who may write to the folder only its permissions guard.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_cache_path
from pydantic import Field

from scnas_deploy.documents import Frozen, parse_document
from scnas_deploy.errors import EngineError, FormatError
from scnas_deploy.files import atomic_path, make_folder, sha256_of
from scnas_deploy.inference.inputs import InputRange, ShapeBCXYZ
from scnas_deploy.inference.manifest import Precision
from scnas_deploy.inference.tensorrt.cuda import Gpu

_MADE_BY = "scnas export --trt"
AMPERE_ON = "any NVIDIA GPU from Ampere on"
"""The key's GPU of engines that were built hardware-compatible."""
_AMPERE = (8, 0)


class EngineKey(Frozen):
    """What an engine was built for."""

    model: str
    """SHA-256 of the ONNX file."""
    precision: Precision
    tensorrt: str
    """Version that built it; no other loads it."""
    gpu: str
    capability: tuple[int, int]
    """Compute capability, major and minor."""
    shapes: tuple[ShapeBCXYZ, ShapeBCXYZ, ShapeBCXYZ]
    """Least, usual and most of the batches."""

    def for_all_gpus(self) -> "EngineKey":
        """The same for an engine that was built hardware-compatible."""
        return self.model_copy(update={"gpu": AMPERE_ON, "capability": _AMPERE})

    @property
    def file_name(self) -> str:
        """Where the cache keeps it."""
        return f"{sha256_of(self.model_dump_json().encode())[:32]}.engine"


class EngineHeader(Frozen):
    """The first line of an engine's file, schema 1."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    key: EngineKey
    digest: str
    """SHA-256 of the plan."""


def make_key(model: bytes, precision: Precision, tensorrt: str, gpu: Gpu, inputs: InputRange) -> EngineKey:
    """Return the key of a network's engine for a GPU."""
    shapes = (inputs.least, inputs.usual, inputs.most)
    return EngineKey(
        model=sha256_of(model),
        precision=precision,
        tensorrt=tensorrt,
        gpu=gpu.name,
        capability=gpu.capability,
        shapes=shapes,
    )


@dataclass(frozen=True, slots=True)
class EngineCache:
    """A folder of built engines."""

    folder: Path

    def find(self, key: EngineKey) -> bytes | None:
        """Return the plan of an engine for a key, or a hardware-compatible one that serves it; None where none is kept.

        Raises:
            EngineError: If the file is damaged, or is not what its name says.
        """
        place = self._place(key)
        return None if place is None else read_engine(*place)

    def drop(self, key: EngineKey) -> None:
        """Remove the engine that would be found for a key, if there is one and that is allowed."""
        place = self._place(key)
        if place is not None:
            with suppress(OSError):
                place[0].unlink()

    def keep(self, key: EngineKey, plan: bytes) -> Path:
        """Write an engine's file, whole or not at all.

        Raises:
            OutputError: If the folder cannot be written.
        """
        make_private_folder(self.folder)
        header = EngineHeader(key=key, digest=sha256_of(plan)).model_dump_json(by_alias=True).encode()
        path = self.folder / key.file_name
        with atomic_path(path) as temporary:
            temporary.write_bytes(header + b"\n" + plan)
        return path

    def timings(self, key: EngineKey) -> bytes:
        """TensorRT's timing cache for a key's GPU; empty where none is kept."""
        with suppress(OSError):  # it only saves time
            return self._timings(key).read_bytes()
        return b""

    def keep_timings(self, key: EngineKey, timings: bytes) -> None:
        """Write the timing cache.

        Raises:
            OutputError: If the folder cannot be written.
        """
        make_private_folder(self.folder)
        with atomic_path(self._timings(key)) as temporary:
            temporary.write_bytes(timings)

    def _place(self, key: EngineKey) -> tuple[Path, EngineKey] | None:
        """The file that serves a key, and the key it was built for."""
        keys = [key, key.for_all_gpus()] if key.capability >= _AMPERE else [key]
        places = ((self.folder / candidate.file_name, candidate) for candidate in keys)
        return next((place for place in places if place[0].is_file()), None)

    def _timings(self, key: EngineKey) -> Path:
        machine = sha256_of(f"{key.tensorrt} {key.gpu} {key.capability}".encode())[:32]
        return self.folder / f"{machine}.timings"


def make_private_folder(path: Path) -> None:
    """Make a folder, where there is none, for its owner alone: who can write into it can have anything run.

    Raises:
        OutputError: If that is not allowed there.
    """
    if not path.is_dir():
        make_folder(path)
        path.chmod(0o700)


def user_cache() -> Path:
    """The folder of what can be made again: $SCNAS_CACHE, or the user's cache folder."""
    chosen = os.environ.get("SCNAS_CACHE")
    return Path(chosen) if chosen else user_cache_path("scnas")


def user_engines() -> EngineCache:
    """The user's built engines."""
    return EngineCache(user_cache() / "tensorrt")


def read_engine(path: Path, key: EngineKey) -> bytes:
    """Return an engine's plan, verified.

    Raises:
        EngineError: If it is damaged, or was built for another GPU, TensorRT, network, precision or shapes.
    """
    header, plan = _parts(path)
    if header.key != key:
        pairs = zip(_described(key), _described(header.key), strict=True)
        expected, found = next(pair for pair in pairs if pair[0] != pair[1])
        raise _refuse(path, f"an engine built for {expected}", found)
    if sha256_of(plan) != header.digest:
        raise _refuse(path, "the plan whose digest its header gives", "another: the file was changed")
    return plan


def _parts(path: Path) -> tuple[EngineHeader, bytes]:
    try:
        line, _, plan = path.read_bytes().partition(b"\n")
    except OSError as error:
        raise _refuse(path, "a readable file", str(error.strerror)) from error
    try:
        return parse_document(path, line, EngineHeader, made_by=_MADE_BY), plan
    except FormatError as error:
        raise _refuse(path, f"an engine with its header: {error.expected}", error.found) from error


def _described(key: EngineKey) -> tuple[str, ...]:
    """What a key says, in words, one field an entry."""
    least, usual, most = key.shapes
    major, minor = key.capability
    return (
        f"{key.gpu} (compute capability {major}.{minor})",
        f"TensorRT {key.tensorrt}",
        f"the network {key.model}",
        f"precision {key.precision}",
        f"batches of {least} to {most}, {usual} as a rule",
    )


def _refuse(path: Path, expected: str, found: str) -> EngineError:
    return EngineError(path, expected=expected, found=found, remedy=f"Build it here again with {_MADE_BY}")
