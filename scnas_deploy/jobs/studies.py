"""The job of segmenting one study: what it is told, what it answers, and how it is done."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from scnas_deploy.data.plan import Plan
from scnas_deploy.data.study import load_study
from scnas_deploy.data.volume import Volume
from scnas_deploy.documents import Frozen, parse_document
from scnas_deploy.errors import FormatError, PackageError
from scnas_deploy.files import atomic_path, make_folder, reading, sha256_of_file
from scnas_deploy.inference.model import NOBODY, Model, SegmentOptions, load_model
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.inference.trust import Trust
from scnas_deploy.jobs.job import Job, JobState
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
    """Of each when the job was enqueued; None where no file could be seen."""
    output: str
    """Absolute path of the mask."""
    written: tuple[str, ...] = ()
    """Digests of what earlier jobs wrote there; anything else that lies there is somebody else's work."""


class StudyResult(Frozen):
    """What a worker answers."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    output: str
    written: tuple[str, ...]
    """Digests of all masks that this job's attempts have made; the latest lies at the output unless it was kept."""
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
    """Return a file's stamp, or None where there is none.

    Raises:
        InputError: If that cannot be told just now.
    """
    try:
        with reading(path):
            status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
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
        own = set((attempt.job.result or {}).get("written", ()))
        try:
            _keep_others(output, own.union(payload.written), attempt)
            result = _segment(self._model, _load(payload, self._model.package.plan), self._settings, attempt)
            digest = _write(result, output, own, payload, attempt)
        except _KeptError:
            return self._answer(payload, own, kept=True)
        except _MadeError as made:
            return made.answer
        seconds = time.monotonic() - started
        volumes, outside = result.volumes_ml(), result.outside_limits
        return self._answer(payload, {*own, digest}, volumes_ml=volumes, seconds=seconds, outside_limits=outside)

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


def _load(payload: StudyPayload, plan: Plan) -> Volume:
    """Read the study if it is the one of when the job was enqueued, and still is when it has been read."""
    paths = [Path(path) for path in payload.studies]
    _check_stamps(paths, payload)
    volume = load_study(paths, plan)
    _check_stamps(paths, payload)
    return volume


def _check_stamps(paths: list[Path], payload: StudyPayload) -> None:
    for path, stamp in zip(paths, payload.stamps, strict=True):
        if stamp_of(path) != stamp:
            raise FormatError(
                path,
                expected="the study as it was when the batch began",
                found="a file where none could be seen" if stamp is None else "a file of another size or time, or none",
                remedy="Run the batch again once the study is complete",
            )


def _write(result: Segmentation, output: Path, own: set[str], payload: StudyPayload, attempt: Attempt) -> str:
    """Write the mask and return its digest.

    The digest is recorded before the mask takes its name: a worker that has lost its lease is refused there, and one
    that is killed right after it leaves a mask that the next attempt knows for ours.

    Raises:
        _KeptError: If somebody has put something else there since.
        _MadeError: If another job has made it meanwhile.
    """
    make_folder(output.parent)
    with atomic_path(output) as temporary:
        result.save(temporary)
        digest = sha256_of_file(temporary)
        attempt.record({"output": payload.output, "written": sorted({*own, digest})})
        _keep_others(output, own.union(payload.written), attempt)
        attempt.check()
    return digest


class _KeptError(Exception):
    """The output is somebody else's work."""


class _MadeError(Exception):
    """A job of another queue has made just this mask already."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        super().__init__()


def _keep_others(output: Path, ours: set[str], attempt: Attempt) -> None:
    """Refuse to write over what no job has written for these studies.

    Args:
        output: Where.
        ours: Digests that may be replaced; the ledger is asked about others, since batches may overlap.
        attempt: Of the job.

    Raises:
        _KeptError: If something else lies there.
        _MadeError: If it is what this job is to make.
    """
    if not output.exists():
        return
    digest = sha256_of_file(output) if output.is_file() else ""
    if digest in ours:
        return
    writers = _writers(digest, attempt)
    if not writers:
        raise _KeptError
    for job in writers:
        if job.result and _has_done_the_same(job, attempt.job) and not job.result["kept"]:
            raise _MadeError(job.result)


def _writers(digest: str, attempt: Attempt) -> list[Job]:
    """Jobs of the same studies that have written a mask of this digest at the same output."""
    payload = attempt.job.payload
    found = attempt.look_up("output", payload["output"])
    same_studies = [job for job in found if job.payload["studies"] == payload["studies"]]
    return [job for job in same_studies if job.result and digest in job.result["written"]]


def _has_done_the_same(job: Job, wanted: Job) -> bool:
    same = (job.key, job.payload["stamps"]) == (wanted.key, wanted.payload["stamps"])
    return same and job.state is JobState.DONE
