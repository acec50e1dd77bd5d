"""Open-loop driver: records go out when the schedule says, whatever the system under test does.

A closed loop waits for the system before it sends the next record, and so measures nothing while the system stalls
(coordinated omission). Here record n has a time fixed beforehand, and that scheduled time is its Kafka timestamp: a
latency taken from it contains every wait, the driver's own included.

    schedule ── slices ──► lanes, one a partition: ┌ open batch ◄── what is due
    (what is due within a millisecond)             └ batch on its way ──► acknowledged: the open one follows

Nothing waits for a partition that is not its own, and batches are as large as the broker is slow. Two figures say whose
the measurement is: ``late_ms``, how far the driver fell behind its schedule; ``held_ms``, how long the broker let a
batch wait.

Key: the acting number as the log has it (``a_e164``, else ``a_number``). Murmur2 over equal partition counts brings
the calls, SMS and cards of a number to the same partition number, so one worker sees all of a caller. Logs that write
one number in several forms should carry ``a_e164``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2
from numpy.typing import NDArray

from detectors.model.events import Event
from loadtest.lane import Headers, Lane
from stream.clock import Clock
from stream.kafka import Kafka
from stream.topics import Topic, topic_for
from stream.wire import ce_headers, encode_event

#: Bytes. Half of the broker's default limit for a batch (1 MiB), so that headers cannot push one over it.
MAX_BATCH_BYTES: Final = 512 << 10
#: Bytes. A poisonous record may be as large as the broker takes.
MAX_REQUEST_BYTES: Final = 2 << 20
#: Records between two looks at the clock at full speed; also what is taken from the log at once.
SLICE: Final = 2_000
#: Records that may be unacknowledged at full speed: one slice is built while others are on their way.
WINDOW: Final = 4 * SLICE
#: Seconds. Shorter naps cost more in timer slack than they gain.
NAP: Final = 0.001


class Record(NamedTuple):
    """What goes out."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers
    time: int  #: event time, ms UTC; orders the schedule at N times real time


class Row(NamedTuple):
    """The same, and where to."""

    where: tuple[str, int]  #: topic, partition
    key: bytes
    value: bytes | None
    headers: Headers


class Slice(NamedTuple):
    """Records that are handed over together, and when each is due, in seconds after the start."""

    due: Sequence[float]
    rows: Sequence[Row]


@dataclass
class Published:
    """What went out."""

    records: int = 0
    by_topic: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    late_ms: float = 0.0  #: the worst lag of the driver behind its own schedule; 0 at full speed
    held_ms: float = 0.0  #: the longest that a batch waited for the one before it to be acknowledged

    @property
    def per_second(self) -> float:
        """Mean rate, until the broker had acknowledged everything."""
        return self.records / self.seconds if self.seconds else 0.0


def record_of(event: Event, *, prefix: str = "", topic: Topic | None = None, value: bytes | None = None) -> Record:
    """The record of an event. ``value``: its bytes, if they are at hand."""
    name = prefix + (topic or topic_for(event)).name
    key = (event.a_e164 or event.a_number).encode()
    return Record(name, key, encode_event(event) if value is None else value, ce_headers(event), event.time)


def partition_of(key: bytes, partitions: int) -> int:
    """Where Java's default partitioner puts a key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


class Schedule:
    """When record n is due, in seconds after the start; never before the one that precedes it.

    Args:
        rate: records a second; None follows the log's event times.
        speed: factor on the log's own pace, if there is no ``rate``; None for both means at once.
    """

    def __init__(self, *, rate: float | None = None, speed: float | None = None) -> None:
        self._rate, self._speed = rate, speed
        self._first: int | None = None
        self._count, self._last = 0, 0.0

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
        self._last = max(self._last, (record.time - self._first) / 1000 / self._speed)
        return self._last

    def all_due(self, times: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of all records of a log at once. ``times``: their event times, ms UTC."""
        if self._rate is not None:
            return np.arange(len(times)) / self._rate
        if self._speed is None or not len(times):
            return np.zeros(len(times))
        return np.maximum.accumulate(times - times[0]) / 1000 / self._speed


class Driver:
    """Publishes to one cluster. An async context manager.

    Args:
        producer: takes the batches; by default one of aiokafka that loses nothing and repeats nothing.
    """

    def __init__(self, kafka: Kafka, clock: Clock, producer: Any = None) -> None:
        self._kafka, self._clock, self._producer = kafka, clock, producer
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._counts: dict[str, int] = {}
        self._where: dict[tuple[str, bytes], tuple[str, int]] = {}

    async def __aenter__(self) -> Driver:
        """Connect."""
        if self._producer is None:
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

    async def partitions(self, topic: str) -> int:
        """How many ``topic`` has."""
        if topic not in self._counts:
            self._counts[topic] = len(await self._producer.partitions_for(topic))
        return self._counts[topic]

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
        return await self._drive(self._sliced(records, schedule), schedule, progress, stamps)

    async def publish_slices(
        self,
        slices: Iterable[Slice],
        schedule: Schedule,
        *,
        progress: Callable[[int], None] | None = None,
        stamps: list[int] | None = None,
    ) -> Published:
        """The same for what is ready to go: ``Prepared.slices(schedule)``."""

        async def each() -> AsyncIterator[Slice]:
            for part in slices:
                yield part

        return await self._drive(each(), schedule, progress, stamps)

    async def _drive(
        self,
        slices: AsyncIterator[Slice],
        schedule: Schedule,
        progress: Callable[[int], None] | None,
        stamps: list[int] | None,
    ) -> Published:
        done, self._lanes = Published(), {}
        loop, start_ms = asyncio.get_running_loop(), self._clock.wall_ms()
        start = loop.time()
        try:
            async for due, rows in slices:
                wait = start + due[0] - loop.time()
                await asyncio.sleep(max(wait, NAP) if wait > 0 else 0)  # 0: the client's turn, also when we are late
                if schedule.at_once:
                    at = [self._clock.wall_ms()] * len(rows)
                else:
                    at = [start_ms + int(seconds * 1000) for seconds in due]
                    done.late_ms = max(done.late_ms, (loop.time() - start - due[0]) * 1000)
                self._hand_over(rows, at)
                done.records += len(rows)
                if stamps is not None:
                    stamps.extend(at)
                if progress:
                    progress(done.records)
                if schedule.at_once:
                    await self._until_below(WINDOW)
            await self._until_below(1)
        finally:
            await asyncio.gather(*(lane.stop() for lane in self._lanes.values()))
        done.seconds = loop.time() - start
        done.held_ms = max((lane.held for lane in self._lanes.values()), default=0.0) * 1000
        for (topic, _), lane in self._lanes.items():
            done.by_topic[topic] = done.by_topic.get(topic, 0) + lane.records
        return done

    async def _sliced(self, records: Iterable[Record], schedule: Schedule) -> AsyncIterator[Slice]:
        for due, group in _groups(records, schedule):
            yield Slice(due, [Row(await self._place(each), each.key, each.value, each.headers) for each in group])

    async def _place(self, record: Record) -> tuple[str, int]:
        if (where := self._where.get((record.topic, record.key))) is None:
            if len(self._where) > 1_000_000:
                self._where.clear()
            where = record.topic, partition_of(record.key, await self.partitions(record.topic))
            self._where[record.topic, record.key] = where
        return where

    def _hand_over(self, rows: Sequence[Row], stamps: Sequence[int]) -> None:
        lanes = self._lanes
        for (where, key, value, headers), stamp in zip(rows, stamps, strict=True):
            if (lane := lanes.get(where)) is None:
                lane = lanes[where] = Lane(self._producer, *where)
            lane.add(stamp, key, value, headers)
        for lane in lanes.values():
            lane.start()

    async def _until_below(self, records: int) -> None:
        """Until fewer than so many are not acknowledged."""
        while sum(lane.waiting for lane in self._lanes.values()) >= records:
            tasks = [task for lane in self._lanes.values() if lane.waiting and (task := lane.start())]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for lane in self._lanes.values():
                lane.check()


def _groups(records: Iterable[Record], schedule: Schedule) -> Iterator[tuple[list[float], list[Record]]]:
    """Records that are due within the same nap; at full speed, slices. ``records`` may be made as they go."""
    timed = ((schedule.due(record), record) for record in records)
    group: list[tuple[float, Record]] = []
    for due, record in timed:
        if group and (due - group[0][0] > NAP or len(group) >= SLICE):
            yield [each for each, _ in group], [each for _, each in group]
            group = []
        group.append((due, record))
    if group:
        yield [each for each, _ in group], [each for _, each in group]
