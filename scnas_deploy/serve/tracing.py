"""Traces from a study's first object to the destination that took its results, by OpenTelemetry.

Sent where OTEL_EXPORTER_OTLP_ENDPOINT says, and nowhere without it. What a trace holds: stages, seconds, names from the
settings, digests of models, outcomes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_CONTEXT: Final = TraceContextTextMapPropagator()
_NANOSECONDS: Final = 1_000_000_000


def start_tracing() -> None:
    """Have spans sent away in the background, where an endpoint is set."""
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": "scnas-deploy", "service.version": version("scnas-deploy")})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def stop_tracing() -> None:
    """Send what has not been sent yet."""
    provider: Any = trace.get_tracer_provider()
    if hasattr(provider, "shutdown"):
        provider.shutdown()


@contextmanager
def span(name: str, traceparent: str = "", **attributes: str | int | float) -> Iterator[str]:
    """Time a piece of work.

    Args:
        name: What it is.
        traceparent: What it belongs to; empty begins a trace, or goes on with the enclosing span's.
        attributes: Figures and names from the settings.

    Yields:
        The trace context for what follows from it.
    """
    context = _CONTEXT.extract({"traceparent": traceparent}) if traceparent else None
    with _tracer().start_as_current_span(
        name, context=context, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield _traceparent()
        except BaseException as error:
            current.set_status(trace.StatusCode.ERROR, type(error).__name__)  # its message may name a patient
            raise


def past_span(name: str, start: float, end: float, **attributes: str | int | float) -> str:
    """Begin a trace with something that is over; returns the trace context for what follows.

    Args:
        name: What it was.
        start: Seconds since 1970.
        end: Likewise.
        attributes: As in :func:`span`.
    """
    past = _tracer().start_span(name, start_time=int(start * _NANOSECONDS), attributes=attributes)
    with trace.use_span(past, end_on_exit=False):
        traceparent = _traceparent()
    past.end(int(end * _NANOSECONDS))
    return traceparent


def _traceparent() -> str:
    carrier: dict[str, str] = {}
    _CONTEXT.inject(carrier)
    return carrier.get("traceparent", "")


def _tracer() -> trace.Tracer:
    return trace.get_tracer("scnas_deploy")
