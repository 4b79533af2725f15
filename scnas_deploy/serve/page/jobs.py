"""What a page says of a job: nothing that names a patient, and UIDs only where the settings say so."""

from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from scnas_deploy.documents import Frozen
from scnas_deploy.jobs.job import Job, JobState
from scnas_deploy.serve.page.words import Moment, moment
from scnas_deploy.serve.running import Running
from scnas_deploy.serve.work import (
    DELIVER,
    PRIORITIES,
    SEGMENT,
    DeliveryWork,
    StudyAnswer,
    StudyProgress,
    StudyWork,
)

_Document = TypeVar("_Document", bound=Frozen)

KINDS: Final = {SEGMENT: "segmentation", DELIVER: "delivery"}
"""What the queues of a server hold; a ledger may have others, which name files of patients."""
GRAVE: Final = (JobState.FAILED, JobState.DEAD)
ENDED: Final = (JobState.DONE, JobState.FAILED, JobState.DEAD, JobState.CANCELLED)
_CLASSES: Final = {JobState.DONE: "good", JobState.FAILED: "bad", JobState.DEAD: "bad", JobState.RUNNING: "now"}


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRow:
    """A job in a table."""

    id: int
    kind: str
    state: str
    look: str
    """How its state is coloured."""
    what: str
    """Model and rule, or the job whose result is brought to a destination."""
    source: str
    priority: str
    stage: str
    fraction: float | None
    """Of its patches; None where nobody has counted."""
    patches_per_s: float
    attempts: str
    enqueued: Moment
    changed: Moment
    error: str


def job_row(job: Job, running: Running, now: float) -> JobRow:
    """Describe a job of ours in a line."""
    progress = _progress(job, running)
    return JobRow(
        id=job.id,
        kind=KINDS[job.queue],
        state=job.state.value,
        look=_CLASSES.get(job.state, ""),
        what=_what(job),
        source=str(job.payload.get("submitted_by", "")),
        priority=priority_name(job.priority) if job.queue == SEGMENT else "",
        stage=progress.stage if progress else "",
        fraction=progress.fraction if progress and progress.stage == "segmenting" else None,
        patches_per_s=progress.patches_per_s if progress else 0.0,
        attempts=f"{job.num_attempts} of {job.max_attempts}" if job.queue == SEGMENT else str(job.num_attempts),
        enqueued=moment(job.enqueued_at, now),
        changed=moment(job.changed_at, now),
        error=job.error or "",
    )


def priority_name(priority: int) -> str:
    """Return what the settings call a priority."""
    names = {number: name for name, number in PRIORITIES.items()}
    return names.get(priority, str(priority))


def study_work(job: Job) -> StudyWork | None:
    """What a job that segments was told; None where another version has told it something else."""
    return parsed(StudyWork, job.payload)


def delivery_work(job: Job) -> DeliveryWork | None:
    """The same of a job that delivers."""
    return parsed(DeliveryWork, job.payload)


def study_answer(job: Job) -> StudyAnswer | None:
    """What a finished segmentation has come to; None where it is not finished."""
    return parsed(StudyAnswer, job.result) if job.state is JobState.DONE else None


def is_ours(job: Job) -> bool:
    """Whether it is a server's job: what others are told names files."""
    return job.queue in KINDS and job.kind == job.queue


def parsed(kind: type[_Document], content: dict[str, Any] | None) -> _Document | None:
    """Read what a job was told or answers; None where it is something else."""
    try:
        return kind.model_validate(content)
    except ValidationError:
        return None


def _progress(job: Job, running: Running) -> StudyProgress | None:
    """How far it is, by this process where it runs here, else by what its server has told the ledger."""
    if job.state is not JobState.RUNNING or job.queue != SEGMENT:
        return None
    return running.progress(job.id) or parsed(StudyProgress, job.result) or StudyProgress(stage="reading")


def _what(job: Job) -> str:
    told = job.payload
    if job.queue == DELIVER:
        return f"result of job {told.get('study_job', '')} to {told.get('destination', '')}"
    return " by rule ".join(filter(None, [told.get("model"), told.get("rule")]))
