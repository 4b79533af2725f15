"""What is said of jobs that end, and the trace that deliveries belong to."""

from collections.abc import Mapping
from typing import Any, Final

from scnas_deploy.jobs.job import Job, JobState
from scnas_deploy.jobs.worker import Attempt, Finished, Handler
from scnas_deploy.serve.logs import event, logger
from scnas_deploy.serve.metrics import Metrics
from scnas_deploy.serve.tracing import span
from scnas_deploy.serve.work import DELIVER, SEGMENT

_LOG: Final = logger("serve")
_INFO, _WARNING = 20, 30
_ENDS: Final = {SEGMENT: "a segmentation ended", DELIVER: "a delivery ended"}


class Endings:
    """Told of every attempt that ends.

    Args:
        metrics: Where they are counted.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __call__(self, job: Job, state: JobState, error: str | None) -> None:
        """Count and log one.

        Args:
            job: As it was claimed.
            state: In which the attempt leaves it.
            error: Why it failed; None where it did not.
        """
        if job.queue == SEGMENT:
            self._metrics.results.labels(job.payload["model"], state.value).inc()
        else:
            self._metrics.deliveries.labels(job.payload["destination"], state.value).inc()
        fields = {"job": job.id, "state": state.value, "attempt": job.num_attempts}
        level = _INFO if error is None else _WARNING
        event(_LOG, level, _ENDS[job.queue], **fields, **({"error": error} if error else {}))


def traced_delivery(handler: Handler) -> Handler:
    """Have deliveries belong to the trace of their study."""

    def traced(attempt: Attempt) -> Mapping[str, Any] | Finished:
        payload = attempt.job.payload
        with span("deliver", payload["traceparent"], destination=payload["destination"]):
            return handler(attempt)

    return traced
