"""Spans at a collector: a real HTTP server that reads OTLP's protobuf."""

from __future__ import annotations

import asyncio
import gzip
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue

import pytest
from aiokafka.structs import ConsumerRecord

from detectors.model.events import CallEvent
from stream.settings import Settings
from stream.topics import CALLS
from stream.traces import PARENT, STATE, Traces, read
from stream.tracing import build_traces
from stream.wire import decode_decision, encode_event
from tests.support.topics import publish
from tests.support.worker import Pipeline

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="pip install lanjie[otlp]")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest as Request,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceResponse as Response,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from stream.spans import PER_CHUNK, QUEUE

TRACE, SENDER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
T0 = 1_790_000_000_000
SUBSCRIBER = b"+8613900001234"


class Collector:
    """Keeps the requests that come to ``/v1/traces``."""

    def __init__(self, status: int = 200) -> None:
        self.requests: Queue[Request] = Queue()
        self.raw: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
                collector.raw.append(body)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(Response().SerializeToString())
                collector.requests.put(Request.FromString(body))

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def spans(self) -> list[Span]:
        request = self.requests.get(timeout=20)
        return [span for each in request.resource_spans for scope in each.scope_spans for span in scope.spans]


def attribute(span: Span, name: str) -> int:
    return next(each.value.int_value for each in span.attributes if each.key == name)


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


def record(offset: int, *, flags: str = "01", traced: bool = True) -> ConsumerRecord:
    headers = [(PARENT, f"00-{TRACE}-{SENDER}-{flags}".encode()), (STATE, b"rojo=1")] if traced else []
    return ConsumerRecord(
        "telecom.calls.v1", 3, offset, 1_790_000_000_000, 0, SUBSCRIBER, b"{}", None, 14, 2, tuple(headers)
    )


def tell(traces: Traces, each: ConsumerRecord, *, chunk: int = 0) -> None:
    start, end = 1_790_000_000_005 + chunk, 1_790_000_000_017 + chunk
    traces.tell(each, f"event-{each.offset}", action="warn", start_ms=start, end_ms=end)


async def test_a_sampled_event_is_told_of_with_the_span_that_its_decision_carries(collector: Collector):
    traces = build_traces(Settings(otlp_endpoint=collector.url, group="g", instance="worker-1"))
    assert traces.told
    tell(traces, record(7))
    tell(traces, record(8, flags="00"))
    tell(traces, record(9, traced=False))
    await traces.stop()
    request = collector.requests.get(timeout=20)
    (resource,) = request.resource_spans
    named = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert (named["service.name"], named["service.instance.id"]) == ("lanjie", "worker-1")
    (span,) = [span for scope in resource.scope_spans for span in scope.spans]
    carried = read(traces.carry(record(7).headers, "event-7"))
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.span_id.hex()) == (
        TRACE,
        SENDER,
        carried.span.decode(),
    )
    assert (span.name, span.kind, span.trace_state) == ("decide event", Span.SPAN_KIND_CONSUMER, "rojo=1")
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (
        1_790_000_000_005_000_000,
        1_790_000_000_017_000_000,
    )
    said = {each.key: each.value.string_value or each.value.int_value for each in span.attributes}
    assert said == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": "telecom.calls.v1",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 7,
        "messaging.consumer.group.name": "g",
        "lanjie.action": "warn",
    }
    assert SUBSCRIBER[1:] not in b"".join(collector.raw)


async def test_spans_go_by_themselves(collector: Collector):
    traces = build_traces(Settings(otlp_endpoint=collector.url))
    tell(traces, record(1))
    assert len(collector.spans()) == 1
    await traces.stop()
    with pytest.raises(Empty):
        collector.requests.get_nowait()


async def test_of_a_chunk_the_first_sampled_events_are_told_of(collector: Collector):
    traces = build_traces(Settings(otlp_endpoint=collector.url))
    for chunk in range(2):
        for place in range(2 * PER_CHUNK):
            tell(traces, record(1_000 * chunk + place, flags="01" if place else "00"), chunk=chunk)
    await traces.stop()
    told = [attribute(span, "messaging.kafka.offset") for span in collector.spans()]
    assert told == [*range(1, PER_CHUNK + 1), *range(1_001, 1_001 + PER_CHUNK)]


async def test_chunks_of_two_partitions_that_began_in_the_same_moment_are_two(collector: Collector):
    traces = build_traces(Settings(otlp_endpoint=collector.url))
    for partition in (3, 4):
        for offset in range(PER_CHUNK + 1):
            tell(traces, replace(record(offset), partition=partition))
    await traces.stop()
    assert len(collector.spans()) == 2 * PER_CHUNK


async def test_a_collector_that_is_away_holds_up_neither_events_nor_the_stop(
    collector: Collector, caplog: pytest.LogCaptureFixture
):
    """No span is made that could not wait; that is said once, not by every event."""
    collector.server.shutdown()
    collector.server.server_close()
    traces = build_traces(Settings(otlp_endpoint=collector.url))
    for offset in range(10 * QUEUE):
        tell(traces, record(offset), chunk=offset // PER_CHUNK)
    assert [each.message for each in caplog.records if each.name == "stream.spans"] == [
        f"spans are left out: {QUEUE} wait for the collector"
    ]
    assert not [each for each in caplog.records if "Queue full" in each.message]
    async with asyncio.timeout(Settings().shutdown_seconds):
        await traces.stop()


async def test_spans_are_made_again_once_there_is_room(collector: Collector):
    traces = build_traces(Settings(otlp_endpoint=collector.url))
    for begin in range(0, 3 * QUEUE, QUEUE):
        for offset in range(begin, begin + QUEUE):
            tell(traces, record(offset), chunk=offset // PER_CHUNK)
        assert await asyncio.to_thread(collector.spans)
    await traces.stop()


async def test_a_worker_carries_traces_to_decisions_and_tells_of_the_sampled_ones(
    pipeline: Pipeline, collector: Collector
):
    """One event is traced and sampled, one traced only, one not at all; the first one's decision also has the mark."""
    kinds = {"sampled": f"00-{TRACE}-{SENDER}-01", "traced": f"00-{TRACE[::-1]}-{SENDER}-00", "plain": ""}
    events = [
        (b"13800000001", encode_event(CallEvent(id=name, time=T0, a_number="13800000001", b_number="13900000002")),
         [(PARENT, parent.encode()), (STATE, b"rojo=1")] if parent else [])
        for name, parent in kinds.items()
    ]  # fmt: skip
    await publish(pipeline.bootstrap, pipeline.prefix + CALLS.name, events)
    worker = await pipeline.start(LANJIE_OTLP_ENDPOINT=collector.url)
    records = {decode_decision(each.value).event_id: each for each in await pipeline.decisions(len(events))}
    found = {name: read(each.headers) for name, each in records.items()}
    assert (found["sampled"].trace.decode(), found["sampled"].state) == (TRACE, b"rojo=1")
    assert (found["traced"].trace.decode(), found["traced"].sampled) == (TRACE[::-1], False)
    assert found["plain"] is None
    (span,) = await asyncio.to_thread(collector.spans)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SENDER)
    assert span.span_id.hex() == found["sampled"].span.decode()
    assert await worker.end(signal.SIGTERM) == 0
