"""``scnas.v1.Segmentation``: what each call does, of the parts that lie beside."""

import logging
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from scnas_deploy.errors import ConfigError, NotFoundError
from scnas_deploy.files import sha256_of
from scnas_deploy.jobs.job import Job, JobState, NewJob
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.patience import patiently
from scnas_deploy.serve.catalog import ModelCatalog, PinnedModel
from scnas_deploy.serve.logs import event, logger
from scnas_deploy.serve.rpc.fetching import parts_of_result
from scnas_deploy.serve.rpc.identity import Identities
from scnas_deploy.serve.rpc.uploads import Received, Uploads
from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb
from scnas_deploy.serve.rpc.v1.segmentation_pb2_grpc import SegmentationServicer
from scnas_deploy.serve.rpc.wanted import Wanted, wanted_of
from scnas_deploy.serve.rpc.watching import changes, told
from scnas_deploy.serve.rpc.words import STATES, ours
from scnas_deploy.serve.running import Running
from scnas_deploy.serve.spool import Spool
from scnas_deploy.serve.tracing import span
from scnas_deploy.serve.work import PRIORITIES, SEGMENT, StudyWork

_LOG: Final = logger("serve.rpc")
_PAGE, _LONGEST_PAGE = 100, 1000
_LOOK, _LOOKS = 200, 20
"""Jobs of all clients that are looked through at a time, and how often for one page of a client's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """What the calls work with."""

    spool: Spool
    ledger: Ledger
    catalog: ModelCatalog
    running: Running
    identities: Identities
    uploads: Uploads
    max_attempts: int
    """At a study."""
    stopping: threading.Event
    """Set when the server ends."""


class SegmentationService(SegmentationServicer):
    """Answers the calls; errors become statuses in :mod:`scnas_deploy.serve.rpc.guard`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def Submit(self, request_iterator: Iterator[pb.SubmitRequest], context: Any) -> pb.SubmitResponse:  # noqa: N802
        """Take a study and make its job."""
        desk, client = self._desk, self._desk.identities.client_of(context)
        wanted = wanted_of(next(request_iterator, None))
        key = _key(client, wanted.idempotency_key)
        known = self._job_of(key) is not None
        model = self._pinned(wanted.model)
        with (
            span("submit", _traceparent(context), model=model.name) as trace,
            desk.uploads.receive(request_iterator, wanted.num_files) as received,
        ):
            work = self._work(client, key, wanted, model, received, trace)
            work = desk.uploads.settle(received, key, wanted, work)
        if not known:
            desk.ledger.enqueue(SEGMENT, [self._new_job(key, wanted, work)])
        job = self._job_of(key)
        if job is None:
            raise NotFoundError("the job", expected="the job that was made", found="none", remedy="Submit it again")
        event(_LOG, logging.INFO, "a study was submitted", job=job.id, files=len(work.files), known=known)
        return pb.SubmitResponse(job_id=job.id, known=known, state=STATES[job.state])

    def Watch(self, request: pb.WatchRequest, context: Any) -> Iterator[pb.WatchResponse]:  # noqa: N802
        """Tell how a job stands, until it is finished."""
        desk = self._desk
        job_id = self._own(request.job_id, desk.identities.client_of(context)).id
        ended = threading.Event()
        if not context.add_callback(ended.set):
            ended.set()
        our_fault = False
        try:
            yield from changes(desk.ledger, job_id, desk.running.progress, ended, desk.stopping)
        except Exception:
            our_fault = not ended.is_set()
            raise
        finally:
            if request.cancel_on_end and not our_fault and not desk.stopping.is_set():
                patiently(lambda: self._cancel(job_id, "nobody watches it any more"), desk.stopping)

    def Fetch(self, request: pb.FetchRequest, context: Any) -> Iterator[pb.FetchResponse]:  # noqa: N802
        """Bring a job's result."""
        job = self._own(request.job_id, self._desk.identities.client_of(context))
        yield from parts_of_result(self._desk.spool, job)

    def Cancel(self, request: pb.CancelRequest, context: Any) -> pb.CancelResponse:  # noqa: N802
        """End a job; a finished one stays as it is."""
        job = self._own(request.job_id, self._desk.identities.client_of(context))
        state = self._cancel(job.id, "its client cancelled it")
        return pb.CancelResponse(state=STATES[state or job.state])

    def ListJobs(self, request: pb.ListJobsRequest, context: Any) -> pb.ListJobsResponse:  # noqa: N802
        """List the client's jobs."""
        client = self._desk.identities.client_of(context)
        states = [ours(STATES, number, "state") for number in request.states]
        size = min(request.page_size, _LONGEST_PAGE) if request.page_size > 0 else _PAGE
        found, before = self._page(client, states, size, _before(request.page_token))
        listed = [_listed(job, told(job, self._desk.running.progress)) for job in found]
        return pb.ListJobsResponse(jobs=listed, next_page_token="" if before is None else str(before))

    def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:  # noqa: ARG002, N802
        """List the models."""
        self._desk.identities.client_of(context)
        models = [
            pb.Model(
                name=model.name,
                digest=model.digest,
                is_default=model.is_default,
                labels=model.labels,
                channels=model.channels,
                dice=model.dice,
                precisions=model.precisions,
                problem=model.problem,
            )
            for model in self._desk.catalog.described()
        ]
        return pb.ListModelsResponse(models=models)

    def _job_of(self, key: str) -> Job | None:
        return self._desk.ledger.named(SEGMENT, [key]).get(key)

    def _pinned(self, name: str) -> PinnedModel:
        try:
            return self._desk.catalog.pin(name or None)
        except ConfigError as error:
            expected = error.expected
        raise ConfigError(
            "the model",
            expected=expected,
            found="another name" if name else "none",
            remedy="Choose one that ListModels names",
        )

    def _work(
        self, client: str, key: str, wanted: Wanted, model: PinnedModel, received: Received, trace: str
    ) -> StudyWork:
        spool = self._desk.spool
        return StudyWork(
            source="grpc",
            submitted_by=client,
            folder=spool.relative(spool.upload(key)),
            files=received.files,
            model=model.name,
            model_digest=model.digest,
            formats=wanted.formats_for(dicom=received.dicom),
            series=wanted.series,
            allow=wanted.allow,
            force=wanted.force,
            expires_at=None if wanted.time_limit_s is None else time.time() + wanted.time_limit_s,
            traceparent=trace,
        )

    def _new_job(self, key: str, wanted: Wanted, work: StudyWork) -> NewJob:
        return NewJob(
            key=key,
            kind=SEGMENT,
            payload=work.model_dump(mode="json", by_alias=True),
            priority=PRIORITIES[wanted.priority],
            max_attempts=self._desk.max_attempts,
        )

    def _own(self, job_id: int, client: str) -> Job:
        """Return a client's job; another's is as if it were none."""
        job = self._desk.ledger.find(job_id)
        if job is None or not _belongs(job, client):
            raise NotFoundError("the job", expected="a job of this client", found="none", remedy="See ListJobs")
        return job

    def _cancel(self, job_id: int, why: str) -> JobState | None:
        state = self._desk.ledger.cancel(job_id, f"expected to be finished, found that {why}.")
        self._desk.running.halt(job_id)
        return state

    def _page(
        self, client: str, states: Sequence[JobState], size: int, before: int | None
    ) -> tuple[list[Job], int | None]:
        """Return a client's next jobs, and what to look before for more; None where there are none."""
        found: list[Job] = []
        for _ in range(_LOOKS):
            jobs = self._desk.ledger.listed(queues=[SEGMENT], states=states or None, limit=_LOOK, before=before)
            for job in jobs:
                before = job.id
                if _belongs(job, client):
                    found.append(job)
                if len(found) == size:
                    return found, before
            if len(jobs) < _LOOK:
                return found, None
        return found, before


def _key(client: str, idempotency_key: str) -> str:
    """Name a job: the same for the same client and key, else by chance."""
    if not idempotency_key:
        return secrets.token_hex(32)
    return sha256_of(f"{len(client)}:{client}:{idempotency_key}".encode())


def _belongs(job: Job, client: str) -> bool:
    payload = job.payload
    return job.queue == SEGMENT and payload.get("source") == "grpc" and payload.get("submitted_by") == client


def _before(token: str) -> int | None:
    if not token:
        return None
    if len(token) > 18 or not (token.isascii() and token.isdigit()):
        raise ConfigError("page_token", expected="one from a page before", found="another", remedy="Leave it out")
    return int(token)


def _listed(job: Job, standing: pb.WatchResponse) -> pb.Job:
    return pb.Job(
        job_id=job.id,
        state=standing.state,
        stage=standing.stage,
        fraction=standing.fraction,
        model=job.payload["model"],
        model_digest=job.payload["model_digest"],
        num_attempts=job.num_attempts,
        enqueued_at=_timestamp(job.enqueued_at),
        changed_at=_timestamp(job.changed_at),
        error=standing.error,
    )


def _timestamp(seconds: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMilliseconds(round(seconds * 1000))
    return stamp


def _traceparent(context: Any) -> str:
    return next((str(value) for key, value in context.invocation_metadata() if key == "traceparent"), "")
