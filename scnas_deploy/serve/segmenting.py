"""The job of segmenting a study: read, segmented, its results proven and written, and sent on their way."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scnas_deploy.data.dicom.choice import SeriesChoice
from scnas_deploy.data.dicom.library import pydicom
from scnas_deploy.data.study import load_study
from scnas_deploy.data.volume import Volume
from scnas_deploy.documents import parse_document
from scnas_deploy.errors import EngineError, InputError, OutputError
from scnas_deploy.files import sha256_of_file
from scnas_deploy.inference.model import Model, SegmentOptions
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.jobs.job import Job, NewJob
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.worker import Attempt, Finished, Halt
from scnas_deploy.results.audit import append_audit
from scnas_deploy.results.formats import format_of, source_for, write_results
from scnas_deploy.serve.admission import Admission
from scnas_deploy.serve.likely import likely_bytes
from scnas_deploy.serve.logs import event, logger
from scnas_deploy.serve.metrics import Metrics
from scnas_deploy.serve.model_pool import ModelPool
from scnas_deploy.serve.running import Running, RunningJob
from scnas_deploy.serve.settings import Destination
from scnas_deploy.serve.spool import Spool
from scnas_deploy.serve.tracing import span
from scnas_deploy.serve.work import (
    DELIVER,
    DeliveryWork,
    ResultFile,
    Stage,
    StudyAnswer,
    StudyProgress,
    StudyWork,
    delivery_key,
)

EXPIRED: Final = "expected to be done within its time limit, found that it was not."
_LOG: Final = logger("serve.segmenting")
_RECORD_S: Final = 1.0
"""Between two words to the ledger about how far a job is."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 2.0, 60.0
"""Before a job is tried again that was given back for no fault of its own; each further wait is twice as long."""
_MOST_GIVEN_BACK: Final = 1000
"""Times after which a disk that fails this study alone counts as the study's fault."""
_WORTH_CARE: Final = 2
"""Attempts after which a study may be what ends its workers: it is tried alone from then on."""
_ENDLESS: Final = 1_000_000
"""Attempts at a delivery: until the destination takes it, or says that it never will."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workshop:
    """What studies are segmented with."""

    ledger: Ledger
    spool: Spool
    models: ModelPool
    running: Running
    admission: Admission
    metrics: Metrics
    destinations: tuple[Destination, ...]
    audit: Path | None
    engine_trouble: Callable[[str, str], None]
    """Told by a model's digest why its engine cannot be opened, and with an empty text that it was."""


class SegmentHandler:
    """Runs the jobs of the queue SEGMENT; see :data:`scnas_deploy.jobs.worker.Handler`."""

    def __init__(self, workshop: Workshop) -> None:
        self._shop = workshop

    def __call__(self, attempt: Attempt) -> Finished:
        """Segment a study.

        Raises:
            DataError: If the study or the model cannot be used.
            EngineError: If the engine fails; the next attempt gets a new one.
            Halt: If the job is to be given back: cancelled, or for now there is no engine, disk or share.
        """
        content = json.dumps(attempt.job.payload).encode()
        work = parse_document("the job", content, StudyWork, made_by="scnas serve")
        with (
            self._shop.running.run(attempt.job.id) as job,
            span("segment", work.traceparent, model=work.model) as trace,
        ):
            study = _Study(self._shop, work, attempt, job, trace)
            try:
                return study.finish()
            except (OutputError, InputError) as error:  # the disk's fault, not the study's
                if attempt.job.given_back > _MOST_GIVEN_BACK:
                    raise
                event(_LOG, logging.WARNING, "a study waits", job=attempt.job.id, error=error.redacted)
                raise _again_later(attempt.job) from error


class _Study:
    """One attempt at one study."""

    def __init__(self, shop: Workshop, work: StudyWork, attempt: Attempt, job: RunningJob, trace: str) -> None:
        self._shop, self._work, self._attempt, self._job, self._trace = shop, work, attempt, job, trace
        self._started = self._recorded = time.monotonic()
        self._engine_seconds = 0.0
        self._stage_since = self._started

    def finish(self) -> Finished:
        self._check()
        self._shop.spool.require_there()
        model, job = self._model(), self._attempt.job
        paths = [self._shop.spool.path(f"{self._work.folder}/{name}") for name in self._work.files]
        is_suspect = job.num_attempts > _WORTH_CARE
        with self._shop.admission.study(
            likely_bytes(paths), self._check, priority=job.priority, alone=is_suspect
        ) as reservation:
            volume = self._read(paths, model)
            limit = reservation.has_read(volume.data.nbytes)
            result = self._segment(model, volume, limit, lambda peak: reservation.compute(peak, self._check))
            del volume
            answer = self._write(result)
        self._check()
        if self._shop.audit is not None:
            append_audit(self._shop.audit, result, self._work.formats, by=self._work.submitted_by)
        return Finished(answer.model_dump(mode="json", by_alias=True), {DELIVER: self._deliveries(answer)})

    def _model(self) -> Model:
        """Return the model; where its engine cannot be opened, which is no fault of the study's, give the job back."""
        try:
            model = self._shop.models.get(self._work.model_digest)
        except EngineError as error:
            self._shop.models.drop(self._work.model_digest)
            self._shop.engine_trouble(self._work.model_digest, error.redacted)
            raise _again_later(self._attempt.job) from error
        self._shop.engine_trouble(self._work.model_digest, "")
        return model

    def _read(self, paths: list[Path], model: Model) -> Volume:
        work = self._work
        with self._stage("reading"):
            how = SeriesChoice(named=work.series, allow=work.allow, force=work.force)
            volume = load_study(paths, model.package.plan, how)
            source_for(volume, work.formats)
        self._check()
        return volume

    def _segment(self, model: Model, volume: Volume, limit: int | None, admit: Callable[[int], None]) -> Segmentation:
        options = SegmentOptions(
            force=self._work.force,
            max_memory=limit,
            announce=lambda said: admit(said.peak),
            progress=self._progress,
        )
        with self._stage("segmenting"):
            try:
                return model.segment(volume, options)
            except EngineError:
                self._shop.models.drop(self._work.model_digest)
                raise

    def _write(self, result: Segmentation) -> StudyAnswer:
        job, work = self._attempt.job, self._work
        folder = self._shop.spool.result(f"{job.id}-{job.attempt}")
        with self._stage("writing"):
            paths = write_results(result, folder, work.formats)
            files = tuple(map(_result_file, paths))
        origin = result.study.dicom
        return StudyAnswer(
            folder=self._shop.spool.relative(folder),
            files=files,
            volumes_ml=result.volumes_ml(),
            model=work.model,
            model_digest=result.model_digest,
            engine=result.engine,
            corrections=origin.all_corrections if origin else (),
            outside_limits=result.outside_limits,
            notes=result.study.notes,
            seconds=time.monotonic() - self._started,
            engine_seconds=self._engine_seconds,
        )

    def _deliveries(self, answer: StudyAnswer) -> list[NewJob]:
        job = self._attempt.job
        return [
            NewJob(
                key=delivery_key(job.key, job.attempt, name),
                kind=DELIVER,
                payload=DeliveryWork(
                    destination=name,
                    study_job=job.id,
                    folder=answer.folder,
                    files=files,
                    traceparent=self._trace,
                ).model_dump(mode="json", by_alias=True),
                priority=job.priority,
                max_attempts=_ENDLESS,
            )
            for name in self._work.destinations
            if (files := self._files_for(name, answer))
        ]

    def _files_for(self, destination: str, answer: StudyAnswer) -> tuple[ResultFile, ...]:
        """What a destination takes; of one that the settings do not know any more, all, so that its delivery fails."""
        dicom = [file for file in answer.files if file.sop_class]
        known = [each for each in self._shop.destinations if each.name == destination]
        return tuple(file for file in dicom if not known or file.format in known[0].formats)

    def _check(self) -> None:
        """Called often; raises where the job must not go on."""
        self._attempt.check()
        expires_at = self._work.expires_at
        if expires_at is not None and time.time() > expires_at:
            self._shop.ledger.cancel(self._attempt.job.id, EXPIRED)
            raise Halt
        if self._job.halted.is_set():
            raise Halt

    def _progress(self, done: int, total: int) -> None:
        self._check()
        seconds = time.monotonic() - self._stage_since
        self._job.progress = StudyProgress(
            stage="segmenting", fraction=done / max(total, 1), patches_per_s=done / max(seconds, 1e-6)
        )
        if time.monotonic() - self._recorded > _RECORD_S:
            self._record()

    def _record(self) -> None:
        """Tell the ledger, and whoever watches from another server, how far the job is."""
        self._attempt.record(self._job.progress.model_dump(mode="json"))
        self._recorded = time.monotonic()

    @contextmanager
    def _stage(self, stage: Stage) -> Iterator[None]:
        self._job.progress = StudyProgress(stage=stage)
        started = self._stage_since = time.monotonic()
        with span(stage):
            yield
        seconds = time.monotonic() - started
        if stage == "segmenting":
            self._engine_seconds = seconds
        self._shop.metrics.study_seconds.labels(stage).observe(seconds)


def _again_later(job: Job) -> Halt:
    wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(job.given_back, 10))
    return Halt(again_in_s=wait_s)


def _result_file(path: Path) -> ResultFile:
    sop_class = sop_instance = ""
    if path.suffix == ".dcm":
        meta = pydicom().dcmread(path, stop_before_pixels=True, specific_tags=[]).file_meta
        sop_class, sop_instance = str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID)
    return ResultFile(
        name=path.name,
        format=format_of(path.name),
        bytes=path.stat().st_size,
        sha256=sha256_of_file(path),
        sop_class=sop_class,
        sop_instance=sop_instance,
    )
