"""One job with all that is known of it and may be shown."""

import time
from dataclasses import dataclass

from scnas_deploy.jobs.job import Job, JobState
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.serve.arrivals import Arrivals
from scnas_deploy.serve.page.jobs import JobRow, delivery_work, is_ours, job_row, study_answer, study_work
from scnas_deploy.serve.page.sights import Sights
from scnas_deploy.serve.page.words import size, took
from scnas_deploy.serve.spool import INCOMING
from scnas_deploy.serve.work import DELIVER, SEGMENT, ResultFile, StudyAnswer, StudyWork, delivery_key

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRow:
    """A file of a result."""

    name: str
    size: str
    sha256: str
    sop_instance: str
    """Empty where UIDs are not shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobDetails:
    """The page of a job."""

    row: JobRow
    facts: Facts
    uids: Facts
    """Empty where UIDs are not shown."""
    volumes: tuple[tuple[str, str], ...]
    files: tuple[FileRow, ...]
    deliveries: tuple[JobRow, ...]
    remarks: tuple[str, ...]
    """What was corrected, lies outside of the model's limits, or had to be decided."""
    can_be_viewed: bool


def job_details(ledger: Ledger, sights: Sights, job_id: int) -> JobDetails | None:
    """Look at a job; None where a server has none of that number.

    Raises:
        LedgerError: If the ledger cannot be reached.
    """
    job = ledger.find(job_id)
    if job is None or not is_ours(job):
        return None
    return (_delivery if job.queue == DELIVER else _study)(ledger, sights, job)


def _study(ledger: Ledger, sights: Sights, job: Job) -> JobDetails:
    now, work, answer = time.time(), study_work(job), study_answer(job)
    return JobDetails(
        row=job_row(job, sights.running, now),
        facts=(*_times(job), *(_of_work(work) if work else ()), *(_of_answer(answer) if answer else ())),
        uids=_uids(ledger, work) if work and sights.shows_uids else (),
        volumes=tuple((name, f"{ml:.3f}") for name, ml in answer.volumes_ml.items()) if answer else (),
        files=_files(answer.files if answer else (), sights),
        deliveries=tuple(job_row(each, sights.running, now) for each in _deliveries(ledger, job, work)),
        remarks=_remarks(answer) if answer else (),
        can_be_viewed=answer is not None,
    )


def _delivery(_ledger: Ledger, sights: Sights, job: Job) -> JobDetails:
    work = delivery_work(job)
    taken = (job.result or {}).get("accepted", ())
    facts = (("Destination", work.destination), ("Taken by it", ", ".join(taken) or "nothing yet")) if work else ()
    return JobDetails(
        row=job_row(job, sights.running, time.time()),
        facts=(*_times(job), *facts),
        uids=(),
        volumes=(),
        files=_files(work.files if work else (), sights),
        deliveries=(),
        remarks=(),
        can_be_viewed=False,
    )


def _times(job: Job) -> Facts:
    server = "/".join((job.worker or "").split("/")[:2])
    attempts = f"{job.num_attempts} of {job.max_attempts}" if job.queue == SEGMENT else str(job.num_attempts)
    given_back = f", and {job.given_back} given back" if job.given_back else ""
    return (("Attempts", attempts + given_back), *((("Server and process", server),) if server else ()))


def _of_work(work: StudyWork) -> Facts:
    return (
        ("Model", f"{work.model}, digest {work.model_digest[:12]}"),
        ("Rule", work.rule or "none: a client asked for it"),
        ("Came by", {"dicom": "DICOM", "grpc": "gRPC"}[work.source]),
        ("From", work.submitted_by or "nobody who was asked"),
        ("Files", str(len(work.files))),
        ("Forms asked for", ", ".join(work.formats)),
        ("Destinations", ", ".join(work.destinations) or "none"),
    )


def _of_answer(answer: StudyAnswer) -> Facts:
    times = f"{took(answer.seconds)}, {took(answer.engine_seconds)} of it in the engine"
    return (("Engine", answer.engine), ("Took", times))


def _remarks(answer: StudyAnswer) -> tuple[str, ...]:
    corrected = (f"Planes corrected by: {', '.join(answer.corrections)}.",) if answer.corrections else ()
    outside = tuple(f"Outside of the model's limits: {each}" for each in answer.outside_limits)
    return (*corrected, *outside, *answer.notes)


def _uids(ledger: Ledger, work: StudyWork) -> Facts:
    folder, _, key = work.folder.partition("/")
    study = Arrivals(ledger).find(key) if folder == INCOMING else None
    series = (("Series chosen by who sent it", ", ".join(work.series)),) if work.series else ()
    return (*((("Study instance UID", study.study_uid),) if study else ()), *series)


def _files(files: tuple[ResultFile, ...], sights: Sights) -> tuple[FileRow, ...]:
    return tuple(
        FileRow(
            name=file.name,
            size=size(file.bytes),
            sha256=file.sha256[:16],
            sop_instance=file.sop_instance if sights.shows_uids else "",
        )
        for file in files
    )


def _deliveries(ledger: Ledger, job: Job, work: StudyWork | None) -> list[Job]:
    if work is None or job.state is not JobState.DONE:
        return []
    keys = [delivery_key(job.key, job.attempt, destination) for destination in work.destinations]
    return list(ledger.named(DELIVER, keys).values())
