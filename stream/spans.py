"""Spans of sampled events over OTLP/HTTP, for ``otlp_endpoint``; needs the extra ``otlp``.

A thread of OpenTelemetry's sends them: an event waits for nothing. Of a chunk the first ``PER_CHUNK`` sampled events
are told of, and none while ``QUEUE`` spans wait because the collector is away or slow; decisions are made all the same.
A span says topic, partition, offset, group and action, and nothing about a subscriber.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from aiokafka.structs import ConsumerRecord as Record
from opentelemetry import context as otel
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, TraceState, set_span_in_context

from stream.settings import Settings
from stream.traces import Context

log = logging.getLogger(__name__)

#: Spans of one chunk. Making one takes 30 to 80 us, in the loop that decides: together a tenth of a call's deadline.
PER_CHUNK: Final = 50
#: Spans that wait; one batch holds them all.
QUEUE: Final = 2048
#: Seconds between two batches.
EVERY: Final = 2.0
#: Seconds for a batch with its retries. A stop waits for two of them: well below ``shutdown_seconds``.
WITHIN: Final = 2.0
#: Milliseconds between two lines that say that spans are left out.
SAY_EVERY: Final = 60_000


class Spans:
    """Sends spans to a collector."""

    def __init__(self, settings: Settings) -> None:
        self._group, self._ids = settings.group, _Given()
        service = {"service.name": "lanjie", "service.version": _version(), "service.instance.id": settings.instance}
        self._provider = TracerProvider(
            resource=Resource.create({name: text for name, text in service.items() if text}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._sent = _Counted(OTLPSpanExporter(f"{settings.otlp_endpoint}/v1/traces", timeout=WITHIN))
        self._provider.add_span_processor(BatchSpanProcessor(self._sent, QUEUE, EVERY * 1000, QUEUE))
        self._tracer = self._provider.get_tracer("lanjie")
        self._made, self._said = 0, -SAY_EVERY
        self._chunk: tuple[str, int, int] | None = None
        self._left = 0  # of the chunk's spans

    def wants(self, record: Record, *, start_ms: int) -> bool:
        """Whether a span of this event would be sent. A chunk is what began in the same moment on one partition."""
        if (chunk := (record.topic, record.partition, start_ms)) != self._chunk:
            self._chunk, self._left = chunk, PER_CHUNK
        if self._made - self._sent.taken < QUEUE:
            return self._left > 0
        if start_ms - self._said >= SAY_EVERY:
            self._said = start_ms
            log.warning("spans are left out: %d wait for the collector", QUEUE)
        return False

    def tell(self, parent: Context, own: Context, record: Record, *, action: str, start_ms: int, end_ms: int) -> None:
        """Of one event that is wanted. Called from one thread only."""
        self._made += 1
        self._left -= 1
        self._ids.next = int(own.span, 16)
        span = self._tracer.start_span(
            "decide event",
            context=_context(parent),
            kind=SpanKind.CONSUMER,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.type": "process",
                "messaging.destination.name": record.topic,
                "messaging.destination.partition.id": str(record.partition),
                "messaging.kafka.offset": record.offset,
                "messaging.consumer.group.name": self._group,
                "lanjie.action": action,
            },
            start_time=start_ms * 1_000_000,
        )
        span.end(end_ms * 1_000_000)

    async def stop(self) -> None:
        """Send what there is, within seconds."""
        await asyncio.to_thread(self._provider.shutdown)


class _Counted(SpanExporter):
    """Counts what was taken from the queue, whose length OpenTelemetry keeps to itself."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.taken = 0  #: written by the thread that sends, read by the one that decides

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch, which waits no longer."""
        self.taken += len(spans)
        return self._exporter.export(spans)

    def shutdown(self) -> None:
        """Send no more."""
        self._exporter.shutdown()


class _Given(IdGenerator):
    """OpenTelemetry draws ids of spans; ours are known before. Those of traces come with the parents."""

    def __init__(self) -> None:
        self.next = 0

    def generate_span_id(self) -> int:
        """The one that was put here."""
        return self.next

    def generate_trace_id(self) -> int:
        """Never asked for."""
        raise AssertionError


def _context(parent: Context) -> otel.Context:
    place = SpanContext(
        int(parent.trace, 16),
        int(parent.span, 16),
        is_remote=True,
        trace_flags=TraceFlags(parent.flags),
        trace_state=TraceState.from_header([parent.state.decode()]) if parent.state else None,
    )
    return set_span_in_context(NonRecordingSpan(place))


def _version() -> str:
    try:
        return version("lanjie")
    except PackageNotFoundError:
        return ""
