"""Spans of sampled events over OTLP/HTTP, for ``otlp_endpoint``; needs the extra ``otlp``.

A thread of OpenTelemetry's sends them: an event waits for nothing. If the collector is away or slow, spans are dropped,
decisions never. A span says topic, partition, offset, group and action, and nothing about a subscriber.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from aiokafka.structs import ConsumerRecord as Record
from opentelemetry import context as otel
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, TraceState, set_span_in_context

from stream.settings import Settings
from stream.traces import Context

#: Spans that wait; one batch holds them all.
QUEUE: Final = 2048
#: Seconds between two batches.
EVERY: Final = 2.0
#: Seconds for a batch with its retries. A stop waits for two of them: well below ``shutdown_seconds``.
WITHIN: Final = 2.0


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
        exporter = OTLPSpanExporter(f"{settings.otlp_endpoint}/v1/traces", timeout=WITHIN)
        batches = BatchSpanProcessor(exporter, QUEUE, EVERY * 1000, QUEUE)
        self._provider.add_span_processor(batches)
        self._tracer = self._provider.get_tracer("lanjie")

    def tell(self, parent: Context, own: Context, record: Record, *, action: str, start_ms: int, end_ms: int) -> None:
        """Of one event. Called from one thread only."""
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
