"""Requests as spans, and what they are called in answers and in the log."""

import logging
import time
from typing import Final

from opentelemetry.trace import Span, StatusCode
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from poise.serving.tracing.spans import begin, current, request_id, told

logger = logging.getLogger(__name__)

#: Serve's proxy gives every request one that has none, and the answer, too.
_ID: Final = "x-request-id"


class TraceRequests:
    """ASGI middleware: a request is a span of its client's trace, and its answer says which."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, method = time.perf_counter(), 500, scope["method"]
        headers = [(key.decode("latin-1"), one.decode("latin-1")) for key, one in scope["headers"]]
        span = begin(headers, method)

        async def send_with_trace(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(told(span))
            await send(message)

        own = next((value for key, value in headers if key == _ID), "")
        before = request_id.set(own)
        try:
            with current(span):
                try:
                    await self._app(scope, receive, send_with_trace)
                finally:
                    # Only what there is has a route: any path may be asked for.
                    route = getattr(scope.get("route"), "path", "")
                    seconds = time.perf_counter() - began
                    logger.info("%s %s: %d in %.3f s", method, route or "?", status, seconds)
                    if span.is_recording():
                        _describe(span, method, route, status, own)
        finally:
            request_id.reset(before)


def _describe(span: Span, method: str, route: str, status: int, own: str) -> None:
    span.update_name(f"{method} {route}" if route else method)
    span.set_attributes(
        {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "request_id": own,
        }
    )
    if status >= 500:
        span.set_status(StatusCode.ERROR, f"answered {status}")
