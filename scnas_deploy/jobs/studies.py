"""The job of segmenting one study: what it is told, what it answers, and how it is done."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from scnas_deploy.data.study import load_study
from scnas_deploy.data.volume import Volume
from scnas_deploy.documents import Frozen, parse_document
from scnas_deploy.errors import FormatError, PackageError
from scnas_deploy.files import atomic_path, make_folder, sha256_of_file
from scnas_deploy.inference.model import NOBODY, Model, SegmentOptions, load_model
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.inference.trust import Trust
from scnas_deploy.jobs.worker import Attempt

STUDY: Final = "study"
"""The kind of these jobs."""

Stamp = tuple[int, int]
"""A file's bytes and the nanosecond of its last change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudySettings:
    """What segments the studies; the same for all of a batch."""

    model: Path
    """The package."""
    model_digest: str
    """Its digest when the batch began."""
    engine: str = "auto"
    """Name of the engine."""
    precision: str = "auto"
    """Of the engine's products, as the package has it."""
    trust: Trust = NOBODY
    """Whose signatures count, and whether the model needs one."""
    threads: int | None = None
    """Threads of the engine; None lets it choose."""
    mirror: bool = False
    """Average over mirror images."""
    force: bool = False
    """Segment also what the model was not made for."""
    max_memory: int | None = None
    """Bytes that a study may take beside the model; None for what the machine has left."""

    @property
    def identity(self) -> tuple[object, ...]:
        """What the labels depend on."""
        return self.model_digest, self.engine, self.precision, self.mirror, self.force


class StudyPayload(Frozen):
    """What a worker is told."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    studies: tuple[str, ...]
    """Absolute paths, one a channel."""
    stamps: tuple[Stamp | None, ...]
    """Of each when the job was enqueued; None where there was no file."""
    output: str
    """Absolute path of the mask."""
    written: tuple[str, ...] = ()
    """Digests of what earlier jobs wrote there; anything else that lies there is somebody else's work."""


class StudyResult(Frozen):
    """What a worker answers."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    output: str
    written: tuple[str, ...]
    """Digest of the mask, or those of before where it was kept."""
    kept: bool = False
    """Something else than what we wrote lies at the output, and was left there."""
    volumes_ml: dict[str, float] = Field(default_factory=dict)
    seconds: float = 0.0
    """Reading and writing included."""
    engine: str
    model_digest: str
    outside_limits: tuple[str, ...] = ()
    """In what the study leaves the model's limits, where it was forced."""


def stamp_of(path: Path) -> Stamp | None:
    """Return a file's stamp, or None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


class StudyHandler:
    """Segments studies with one opened model.

    Raises:
        PackageError: If the model is not the one that the batch began with.
        EngineError: If its engine cannot be opened or fails at the canary.
    """

    def __init__(self, settings: StudySettings) -> None:
        self._settings = settings
        self._model = load_model(
            settings.model,
            engine=settings.engine,
            precision=settings.precision,
            num_threads=settings.threads,
            trust=settings.trust,
        )
        if self._model.package.digest != settings.model_digest:
            raise PackageError(
                settings.model,
                expected=f"the model that the batch began with, {settings.model_digest[:12]}",
                found=self._model.package.digest[:12],
                remedy="Put it back, or start the batch again with the new one",
            )

    def __call__(self, attempt: Attempt) -> dict[str, Any]:
        """Segment the study of a job; see :data:`scnas_deploy.jobs.worker.Handler`."""
        started = time.monotonic()
        content = json.dumps(attempt.job.payload).encode()
        payload = parse_document("the job", content, StudyPayload, made_by="scnas batch")
        output = Path(payload.output)
        ours = {*payload.written, *(attempt.job.result or {}).get("written", ())}
        try:
            _keep_others(output, ours)
            result = _segment(self._model, _load(payload), self._settings, attempt)
            digest = _write(result, output, ours, attempt)
        except _KeptError:
            return self._answer(payload, ours, kept=True)
        seconds = time.monotonic() - started
        volumes, outside = result.volumes_ml(), result.outside_limits
        return self._answer(payload, {digest}, volumes_ml=volumes, seconds=seconds, outside_limits=outside)

    def _answer(self, payload: StudyPayload, written: set[str], **figures: Any) -> dict[str, Any]:
        answer = StudyResult(
            output=payload.output,
            written=tuple(sorted(written)),
            engine=self._model.engine.name,
            model_digest=self._model.package.digest,
            **figures,
        )
        return answer.model_dump(mode="json", by_alias=True)


def _segment(model: Model, volume: Volume, settings: StudySettings, attempt: Attempt) -> Segmentation:
    attempt.check()
    options = SegmentOptions(
        force=settings.force,
        mirror=settings.mirror,
        max_memory=settings.max_memory,
        progress=lambda _done, _total: attempt.check(),
    )
    result = model.segment(volume, options)
    attempt.check()
    return result


def _load(payload: StudyPayload) -> Volume:
    """Read the study if it is the one of when the job was enqueued, and still is when it has been read."""
    paths = [Path(path) for path in payload.studies]
    _check_stamps(paths, payload)
    volume = load_study(paths)
    _check_stamps(paths, payload)
    return volume


def _check_stamps(paths: list[Path], payload: StudyPayload) -> None:
    for path, stamp in zip(paths, payload.stamps, strict=True):
        if stamp_of(path) != stamp:
            raise FormatError(
                path,
                expected="the study as it was when the batch began",
                found="a file of another size or time",
                remedy="Run the batch again once the study is complete",
            )


def _write(result: Segmentation, output: Path, ours: set[str], attempt: Attempt) -> str:
    """Write the mask and return its digest.

    The digest is recorded before the mask takes its name: a worker that has lost its lease is refused there, and one
    that is killed right after it leaves a mask that the next attempt knows for ours.

    Raises:
        _KeptError: If somebody has put something else there since.
    """
    make_folder(output.parent)
    with atomic_path(output) as temporary:
        result.save(temporary)
        digest = sha256_of_file(temporary)
        attempt.record({"output": str(output), "written": sorted({*ours, digest})})
        _keep_others(output, ours)
    return digest


class _KeptError(Exception):
    """The output is somebody else's work."""


def _keep_others(output: Path, ours: set[str]) -> None:
    """Refuse to write over what has none of our digests."""
    if output.exists() and not (output.is_file() and sha256_of_file(output) in ours):
        raise _KeptError
