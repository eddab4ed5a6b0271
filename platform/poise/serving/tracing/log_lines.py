"""Poise's log lines among Serve's own, with the request and the trace that they belong to."""

import logging
from typing import Final

from opentelemetry.trace import format_trace_id, get_current_span

from poise.runtime.printable import printable
from poise.serving.tracing.spans import request_id

_SERVE: Final = "ray.serve"
#: Clients may name their requests.
_LONGEST: Final = 100


def log_as_serve_does() -> None:
    """Write Poise's lines where Serve writes a replica's: as its ``logging_config`` says."""
    serve, ours = logging.getLogger(_SERVE), logging.getLogger("poise")
    ours.handlers, ours.propagate = [*serve.handlers], not serve.handlers
    ours.setLevel(serve.level)
    for handler in ours.handlers:
        handler.addFilter(name_trace)


def name_trace(record: logging.LogRecord) -> bool:
    """Say at the end of Poise's lines whose they are."""
    context = get_current_span().get_span_context()
    known = vars(record)
    if record.name.startswith("poise") and context.is_valid and "trace_id" not in known:
        known["trace_id"] = format_trace_id(context.trace_id)
        given = printable(request_id.get()[:_LONGEST])
        own = f"request_id={given} " if given else ""
        record.msg = f"{record.getMessage()} [{own}trace_id={known['trace_id']}]"
        record.args = ()
    return True
