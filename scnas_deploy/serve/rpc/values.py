"""What a client says and is told, as values of Python."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from google.protobuf.duration_pb2 import Duration

from scnas_deploy.data.dicom.verdicts import Correction
from scnas_deploy.jobs.job import JobState
from scnas_deploy.results.formats import Format
from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb
from scnas_deploy.serve.rpc.words import ALLOWED, FORMATS, PRIORITIES, STAGES, STATES, ours
from scnas_deploy.serve.work import Priority, Stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is wanted of a study."""

    model: str = ""
    """Name of an installed model; empty for the server's default."""
    formats: tuple[Format, ...] = ()
    """Forms of the result; none for NIfTI of NIfTI files, and a segmentation object and a report of DICOM ones."""
    priority: Priority = "clinical"
    series: tuple[str, ...] = ()
    """Instance UIDs of the series to take, one a channel."""
    allow: tuple[Correction, ...] = ()
    """Corrections of planes that form no regular grid."""
    force: bool = False
    """Segment even what the model was not made for."""
    time_limit_s: float | None = None
    """Seconds after which nobody waits for the result any more."""
    idempotency_key: str = ""
    """Submitted again under the same key, it is the same job; empty for a key of its own."""
    digests: bool = False
    """Have the server check a digest of each file, which is read twice then."""


NO_WISH: Final = Wish()
"""The server's default model, in the forms that fit the study."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitted:
    """A study's job."""

    job: int
    known: bool
    """Whether it had been submitted before."""
    state: JobState


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How a job stands."""

    state: JobState
    stage: Stage | None
    """None where it came to nothing."""
    fraction: float
    """Of its patches that are done."""
    patches_per_s: float
    error: str
    """Why its latest attempt failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedJob:
    """A job in a list."""

    job: int
    state: JobState
    stage: Stage | None
    fraction: float
    model: str
    model_digest: str
    num_attempts: int
    enqueued_at: datetime
    changed_at: datetime
    error: str


def header_of(wish: Wish, num_files: int) -> pb.SubmitHeader:
    """Return the first message of an upload; without a key of the caller's it has one by chance."""
    header = pb.SubmitHeader(
        model=wish.model,
        formats=[FORMATS[each] for each in wish.formats],
        priority=PRIORITIES[wish.priority],
        idempotency_key=wish.idempotency_key or uuid4().hex,
        series=wish.series,
        allow=[ALLOWED[each] for each in wish.allow],
        force=wish.force,
        num_files=num_files,
    )
    if wish.time_limit_s is not None:
        header.time_limit.CopyFrom(Duration(seconds=int(wish.time_limit_s), nanos=int(wish.time_limit_s % 1 * 1e9)))
    return header


def standing_of(told: pb.WatchResponse) -> Standing:
    """Return what a watcher is told."""
    return Standing(
        state=ours(STATES, told.state, "state"),
        stage=_stage(told.stage),
        fraction=told.fraction,
        patches_per_s=told.patches_per_s,
        error=told.error,
    )


def listed_of(job: pb.Job) -> ListedJob:
    """Return a job of a list."""
    return ListedJob(
        job=job.job_id,
        state=ours(STATES, job.state, "state"),
        stage=_stage(job.stage),
        fraction=job.fraction,
        model=job.model,
        model_digest=job.model_digest,
        num_attempts=job.num_attempts,
        enqueued_at=job.enqueued_at.ToDatetime(UTC),
        changed_at=job.changed_at.ToDatetime(UTC),
        error=job.error,
    )


def _stage(number: int) -> Stage | None:
    return ours(STAGES, number, "stage") if number else None
