"""Topics of one partition, read whole and without a group: what is committed, from some offset to the end and on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord as Record
from aiokafka.structs import TopicPartition

from detectors.model.errors import LanjieError
from stream import refused
from stream.kafka import Kafka

#: Milliseconds that the broker holds a fetch for want of data: with nothing new a worker asks twice a second.
FETCH_MAX_WAIT_MS: Final = 500
READ_TIMEOUT: Final = 60.0  # seconds for a topic to be read to its end
FETCH_BYTES: Final = 4 << 20


class TailError(LanjieError):
    """A topic cannot be read."""


class Tail:
    """Reads some topics side by side.

    Args:
        starts: topic (with its prefix) -> offset to start at.
    """

    def __init__(self, kafka: Kafka, starts: Mapping[str, int]) -> None:
        self._kafka = kafka
        self._starts = {TopicPartition(topic, 0): offset for topic, offset in starts.items()}
        self._doing = f"read {', '.join(starts)}"
        self._consumer: Any = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connect and seek.

        Raises:
            TailError: no broker.
        """
        self._consumer = AIOKafkaConsumer(
            **self._kafka.options(),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        await refused.start(self._consumer, self._kafka, self._doing, TailError)
        self._consumer.assign(list(self._starts))
        for partition, offset in self._starts.items():
            self._consumer.seek(partition, offset)

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def span(self) -> dict[str, tuple[int, int]]:
        """By topic the first offset there is and the one after the last that is committed.

        Raises:
            TailError: there is no such topic, or nobody answers.
        """
        partitions = list(self._starts)
        try:
            first = await self._consumer.beginning_offsets(partitions)
            last = await self._consumer.end_offsets(partitions)
        except KafkaError as error:
            raise TailError(await refused.explain(self._kafka, error, self._doing)) from None
        return {p.topic: (first[p], last[p]) for p in partitions}

    async def to_end(self) -> list[Record]:
        """All from where we are to what is the end now, in the order of each topic.

        Raises:
            TailError: it takes longer than a minute, or the offsets are not there any more.
        """
        ends = {TopicPartition(topic, 0): last for topic, (_, last) in (await self.span()).items()}
        found: list[Record] = []
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                while [p for p, end in ends.items() if await self._consumer.position(p) < end]:
                    found += await self.more(0.2)
        except TimeoutError:
            names = ", ".join(p.topic for p in ends)
            raise TailError(f"{names}: not read to the end within {READ_TIMEOUT:g} s") from None
        return found

    async def more(self, timeout: float) -> list[Record]:
        """What has come; waits up to ``timeout`` seconds for something.

        Raises:
            TailError: the offsets are not there any more.
        """
        try:
            batches = await self._consumer.getmany(timeout_ms=int(timeout * 1000))
        except OffsetOutOfRangeError as error:
            topics = ", ".join(p.topic for p in error.args[0])
            raise TailError(f"{topics}: what we had not read yet was deleted") from None
        except KafkaError as error:
            raise TailError(await refused.explain(self._kafka, error, self._doing)) from None
        return [record for batch in batches.values() for record in batch]

    async def positions(self) -> dict[str, int]:
        """By topic the offset that is read next."""
        return {p.topic: await self._consumer.position(p) for p in self._starts}
