"""The job of segmenting a study: read, segmented, its results proven and written, and sent on their way."""

import json
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
from scnas_deploy.errors import EngineError
from scnas_deploy.files import sha256_of_file
from scnas_deploy.inference.model import Model, SegmentOptions
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.jobs.job import NewJob
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.worker import Attempt, Finished, Halt
from scnas_deploy.results.audit import append_audit
from scnas_deploy.results.formats import format_of, source_for, write_results
from scnas_deploy.serve.admission import Admission
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

_RECORD_S: Final = 1.0
"""Between two words to the ledger about how far a job is."""
_READ_FACTOR: Final = 4
"""Bytes of voxels for each byte of file, before the study has been read; compressed images take less on the disk."""
_ENGINE_WAIT_S, _LOOK_S = 3.0, 0.2
"""Before an engine that cannot be opened is tried again."""
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
    engine_trouble: Callable[[str], None]
    """Told why no engine can be opened, and with an empty text that one was."""


class SegmentHandler:
    """Runs the jobs of the queue SEGMENT; see :data:`scnas_deploy.jobs.worker.Handler`."""

    def __init__(self, workshop: Workshop) -> None:
        self._shop = workshop

    def __call__(self, attempt: Attempt) -> Finished:
        """Segment a study.

        Raises:
            DataError: If the study or the model cannot be used.
            EngineError: If the engine fails; the next attempt gets a new one.
        """
        content = json.dumps(attempt.job.payload).encode()
        work = parse_document("the job", content, StudyWork, made_by="scnas serve")
        with (
            self._shop.running.run(attempt.job.id) as job,
            span("segment", work.traceparent, model=work.model) as trace,
        ):
            return _Study(self._shop, work, attempt, job, trace).finish()


class _Study:
    """One attempt at one study."""

    def __init__(self, shop: Workshop, work: StudyWork, attempt: Attempt, job: RunningJob, trace: str) -> None:
        self._shop, self._work, self._attempt, self._job, self._trace = shop, work, attempt, job, trace
        self._started = self._recorded = time.monotonic()
        self._engine_seconds = 0.0
        self._stage_since = self._started

    def finish(self) -> Finished:
        self._check()
        model = self._model()
        paths = [self._shop.spool.path(f"{self._work.folder}/{name}") for name in self._work.files]
        likely_bytes = _READ_FACTOR * sum(path.stat().st_size for path in paths if path.exists())
        with self._shop.admission.study(likely_bytes, self._check) as reservation:
            volume = self._read(paths, model)
            result = self._segment(model, volume, lambda peak: reservation.compute(peak, self._check))
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
            self._shop.engine_trouble(error.redacted)
            self._pause()
            raise Halt from error
        self._shop.engine_trouble("")
        return model

    def _pause(self) -> None:
        """Wait before an engine is tried again."""
        until = time.monotonic() + _ENGINE_WAIT_S
        while time.monotonic() < until:
            self._check()
            time.sleep(_LOOK_S)

    def _read(self, paths: list[Path], model: Model) -> Volume:
        work = self._work
        with self._stage("reading"):
            how = SeriesChoice(named=work.series, allow=work.allow, force=work.force)
            volume = load_study(paths, model.package.plan, how)
            source_for(volume, work.formats)
        self._check()
        return volume

    def _segment(self, model: Model, volume: Volume, admit: Callable[[int], None]) -> Segmentation:
        options = SegmentOptions(
            force=self._work.force,
            max_memory=self._shop.admission.limit,
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
                key=delivery_key(job.key, job.attempt, destination.name),
                kind=DELIVER,
                payload=DeliveryWork(
                    destination=destination.name,
                    study_job=job.id,
                    folder=answer.folder,
                    files=files,
                    traceparent=self._trace,
                ).model_dump(mode="json", by_alias=True),
                priority=job.priority,
                max_attempts=_ENDLESS,
            )
            for destination in self._shop.destinations
            if destination.name in self._work.destinations
            and (files := tuple(file for file in answer.files if file.sop_class and file.format in destination.formats))
        ]

    def _check(self) -> None:
        """Called often; raises where the job must not go on."""
        self._attempt.check()
        expires_at = self._work.expires_at
        if expires_at is not None and time.time() > expires_at:
            self._shop.ledger.cancel(self._attempt.job.id, "its time limit was over before it was done")
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
