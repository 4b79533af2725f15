"""How a job stands, told to whoever watches it."""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from scnas_deploy.errors import NotFoundError, UnreachableError
from scnas_deploy.jobs.job import Job, JobState
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.patience import patiently
from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb
from scnas_deploy.serve.rpc.words import STAGES, STATES
from scnas_deploy.serve.work import StudyProgress

UNFINISHED: Final = frozenset({JobState.QUEUED, JobState.RUNNING})
_POLL_S: Final = 0.25
_WAITS_S: Final = (0.5, 1.0, 2.0, 4.0)
"""For a ledger that is away; then the client is told to come again."""

Live = Callable[[int], StudyProgress | None]
"""How a job that runs in this process stands."""


def told(job: Job, live: Live) -> pb.WatchResponse:
    """Return how a job stands: by this process where it runs here, else by what its worker has recorded."""
    response = pb.WatchResponse(state=STATES[job.state], error=job.error or "")
    if job.state is JobState.DONE:
        response.stage, response.fraction = STAGES["finished"], 1.0
    elif job.state is JobState.RUNNING:
        progress = live(job.id) or _recorded(job.result)
        response.stage = STAGES[progress.stage]
        response.fraction, response.patches_per_s = progress.fraction, progress.patches_per_s
    elif job.state is JobState.QUEUED:
        response.stage = STAGES["waiting"]
    return response


def changes(
    ledger: Ledger, job_id: int, live: Live, ended: threading.Event, stopping: threading.Event
) -> Iterator[pb.WatchResponse]:
    """Tell how a job stands, at once and whenever it changes, until it is finished or its watcher has gone.

    Args:
        ledger: Knows it.
        job_id: Its number.
        live: See there.
        ended: Set when the watcher has gone.
        stopping: Set when the server stops.

    Raises:
        NotFoundError: If it is there no more.
        UnreachableError: If the server stops.
        LedgerError: If the ledger stays away.
    """
    last = None
    while not ended.is_set():
        job = patiently(lambda: ledger.find(job_id), ended, waits_s=_WAITS_S)
        if job is None:
            raise NotFoundError("the job", expected="a job", found="that it was removed", remedy="Submit it again")
        now = told(job, live)
        if now != last:
            yield now
            last = now
        if job.state not in UNFINISHED:
            return
        if stopping.is_set():
            raise UnreachableError("the server", expected="a server", found="one that ends", remedy="Watch again")
        ended.wait(_POLL_S)


def _recorded(result: Mapping[str, Any] | None) -> StudyProgress:
    known = {name: value for name, value in (result or {}).items() if name in StudyProgress.model_fields}
    return StudyProgress.model_validate({"stage": "waiting", **known})
