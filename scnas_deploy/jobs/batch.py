"""A batch of studies: its jobs in a ledger, and what has become of them."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scnas_deploy.errors import ConfigError
from scnas_deploy.files import sha256_of, sha256_of_file
from scnas_deploy.jobs.job import Job, JobState, NewJob
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.manifest import StudyRow
from scnas_deploy.jobs.studies import STUDY, Stamp, StudyPayload, StudyResult, StudySettings, stamp_of

_SHOWN: Final = 5

_Written = Mapping[str, Mapping[tuple[str, ...], set[str]]]
"""Digests of masks that jobs wrote, by output and by the studies whose masks they are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Studies that are segmented in one way."""

    rows: Mapping[str, StudyRow]
    """By the keys of their jobs, in the manifest's order."""
    settings: StudySettings
    """How."""

    @property
    def queue(self) -> str:
        """Name of a queue that no other batch shares."""
        return sha256_of("\n".join(sorted(self.rows)).encode())


def make_batch(rows: Sequence[StudyRow], settings: StudySettings) -> Batch:
    """Name each study's job by what goes in, what comes out, and how."""
    return Batch(rows={_key(row, settings): row for row in rows}, settings=settings)


def take_up(ledger: Ledger, batch: Batch, *, max_attempts: int) -> None:
    """Put a batch's jobs into the ledger, or take it up where it was left.

    What is done stays done, be it in a batch of fewer studies, unless the study has changed or the mask was removed.
    What has failed is tried again. A job whose study cannot be seen from here any more stays as it is.

    Raises:
        ConfigError: If no study can be seen, or masks of other studies lie at outputs; nothing has been changed then.
    """
    queue, keys = batch.queue, batch.rows.keys()
    payloads = dict(zip(keys, _payloads(ledger, batch.rows.values()), strict=True))
    ledger.adopt(queue, keys)
    known = ledger.named(queue, keys)
    jobs = {
        key: _new_job(key, payloads[key], row.priority, max_attempts)
        for key, row in batch.rows.items()
        if key not in known or not _is_out_of_sight(known[key], payloads[key])
    }
    again = {key for key, job in known.items() if _is_to_be_done_again(job, payloads[key])}
    ledger.reopen(queue, [job for key, job in jobs.items() if key in again])
    ledger.enqueue(queue, jobs.values())


def _new_job(key: str, payload: StudyPayload, priority: int, max_attempts: int) -> NewJob:
    told = payload.model_dump(mode="json", by_alias=True)
    return NewJob(key=key, kind=STUDY, payload=told, priority=priority, max_attempts=max_attempts)


def _key(row: StudyRow, settings: StudySettings) -> str:
    named = [[str(path) for path in row.studies], str(row.output), *settings.identity]
    return sha256_of(json.dumps(named).encode())


def _payloads(ledger: Ledger, rows: Collection[StudyRow]) -> list[StudyPayload]:
    stamps = [tuple(_stamp_if_seen(path) for path in row.studies) for row in rows]
    _refuse_unseen(stamps)
    written = _written(ledger, rows)
    _refuse_others_masks(rows, written)
    return [
        StudyPayload(
            studies=_names(row),
            stamps=stamps_of_row,
            output=str(row.output),
            written=tuple(sorted(written.get(str(row.output), {}).get(_names(row), ()))),
        )
        for row, stamps_of_row in zip(rows, stamps, strict=True)
    ]


def _stamp_if_seen(path: Path) -> Stamp | None:
    """A file that cannot be looked at stops no other; its worker will try again."""
    try:
        return stamp_of(path)
    except OSError:
        return None


def _refuse_unseen(stamps: Collection[tuple[Stamp | None, ...]]) -> None:
    """Refuse a batch of which nothing is there, as where the archive is not mounted."""
    if any(stamp is not None for stamps_of_row in stamps for stamp in stamps_of_row):
        return
    raise ConfigError(
        "the batch's studies",
        expected="files that are there",
        found=f"none of the {len(stamps)} studies",
        remedy="Check that the folder they lie in is mounted here, and the paths of the manifest",
    )


def _written(ledger: Ledger, rows: Iterable[StudyRow]) -> _Written:
    written: dict[str, dict[tuple[str, ...], set[str]]] = {}
    for job in ledger.recorded(STUDY, "output", [str(row.output) for row in rows if row.output.exists()]):
        result = job.result or {}
        by_studies = written.setdefault(result["output"], {})
        by_studies.setdefault(tuple(job.payload["studies"]), set()).update(result["written"])
    return written


def _refuse_others_masks(rows: Iterable[StudyRow], written: _Written) -> None:
    """Refuse outputs where the mask of another study lies, as where two folders of scans have names in common."""
    numbers = [str(row.number) for row in rows if _holds_anothers_mask(row, written.get(str(row.output), {}))]
    if numbers:
        more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
        raise ConfigError(
            "the batch's outputs",
            expected="none where the mask of another study lies",
            found=f"such masks for rows {', '.join(numbers[:_SHOWN])}{more}",
            remedy="Choose another folder with -o, or remove these masks",
        )


def _holds_anothers_mask(row: StudyRow, written: Mapping[tuple[str, ...], set[str]]) -> bool:
    others = set().union(*(digests for studies, digests in written.items() if studies != _names(row)))
    if not others or not row.output.is_file():
        return False
    return sha256_of_file(row.output) in others - written.get(_names(row), set())


def _names(row: StudyRow) -> tuple[str, ...]:
    return tuple(map(str, row.studies))


def _is_out_of_sight(job: Job, payload: StudyPayload) -> bool:
    """Whether a file that was there is not: what the job knows of it is more than we do."""
    earlier = StudyPayload.model_validate(job.payload)
    return any(new is None and old is not None for new, old in zip(payload.stamps, earlier.stamps, strict=True))


def _is_to_be_done_again(job: Job, payload: StudyPayload) -> bool:
    if job.state in (JobState.FAILED, JobState.DEAD, JobState.CANCELLED):
        return True
    if job.state is not JobState.DONE:
        return False
    earlier = StudyPayload.model_validate(job.payload)
    return earlier.stamps != payload.stamps or not Path(payload.output).exists() or _was_kept_for_nothing(job, payload)


def _was_kept_for_nothing(job: Job, payload: StudyPayload) -> bool:
    """Whether what was taken for somebody else's work has turned out to be ours."""
    output = Path(payload.output)
    kept = StudyResult.model_validate(job.result).kept
    return kept and output.is_file() and sha256_of_file(output) in payload.written
