"""How jobs and arrived studies are shown: nothing that names a patient."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from scnas_deploy.jobs.job import Job
    from scnas_deploy.serve.arrivals import ArrivedStudy

_WORK: Final[Sequence[str]] = (
    *("source", "submitted_by", "rule", "model", "model_digest", "formats", "destinations", "allow", "force"),
    *("destination", "study_job", "folder", "traceparent"),
)
"""Fields of what a server's jobs are told that name no patient and hold no UIDs of objects."""
_ANSWER: Final[Sequence[str]] = (
    *("stage", "fraction", "patches_per_s", "engine", "seconds", "engine_seconds", "corrections", "outside_limits"),
    *("notes", "accepted", "not_negotiated"),
)
"""The same of what they answer."""
_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60))
_SHOWN_OF_QUEUE: Final = 8
"""Letters; the queue of a batch is named by a digest."""


def describe_job(job: "Job") -> dict[str, Any]:
    """Return what is known of a job, for a program."""
    known = {
        "job": job.id,
        "queue": job.queue,
        "state": job.state,
        "attempts": job.num_attempts,
        "max_attempts": job.max_attempts,
        "priority": job.priority,
        "enqueued_at": job.enqueued_at,
        "changed_at": job.changed_at,
        "worker": job.worker,
        "error": job.error,
    }
    if not _is_of_server(job):
        return known
    work, answer = job.payload, job.result or {}
    known.update((name, work[name]) for name in _WORK if name in work)
    known.update((name, answer[name]) for name in _ANSWER if name in answer)
    return known


def job_cells(job: "Job") -> list[str]:
    """Return a job's row of a table."""
    attempts = f"{job.num_attempts} of {job.max_attempts}"
    age = _in_units(_seconds_since(job.enqueued_at))
    return [str(job.id), queue_name(job.queue), job.state, attempts, age, _what(job), job.error or ""]


def queue_name(queue: str) -> str:
    """Return how a queue is named in a table."""
    return queue[:_SHOWN_OF_QUEUE]


def describe_study(study: "ArrivedStudy", *, uids: bool) -> dict[str, Any]:
    """Return what is known of an arrived study, for a program."""
    known = {
        "first_at": study.first_at,
        "last_at": study.last_at,
        "objects": study.num_objects,
        "open": study.version > study.closed_version,
        "from": study.calling_ae_title,
        "to": study.called_ae_title,
        "outcome": study.outcome,
    }
    return {**known, "study_uid": study.study_uid} if uids else known


def study_cells(study: "ArrivedStudy", *, uids: bool) -> list[str]:
    """Return an arrived study's row of a table."""
    is_open = study.version > study.closed_version
    outcome = "; ".join(filter(None, ["still open" if is_open else "", study.outcome]))
    age = _in_units(_seconds_since(study.last_at))
    row = [age, str(study.num_objects or ""), study.calling_ae_title, study.called_ae_title, outcome]
    return [*row, study.study_uid] if uids else row


def in_words(name: str, value: object) -> str:
    """Return a value of :func:`describe_job` for a reader."""
    if name.endswith("_at") and isinstance(value, float):
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))
        return f"{when}, {_in_units(_seconds_since(value))} ago"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _is_of_server(job: "Job") -> bool:
    """Whether we know what its fields hold; those of a batch are names of files."""
    from scnas_deploy.serve.work import DELIVER, SEGMENT

    return job.kind in (SEGMENT, DELIVER)


def _what(job: "Job") -> str:
    """What a job is about, in few words."""
    work = job.payload if _is_of_server(job) else {}
    if "destination" in work:
        return f"{work.get('study_job', '')} to {work['destination']}".strip()
    return " by ".join(filter(None, [work.get("model"), work.get("rule")]))


def _seconds_since(when: float) -> float:
    return max(0.0, time.time() - when)


def _in_units(seconds: float) -> str:
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
