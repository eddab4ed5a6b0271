"""Spans: a request's or a stream's part of a trace, and its stages.

A trace that comes with a request goes on, one that does not begins here. Spans are sent to a
collector where `ENDPOINT` says where it is, and only named otherwise.
"""

import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from poise.runtime.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

#: OpenTelemetry's own variables: one for all signals, one for traces alone.
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_PARENT: Final = "traceparent"
#: What Serve calls the request at hand.
request_id: ContextVar[str] = ContextVar("request_id", default="")

Headers = Iterable[tuple[str, str]]


def check_exporter() -> None:
    """See that spans can be sent where they are to be.

    Raises:
        SettingsError: what sends them is not installed.
    """
    if (wanted := _endpoint()) is None:
        return
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter  # noqa: F401
    except ImportError:
        raise SettingsError(
            f"{wanted} is set, and what sends traces is not installed: pip install 'poise[tracing]'"
        ) from None


def begin(headers: Headers, name: str) -> Span:
    """Begin a span of the trace that a request names, or of a new one.

    Args:
        headers: of the request; a ``traceparent`` that is none, or is given twice, is ignored.
        name: of the span.
    """
    given: dict[str, list[str]] = {}
    for key, value in headers:
        given.setdefault(key.lower(), []).append(value)
    if len(given.get(_PARENT, ())) > 1:
        del given[_PARENT]
    context = _PROPAGATOR.extract(given)
    sender = _sender()
    if sender is None:
        return _unsent(get_current_span(context).get_span_context())
    return _tracer(sender).start_span(name, context, SpanKind.SERVER)


@contextmanager
def current(span: Span) -> Iterator[None]:
    """Be inside a span; it ends with the block."""
    with use_span(span, end_on_exit=True, record_exception=False):
        yield


def told(span: Span) -> dict[str, str]:
    """``traceparent`` and ``tracestate`` of a span."""
    found: dict[str, str] = {}
    _PROPAGATOR.inject(found, set_span_in_context(span))
    return found


def stages(ends: float, seconds: Mapping[str, float]) -> None:
    """Say what the current span's last seconds went into, one stage after another.

    Args:
        ends: of the last stage, by `time.perf_counter`.
        seconds: of each. Stages that took turns are one each, as long as all their turns.
    """
    sender = _sender()
    if sender is None:
        return
    at = time.time() - (time.perf_counter() - ends) - sum(seconds.values())
    for name, long in seconds.items():
        span = _tracer(sender).start_span(name, start_time=_ns(at))
        at += long
        span.end(_ns(at))


def send_rest() -> None:
    """Send the spans that wait."""
    sender = _sender()
    if sender is not None:
        sender.force_flush(2000)


def _endpoint() -> str | None:
    return next((name for name in ENDPOINTS if os.environ.get(name)), None)


def _unsent(parent: SpanContext) -> Span:
    """A span that nobody is told of: as the standard has it, the trace goes on all the same."""
    flags = TraceFlags(parent.trace_flags & TraceFlags.SAMPLED)
    trace_id = parent.trace_id or secrets.randbits(128)
    found = SpanContext(trace_id, secrets.randbits(64), False, flags, parent.trace_state)
    return NonRecordingSpan(found)


@lru_cache(maxsize=1)
def _sender() -> "TracerProvider | None":
    """What sends this process's spans, a batch at a time in a thread of its own."""
    if _endpoint() is None:
        return None
    check_exporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = os.environ.get("OTEL_SERVICE_NAME", "poise")
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: named}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _tracer(sender: "TracerProvider") -> Tracer:
    return sender.get_tracer("poise")


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
