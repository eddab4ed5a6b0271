"""Traces that come with requests and streams go on: in answers, in the log, and at a collector."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NoReturn

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span
from tests.support.serving import save_untrained
from tests.support.streams import open_door, url_of
from websockets.sync.client import connect

from poise.client import Client
from poise.client.asking import traced
from poise.serving.tracing import spans
from poise.serving.tracing.log_lines import name_trace
from poise.serving.tracing.middleware import TraceRequests

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
WHOLE = f"00-{TRACE}-{PARENT}-01"
app = FastAPI()
app.add_middleware(TraceRequests)
lines: list[logging.LogRecord] = []


@app.get("/ask/{name}")
async def ask(name: str) -> str:
    record = logging.LogRecord("poise.test", logging.INFO, "", 0, "said %s", (name,), None)
    name_trace(record)
    name_trace(record)  # a handler each
    lines.append(record)
    spans.stages(0.0, {"parse": 0.5, "network": 0.25})
    if name == "broken":
        raise ValueError(name)
    return name


def asked(headers: list[tuple[str, str]], name: str = "me") -> httpx.Response:
    async def ask_it() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(f"/ask/{name}", headers=headers)

    return asyncio.run(ask_it())


def test_a_trace_goes_on() -> None:
    state = "vendor=a,other=b"
    given = [("traceparent", WHOLE), ("tracestate", state), ("x-request-id", "mine")]
    answer = asked(given)
    version, trace, span, flags = answer.headers["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert span != PARENT
    assert answer.headers["tracestate"] == state
    assert lines[-1].getMessage() == f"said me [request_id=mine trace_id={TRACE}]"


def test_a_request_that_breaks_leaves_no_id_behind() -> None:
    async def broken(*_: object) -> NoReturn:
        raise ValueError

    async def ask_it() -> str:
        scope = {"type": "http", "method": "GET", "headers": [(b"x-request-id", b"mine")]}
        with pytest.raises(ValueError):  # noqa: PT011
            await TraceRequests(broken)(scope, broken, broken)
        return spans.request_id.get()

    assert asyncio.run(ask_it()) == ""


@pytest.mark.parametrize(
    "given",
    [
        [],
        [("traceparent", "")],
        [("traceparent", WHOLE.upper())],
        [("traceparent", f"ff-{TRACE}-{PARENT}-01")],
        [("traceparent", f"{WHOLE}-more")],
        [("traceparent", f"00-{'0' * 32}-{PARENT}-01")],
        [("traceparent", f"00-{TRACE}-{'0' * 16}-01")],
        [("traceparent", f"00-{TRACE[:-1]}-{PARENT}-01")],
        [("traceparent", WHOLE), ("traceparent", WHOLE)],
        [("traceparent", "0" * 5000), ("tracestate", "vendor=a")],
    ],
)
def test_what_is_no_trace_is_ignored_and_a_new_one_begins(given: list[tuple[str, str]]) -> None:
    answers = [asked(given) for _ in range(2)]
    traces = {answer.headers["traceparent"].split("-")[1] for answer in answers}
    assert len(traces) == 2
    assert TRACE not in traces
    assert {len(trace) for trace in traces} == {32}
    assert all("tracestate" not in answer.headers for answer in answers)


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    answer = asked([("traceparent", f"01-{TRACE}-{PARENT}-00-more")])
    assert answer.headers["traceparent"].startswith(f"00-{TRACE}-")
    assert answer.headers["traceparent"].endswith("-00")


class Collector(BaseHTTPRequestHandler):
    """What OpenTelemetry sends its spans to, as OTLP over HTTP."""

    spans: list[Span]

    def do_POST(self) -> None:
        sent = ExportTraceServiceRequest()
        sent.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
        for resource in sent.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Span]]:
    found: list[Span] = []
    kind = type("OneCollector", (Collector,), {"spans": found})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(spans.ENDPOINTS[1], f"http://127.0.0.1:{server.server_port}")
        spans._sender.cache_clear()
        yield found
        sender = spans._sender()
        assert sender is not None
        sender.shutdown()
        spans._sender.cache_clear()
        server.shutdown()


def test_spans_get_to_a_collector_with_their_stages(collected: list[Span]) -> None:
    answer = asked([("traceparent", WHOLE)])
    asked([("traceparent", WHOLE)], "broken")
    spans.send_rest()
    whole, broken = (one for one in collected if one.name == "GET /ask/{name}")
    assert whole.trace_id.hex() == TRACE
    assert whole.parent_span_id.hex() == PARENT
    assert answer.headers["traceparent"] == f"00-{TRACE}-{whole.span_id.hex()}-01"
    assert (whole.status.code, broken.status.code) == (0, 2)
    parse, network = (one for one in collected if one.parent_span_id == whole.span_id)
    assert (parse.name, network.name) == ("parse", "network")
    assert parse.end_time_unix_nano - parse.start_time_unix_nano == pytest.approx(5e8, abs=1e6)
    assert network.start_time_unix_nano == parse.end_time_unix_nano


def test_a_stream_is_a_span_of_its_clients_trace(
    collected: list[Span], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = save_untrained(tmp_path_factory.mktemp("m") / "swift", "oneeuro")
    caller = SpanContext(int(TRACE, 16), int(PARENT, 16), False, TraceFlags(1))
    with open_door(folder) as door:
        with connect(url_of(door), additional_headers={"traceparent": WHOLE}) as raw:
            assert raw.response is not None
            assert raw.response.headers["traceparent"].startswith(f"00-{TRACE}-")
        with use_span(NonRecordingSpan(caller)):
            assert traced({"a": "b"}) == {"a": "b", "traceparent": WHOLE}
            with Client(f"http://127.0.0.1:{door.port}").stream(lag=0) as stream:
                stream.finish()
    assert traced({}) == {}
    spans.send_rest()
    assert [(one.name, one.trace_id.hex()) for one in collected] == 2 * [("WS /v1/stream", TRACE)]
