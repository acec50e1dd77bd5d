"""One partition number, read back whole from the topics: inputs, decisions, dead letters."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from stream.settings import Settings
from stream.topics import DECISIONS, INPUTS, Topic, dlq

IDLE_POLLS: Final = 10  # of half a second, after which what is left before the end can only be markers
_LATENCY: Final = re.compile(rb',"latency_us":\d+')
_CHUNK: Final = "lanjie.chunk"


class Id(msgspec.Struct):
    event_id: str


class ChunkHeader(msgspec.Struct):
    """What the first decision of a chunk tells about it."""

    group: str
    topic: str
    first: int
    last: int
    count: int
    lists_only: bool = False


@dataclass
class Row:
    """A decision on its topic."""

    id: str
    value: bytes  #: without its latency
    chunk: ChunkHeader | None
    lists_only: bool = False  #: as its chunk says
    offset: int = 0
    timestamp: int = 0  #: ms UTC, when it was written


@dataclass
class Partition:
    """All that there is of one partition number."""

    number: int
    inputs: dict[str, list[ConsumerRecord]] = field(default_factory=dict)  #: by kind
    rows: list[Row] = field(default_factory=list)
    letters: list[ConsumerRecord] = field(default_factory=list)


async def read_partition(settings: Settings, number: int) -> Partition:
    """Read it, read_committed, from the beginning to the end of the moment."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap,
        isolation_level="read_committed",
        max_partition_fetch_bytes=16 << 20,
        fetch_max_bytes=64 << 20,
    )
    await consumer.start()
    found = Partition(number)
    try:
        for topic in INPUTS:
            found.inputs[topic.kind] = await _read(consumer, settings.named(topic), number)
            found.letters += await _read(consumer, settings.named(dlq(topic)), number)
        found.rows = [_row(record) for record in await _read(consumer, settings.named(DECISIONS), number)]
    finally:
        await consumer.stop()
    return found


async def _read(consumer: AIOKafkaConsumer, topic: Topic, number: int) -> list[ConsumerRecord]:
    tp = TopicPartition(topic.name, number)
    consumer.assign([tp])
    end = (await consumer.end_offsets([tp]))[tp]
    consumer.seek(tp, 0)
    records: list[ConsumerRecord] = []
    idle = 0
    while idle < IDLE_POLLS and await consumer.position(tp) < end:
        came = (await consumer.getmany(tp, timeout_ms=500)).get(tp, [])
        records += came
        idle = 0 if came else idle + 1
    return records


def without_latency(value: bytes) -> bytes:
    """A decision as a replay would have written it. In a JSON string the quotes would have backslashes."""
    return _LATENCY.sub(b"", value)


def _row(record: ConsumerRecord) -> Row:
    chunk = next((value for name, value in record.headers if name == _CHUNK), None)
    return Row(
        msgspec.json.decode(record.value, type=Id).event_id,
        without_latency(record.value),
        msgspec.json.decode(chunk, type=ChunkHeader) if chunk else None,
        offset=record.offset,
        timestamp=record.timestamp,
    )
