"""A batch of studies: its jobs in a ledger, and what has become of them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scnas_deploy.files import sha256_of
from scnas_deploy.jobs.job import Job, JobState, NewJob
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.manifest import StudyRow
from scnas_deploy.jobs.studies import STUDY, StudyPayload, StudySettings, stamp_of


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
    What has failed is tried again.
    """
    queue, keys = batch.queue, batch.rows.keys()
    payloads = dict(zip(keys, _payloads(ledger, batch.rows.values()), strict=True))
    ledger.adopt(queue, keys)
    known = ledger.named(queue, keys)
    ledger.reopen(queue, [key for key, job in known.items() if _is_to_be_done_again(job, payloads[key])])
    ledger.enqueue(
        queue,
        [
            NewJob(
                key=key,
                kind=STUDY,
                payload=payloads[key].model_dump(mode="json", by_alias=True),
                priority=row.priority,
                max_attempts=max_attempts,
            )
            for key, row in batch.rows.items()
        ],
    )


def _key(row: StudyRow, settings: StudySettings) -> str:
    named = [[str(path) for path in row.studies], str(row.output), *settings.identity]
    return sha256_of(json.dumps(named).encode())


def _payloads(ledger: Ledger, rows: Iterable[StudyRow]) -> list[StudyPayload]:
    present = [str(row.output) for row in rows if row.output.exists()]
    written: dict[str, set[str]] = {}
    for result in ledger.results(STUDY, "output", present):
        written.setdefault(result["output"], set()).update(result["written"])
    return [
        StudyPayload(
            studies=tuple(str(path) for path in row.studies),
            stamps=tuple(stamp_of(path) for path in row.studies),
            output=str(row.output),
            written=tuple(sorted(written.get(str(row.output), ()))),
        )
        for row in rows
    ]


def _is_to_be_done_again(job: Job, payload: StudyPayload) -> bool:
    if job.state in (JobState.FAILED, JobState.DEAD):
        return True
    earlier = StudyPayload.model_validate(job.payload)
    return job.state is JobState.DONE and (earlier.stamps != payload.stamps or not Path(payload.output).exists())
