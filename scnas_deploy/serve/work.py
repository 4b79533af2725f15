"""What the jobs of a server are told and answer: segmenting a study, and delivering its results."""

from typing import Final, Literal

from pydantic import Field

from scnas_deploy.data.dicom.verdicts import Correction
from scnas_deploy.documents import Frozen
from scnas_deploy.results.formats import Format

SEGMENT: Final = "segment"
"""Queue and kind of the jobs that segment a study."""
DELIVER: Final = "deliver"
"""Queue and kind of the jobs that bring results to a destination."""
PRIORITIES: Final = {"clinical": 10, "archive": 0}

Priority = Literal["clinical", "archive"]
Stage = Literal["waiting", "reading", "segmenting", "writing", "finished"]


class StudyWork(Frozen):
    """Payload of a job that segments a study."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    source: Literal["dicom", "grpc"]
    submitted_by: str = ""
    """AE title, or name of a token or certificate."""
    folder: str
    """Of the study's files, relative to the spool."""
    files: tuple[str, ...]
    """Their names in it: DICOM objects in any order, or NIfTI files in the order of the model's channels."""
    rule: str = ""
    """That asked for it; empty where a client did."""
    model: str
    """Name of the model."""
    model_digest: str
    """Of its package when the job was made; a job stays with its model."""
    formats: tuple[Format, ...]
    destinations: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    """Series instance UIDs that the submitter chose, one a channel."""
    allow: tuple[Correction, ...] = ()
    force: bool = False
    expires_at: float | None = None
    """Seconds since 1970 after which nobody waits for the result any more."""
    traceparent: str = ""
    """W3C trace context of what brought it."""


class StudyProgress(Frozen):
    """Result of a job that runs, recorded about once a second."""

    stage: Stage
    fraction: float = 0.0
    """Of its patches that are done."""
    patches_per_s: float = 0.0


class ResultFile(Frozen):
    """One file of a result."""

    name: str
    """In the result's folder, for instance 'seg.dcm'."""
    format: Format
    bytes: int
    sha256: str
    sop_class: str = ""
    """SOP class UID; empty where it is no DICOM object."""
    sop_instance: str = ""
    """SOP instance UID."""


class StudyAnswer(Frozen):
    """Result of a job that is done."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    stage: Stage = "finished"
    fraction: float = 1.0
    folder: str
    """Of the result's files, relative to the spool."""
    files: tuple[ResultFile, ...]
    volumes_ml: dict[str, float]
    model: str
    model_digest: str
    engine: str
    corrections: tuple[str, ...] = ()
    outside_limits: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float
    """From the claim to the proven files, reading and writing included."""
    engine_seconds: float
    """Of these, in the engine."""


class DeliveryWork(Frozen):
    """Payload of a job that brings a result to one destination."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    destination: str
    study_job: int
    """Number of the job whose result it is."""
    folder: str
    files: tuple[ResultFile, ...]
    traceparent: str = ""


class DeliveryAnswer(Frozen):
    """Result of a delivery."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    accepted: tuple[str, ...]
    """Names of files that the destination has taken."""
    not_negotiated: tuple[str, ...] = ()
    """Names of files whose kind it does not take."""


def delivery_key(study_key: str, attempt: int, destination: str) -> str:
    """Name the delivery of what an attempt at a study has made to a destination."""
    return f"{study_key}:{attempt}:{destination}"
