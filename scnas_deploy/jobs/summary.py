"""What has become of a batch, study by study."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

from scnas_deploy.errors import DataError, OutputError, ScnasError
from scnas_deploy.files import reading, sha256_of_file, write_text
from scnas_deploy.jobs.batch import Batch
from scnas_deploy.jobs.job import Job, JobState
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.manifest import StudyRow
from scnas_deploy.jobs.studies import StudyResult

KEPT: Final = "kept"
"""State of a study whose output is somebody else's work: nothing is written there."""
STATES: Final = (*JobState, KEPT)

_FIRST_COLUMNS: Final = ("id", "study", "state", "output", "attempts", "seconds")
_KEPT_NOTE: Final = "another mask lies at the output and was left there; remove it to have it made"
_REMOVED_NOTE: Final = "the output was removed since; the same command makes it again"
_FORCED_NOTE: Final = "forced: "


@dataclass(frozen=True, kw_only=True, slots=True)
class StudySummary:
    """One study."""

    row: StudyRow
    state: str
    """One of :data:`STATES`."""
    attempts: int = 0
    error: str = ""
    """Why its latest attempt failed; names no patient."""
    result: StudyResult | None = None
    note: str = ""
    """What whoever uses the mask should know."""


def summarize(ledger: Ledger, batch: Batch) -> list[StudySummary]:
    """Return each study once, in the manifest's order."""
    jobs = ledger.named(batch.queue, batch.rows)
    return [_summary(row, jobs[key]) for key, row in batch.rows.items()]


def check_replaceable(path: Path) -> None:
    """Refuse a summary's path where another file lies.

    Raises:
        OutputError: If one does.
        InputError: If the system cannot read it just now.
    """
    if not path.is_file():
        return
    with reading(path), path.open(encoding="utf-8", errors="replace") as file:
        if file.readline().startswith(",".join(_FIRST_COLUMNS)):
            return
    raise OutputError(
        path,
        expected="no such file, or the summary of an earlier call",
        found="another file",
        remedy="Choose another folder with -o, or move the file away",
    )


def save_summary(path: Path, summaries: Sequence[StudySummary], labels: Sequence[str]) -> None:
    """Write the summary as CSV: whole or not at all.

    Args:
        path: The file.
        summaries: Of all studies.
        labels: Names of the structures, a column of millilitres each.

    Raises:
        OutputError: If it cannot be written.
    """
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    volumes = [f"{label} ml" for label in labels]
    writer.writerow([*_FIRST_COLUMNS, *volumes, "engine", "model digest", "error", "note"])
    writer.writerows(_cells(summary, labels) for summary in summaries)
    write_text(path, text.getvalue())


def exit_status(summaries: Sequence[StudySummary]) -> int:
    """0 if every study is done, 3 if all that failed are studies that cannot be segmented, else 1."""
    others = {summary.state for summary in summaries} - {JobState.DONE, KEPT}
    if not others:
        return 0
    return DataError.exit_status if others == {JobState.FAILED} else ScnasError.exit_status


def _summary(row: StudyRow, job: Job) -> StudySummary:
    error = job.error or ""
    if job.state is not JobState.DONE:
        return StudySummary(row=row, state=job.state, attempts=job.num_attempts, error=error)
    result = StudyResult.model_validate(job.result)
    state, note = _standing(row, result)
    return StudySummary(row=row, state=state, attempts=job.num_attempts, result=result, note=note)


def _standing(row: StudyRow, result: StudyResult) -> tuple[str, str]:
    """State and note of a job that is done, by what lies at its output now."""
    if not row.output.is_file():
        return JobState.DONE, _REMOVED_NOTE
    if result.kept or sha256_of_file(row.output) not in result.written:
        return KEPT, _KEPT_NOTE
    return JobState.DONE, _FORCED_NOTE + "; ".join(result.outside_limits) if result.outside_limits else ""


def _cells(summary: StudySummary, labels: Sequence[str]) -> list[object]:
    result = summary.result
    head = [summary.row.id, ";".join(map(str, summary.row.studies)), summary.state, summary.row.output]
    if result is None or summary.state == KEPT:
        figures = ["", *[""] * len(labels), "", ""]  # of a mask that is not there
    else:
        volumes = [f"{result.volumes_ml[label]:.4f}" for label in labels]
        figures = [f"{result.seconds:.3f}", *volumes, result.engine, result.model_digest]
    return [*head, summary.attempts, *figures, summary.error, summary.note]
