"""Open-loop driver: records go out when the schedule says, whatever the system under test does.

A closed loop waits for the system before it sends the next record, and so measures nothing while the system stalls
(coordinated omission). Here record n has a time fixed beforehand, and that scheduled time is its Kafka timestamp: a
latency taken from it contains every wait, the driver's own included. ``late_ms`` says how far the driver itself fell
behind; a large value means that the figures are the driver's.

Key: the acting number as the log has it (``a_e164``, else ``a_number``). Murmur2 over equal partition counts brings
the calls, SMS and cards of a number to the same partition number, so one worker sees all of a caller. Logs that write
one number in several forms should carry ``a_e164``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from detectors.model.events import Event
from stream.clock import Clock
from stream.kafka import Kafka
from stream.topics import Topic, topic_for
from stream.wire import ce_headers, encode_event

Headers = list[tuple[str, bytes]]

#: Bytes. Half of the broker's default limit for a batch (1 MiB), so that headers cannot push one over it.
MAX_BATCH_BYTES: Final = 512 << 10
#: Bytes. A poisonous record may be as large as the broker takes.
MAX_REQUEST_BYTES: Final = 2 << 20
#: Records due at once from which hand-built batches are cheaper than ``send`` per record.
BATCH_FROM: Final = 256
#: Records between two looks at the clock at full speed; also what is taken from the log at once.
SLICE: Final = 2_000
#: Seconds. Shorter naps cost more in timer slack than they gain.
NAP: Final = 0.001


class Record(NamedTuple):
    """What goes out."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers
    time: int  #: event time, ms UTC; orders the schedule at N times real time


@dataclass
class Published:
    """What went out."""

    records: int = 0
    by_topic: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    late_ms: float = 0.0  #: the worst lag of the driver behind its own schedule; 0 at full speed

    @property
    def per_second(self) -> float:
        """Mean rate, until the broker had acknowledged everything."""
        return self.records / self.seconds if self.seconds else 0.0


def record_of(event: Event, *, prefix: str = "", topic: Topic | None = None, value: bytes | None = None) -> Record:
    """The record of an event. ``value``: its bytes, if they are at hand."""
    name = prefix + (topic or topic_for(event)).name
    key = (event.a_e164 or event.a_number).encode()
    return Record(name, key, encode_event(event) if value is None else value, ce_headers(event), event.time)


class Schedule:
    """When record n is due, in seconds after the start.

    Args:
        rate: records a second; None follows the log's event times.
        speed: factor on the log's own pace, if there is no ``rate``; None for both means at once.
    """

    def __init__(self, *, rate: float | None = None, speed: float | None = None) -> None:
        self._rate, self._speed = rate, speed
        self._first: int | None = None
        self._count = 0

    @property
    def at_once(self) -> bool:
        """Full speed."""
        return self._rate is None and self._speed is None

    def due(self, record: Record) -> float:
        """Of the next record."""
        count, self._count = self._count, self._count + 1
        if self._rate is not None:
            return count / self._rate
        if self._speed is None:
            return 0.0
        if self._first is None:
            self._first = record.time
        return max(0, record.time - self._first) / 1000 / self._speed


class Driver:
    """Publishes to one cluster. An async context manager."""

    def __init__(self, kafka: Kafka, clock: Clock) -> None:
        self._kafka, self._clock = kafka, clock
        self._pending: list[asyncio.Future[Any]] = []
        self._builders: dict[tuple[str, int], Any] = {}
        self._counts: dict[str, int] = {}
        self._partition_of: dict[bytes, int] = {}

    async def __aenter__(self) -> Driver:
        """Connect."""
        self._producer = AIOKafkaProducer(
            **self._kafka.producer_options(),
            acks="all",
            enable_idempotence=True,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_REQUEST_BYTES,
        )
        try:
            await self._producer.start()
        except BaseException:
            await self._producer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def publish(
        self,
        records: Iterable[Record],
        schedule: Schedule,
        *,
        progress: Callable[[int], None] | None = None,
        stamps: list[int] | None = None,
    ) -> Published:
        """Send all; returns when the broker has acknowledged them.

        Args:
            progress: told how many have been sent, now and then.
            stamps: takes the Kafka timestamp of every record, in order.
        """
        done = Published()
        loop, start_ms = asyncio.get_running_loop(), self._clock.wall_ms()
        start = loop.time()
        for due, group in self._groups(records, schedule):
            if (wait := start + due - loop.time()) > 0:
                await asyncio.sleep(max(wait, NAP))
            done.late_ms = max(done.late_ms, 0.0 if schedule.at_once else (loop.time() - start - due) * 1000)
            at = [self._clock.wall_ms() if schedule.at_once else start_ms + int(d * 1000) for d, _ in group]
            await self._send([record for _, record in group], at)
            done.records += len(group)
            for _, record in group:
                done.by_topic[record.topic] = done.by_topic.get(record.topic, 0) + 1
            if stamps is not None:
                stamps.extend(at)
            if progress:
                progress(done.records)
        await self._settle()
        done.seconds = loop.time() - start
        return done

    def _groups(
        self, records: Iterable[Record], schedule: Schedule
    ) -> Iterator[tuple[float, list[tuple[float, Record]]]]:
        """Records that are due within the same nap; at full speed, slices."""
        timed = ((schedule.due(record), record) for record in records)
        if schedule.at_once:
            while group := list(islice(timed, SLICE)):
                yield 0.0, group
            return
        group = []
        for due, record in timed:
            if group and (due - group[0][0] > NAP or len(group) >= SLICE):
                yield group[0][0], group
                group = []
            group.append((due, record))
        if group:
            yield group[0][0], group

    async def _send(self, records: list[Record], stamps: list[int]) -> None:
        if len(records) < BATCH_FROM:
            for record, stamp in zip(records, stamps, strict=True):
                await self._send_one(record, stamp)
        else:
            await self._send_batches(records, stamps)
        if len(self._pending) > SLICE:
            self._pending = [future for future in self._pending if not _checked(future)]

    async def _send_one(self, record: Record, stamp: int) -> None:
        future = await self._producer.send(
            record.topic,
            record.value,
            record.key,
            partition=await self._partition(record),
            timestamp_ms=stamp,
            headers=record.headers,
        )
        self._pending.append(future)

    async def _send_batches(self, records: list[Record], stamps: list[int]) -> None:
        """One open batch per partition; all are closed at the end, so that nothing waits for the next slice."""
        builders = self._builders
        for record, stamp in zip(records, stamps, strict=True):
            where = record.topic, await self._partition(record)
            if (builder := builders.get(where)) is None:
                builder = builders[where] = self._producer.create_batch()
            if not builder.append(timestamp=stamp, key=record.key, value=record.value, headers=record.headers):
                await self._close(where)
                builder = builders[where] = self._producer.create_batch()
                builder.append(timestamp=stamp, key=record.key, value=record.value, headers=record.headers)
        for where in list(builders):
            await self._close(where)

    async def _close(self, where: tuple[str, int]) -> None:
        builder = self._builders.pop(where)
        builder.close()
        topic, partition = where
        self._pending.append(await self._producer.send_batch(builder, topic, partition=partition))

    async def _partition(self, record: Record) -> int:
        if record.topic not in self._counts:
            self._counts[record.topic] = len(await self._producer.partitions_for(record.topic))
        if (hashed := self._partition_of.get(record.key)) is None:
            if len(self._partition_of) > 1_000_000:
                self._partition_of.clear()
            hashed = self._partition_of[record.key] = murmur2(record.key) & 0x7FFFFFFF
        return hashed % self._counts[record.topic]

    async def _settle(self) -> None:
        await asyncio.gather(*self._pending)
        self._pending.clear()


def _checked(future: asyncio.Future[Any]) -> bool:
    """Whether it is done; raises what went wrong with it."""
    if not future.done():
        return False
    future.result()
    return True
