"""An input partition, read again without a group: ranges of offsets, one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord as Record
from aiokafka.structs import TopicPartition

from stream.kafka import Kafka

FETCH_TIMEOUT: Final = 30.0  # seconds for what must be there
FETCH_MS: Final = 1000
CONNECT_TIMEOUT: Final = 10.0  # seconds
CLOSE_TIMEOUT: Final = 5.0  # seconds
FETCH_BYTES: Final = 4 << 20


def consumer(kafka: Kafka) -> Any:
    """A consumer without a group, of what is committed. What was deleted since is passed over."""
    return AIOKafkaConsumer(
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
        **kafka.options(),
    )


async def started(client: Any) -> None:
    """Connect.

    Raises:
        KafkaError, TimeoutError: not possible now. If it is cut at the wrong moment, aiokafka waits for ever.
    """
    async with asyncio.timeout(CONNECT_TIMEOUT):
        await client.start()


async def stopped(client: Any) -> None:
    """Disconnect, in good order if that is possible."""
    with suppress(TimeoutError, KafkaError):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await client.stop()


class Ranges:
    """Reads one partition forward."""

    def __init__(self, kafka: Kafka, partition: TopicPartition) -> None:
        self._consumer, self._partition = consumer(kafka), partition
        self._held: deque[Record] = deque()

    async def start(self, offset: int) -> Self:
        """Connect; ``offset`` is the first that is asked for.

        Raises:
            KafkaError, TimeoutError: not possible now.
        """
        await started(self._consumer)
        self._consumer.assign([self._partition])
        self._consumer.seek(self._partition, offset)
        return self

    async def stop(self) -> None:
        """Disconnect."""
        await stopped(self._consumer)

    async def take(self, first: int, last: int) -> list[Record]:
        """The records from ``first`` to ``last``, both included; ``first`` never goes back.

        Raises:
            KafkaError, TimeoutError: they cannot be read now.
        """
        async with asyncio.timeout(FETCH_TIMEOUT):
            while await self._consumer.position(self._partition) <= last:
                for batch in (await self._consumer.getmany(timeout_ms=FETCH_MS)).values():
                    self._held.extend(batch)
        while self._held and self._held[0].offset < first:
            self._held.popleft()
        taken: list[Record] = []
        for record in self._held:
            if record.offset > last:
                break
            taken.append(record)
        return taken
