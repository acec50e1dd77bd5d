"""One broker for a run, and the topics of one contender on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from loadtest.driver import MAX_BATCH_BYTES, Row
from stream.cli.kafka_local import LocalKafka
from stream.topics import ALL, DECISIONS
from tests.benchmarks.machine import BROKER_CORES, on

TRANSACTION_MS = 600_000  #: for workers to start meanwhile; a broker allows 15 minutes


@dataclass(frozen=True)
class Broker:
    """A running Kafka of our own."""

    bootstrap: str
    pid: int


class Decided(NamedTuple):
    """A decision as it lies on its topic: the broker's append time in ms, the event, the action."""

    at: int
    event_id: str
    action: str


class _Seen(msgspec.Struct):
    """What is needed of a decision, or of an event that was echoed."""

    event_id: str = ""
    id: str = ""
    action: str = ""


@contextlib.contextmanager
def started(home: Path) -> Iterator[Broker]:
    """A real Kafka on the cores that are not the worker's; gone afterwards.

    Raises:
        KafkaUnavailable: there is no Java, or no Maven to fetch Kafka with.
    """
    kafka = LocalKafka(home, die_with_parent=True)
    with on(BROKER_CORES):
        bootstrap = kafka.up()
    status = kafka.status()
    assert status
    try:
        yield Broker(bootstrap, status.pid)
    finally:
        kafka.down()


@contextlib.asynccontextmanager
async def topics(bootstrap: str, prefix: str, partitions: int) -> AsyncIterator[None]:
    """All topics of a pipeline, removed afterwards: a long run must not fill the disk."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    stamped = {"message.timestamp.type": "LogAppendTime"}
    found = [
        NewTopic(
            prefix + topic.name,
            1 if topic.single else partitions,
            1,
            topic_configs=topic.config | (stamped if topic is DECISIONS else {}),
        )
        for topic in ALL
    ]
    await admin.create_topics(found)
    try:
        yield
    finally:
        await admin.delete_topics([topic.name for topic in found])
        await admin.close()


@contextlib.asynccontextmanager
async def filled(bootstrap: str, prefix: str, rows: Sequence[Row]) -> AsyncIterator[None]:
    """The rows are on their topics in a transaction that ends with the block: who reads what is committed gets all of
    them at one moment.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        transactional_id=prefix + "fill",
        transaction_timeout_ms=TRANSACTION_MS,
        max_batch_size=MAX_BATCH_BYTES,
    )
    await producer.start()
    try:
        async with producer.transaction():
            await _send(producer, prefix, rows)
            yield
    finally:
        await producer.stop()


async def fill(bootstrap: str, prefix: str, rows: Sequence[Row]) -> None:
    """Put the rows on their topics."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, max_batch_size=MAX_BATCH_BYTES)
    await producer.start()
    try:
        await _send(producer, prefix, rows)
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, prefix: str, rows: Sequence[Row]) -> None:
    lanes: defaultdict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        lanes[row.where].append(row)

    async def lane(topic: str, partition: int, mine: list[Row]) -> None:
        batch, sent = producer.create_batch(), []
        for row in mine:
            while batch.append(key=row.key, value=row.value, timestamp=None) is None:
                sent.append(await producer.send_batch(batch, prefix + topic, partition=partition))
                batch = producer.create_batch()
        sent.append(await producer.send_batch(batch, prefix + topic, partition=partition))
        await asyncio.gather(*sent)

    await asyncio.gather(*(lane(*where, mine) for where, mine in lanes.items()))


class Decisions:
    """What is on a decisions topic. An async context manager."""

    def __init__(self, bootstrap: str, prefix: str, partitions: int) -> None:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, max_partition_fetch_bytes=8 << 20)
        self._partitions = [TopicPartition(prefix + DECISIONS.name, p) for p in range(partitions)]

    async def __aenter__(self) -> Decisions:
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def count(self) -> int:
        """How many there are; markers of transactions count too."""
        return sum((await self._consumer.end_offsets(self._partitions)).values())

    async def read(self) -> list[Decided]:
        """All of them, as they are now."""
        ends = await self._consumer.end_offsets(self._partitions)
        open_ = {tp for tp, end in ends.items() if end}
        self._consumer.assign(list(open_))
        await self._consumer.seek_to_beginning()
        decode, found = msgspec.json.Decoder(_Seen).decode, list[Decided]()
        while open_:
            for records in (await self._consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    seen = decode(record.value)
                    found.append(Decided(record.timestamp, seen.event_id or seen.id, seen.action))
            for tp in list(open_):  # the last may be a marker, which nobody gets
                if await self._consumer.position(tp) >= ends[tp]:
                    open_.discard(tp)
        return found


def actions(decisions: Sequence[Decided]) -> dict[str, int]:
    """How many of each."""
    return dict(sorted(Counter(each.action for each in decisions).items()))
