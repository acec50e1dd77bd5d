"""Decisions and dead letters to Kafka: idempotent, acknowledged by all replicas, never only logged.

A chunk's decisions go out as record batches that are built by hand: aiokafka's ``send`` costs a future and a queue
turn per record. Small chunks take ``send`` all the same: a hand-built batch waits until its predecessor has left, which
at low rates turns into latency.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from mode import Service

Row = tuple[bytes | None, bytes]  #: key, value
Headers = Sequence[tuple[str, bytes]]

#: From this many rows on a hand-built batch is cheaper than ``send`` per row (design/faust.md).
BATCH_FROM_ROWS: Final = 32
#: Bytes. A chunk of 500 plain decisions is 130 KB; the broker's limit for a batch is 1 MiB.
MAX_BATCH_BYTES: Final = 512 << 10
#: Bytes. Of one record; equal to the DLQ topics' ``max.message.bytes``, where an input record of 1 MiB must fit
#: together with the headers that we add.
MAX_RECORD_BYTES: Final = 2 << 20
#: Time for one delivery with all its retries. A broker restart takes less; what takes longer stops the worker.
DELIVERY_TIMEOUT_MS: Final = 30_000


class Output(Service):
    """Our producer.

    Args:
        bootstrap: ``host:port``, comma separated.
        on_failure: told of a delivery that failed for good; it must stop the worker, because the chunk is not acked
            and everything after it in its partition waits.
    """

    def __init__(self, bootstrap: str, on_failure: Callable[[BaseException], None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._bootstrap = bootstrap
        self.fail = on_failure
        self._partitions: dict[str, int] = {}

    async def on_start(self) -> None:
        """Connect."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap.split(","),
            acks="all",
            enable_idempotence=True,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_RECORD_BYTES,
            request_timeout_ms=DELIVERY_TIMEOUT_MS,
        )
        await self._producer.start()

    async def on_stop(self) -> None:
        """Send what is left and disconnect."""
        await self._producer.stop()

    async def partition(self, topic: str, like: int) -> int:
        """The partition of ``topic`` for what came from input partition ``like``."""
        if topic not in self._partitions:
            self._partitions[topic] = len(await self._producer.partitions_for(topic))
        return like % self._partitions[topic]

    async def send_chunk(self, topic: str, partition: int, rows: Sequence[Row]) -> asyncio.Future[Any]:
        """Send ``rows`` in order.

        Returns:
            A future that is done when the broker has acknowledged all of them. Its failure has been reported.
        """
        try:
            if len(rows) < BATCH_FROM_ROWS:
                send = self._producer.send
                parts = [await send(topic, value, key, partition=partition) for key, value in rows]
            else:
                parts = await self._send_batches(topic, partition, rows)
        except KafkaError as error:
            parts = [_failed(error)]
        return self._all(parts)

    async def send_one(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers
    ) -> asyncio.Future[Any]:
        """Send one record with headers; otherwise as ``send_chunk``."""
        try:
            part = await self._producer.send(topic, value, key, partition=partition, headers=headers)
        except KafkaError as error:
            part = _failed(error)
        return self._all([part])

    async def _send_batches(self, topic: str, partition: int, rows: Sequence[Row]) -> list[asyncio.Future[Any]]:
        parts: list[asyncio.Future[Any]] = []
        batch = self._producer.create_batch()
        for key, value in rows:
            # A row that is larger than a batch is accepted as the only one in its batch.
            if batch.append(timestamp=None, key=key, value=value) is None:
                parts.append(await self._producer.send_batch(batch, topic, partition=partition))
                batch = self._producer.create_batch()
                batch.append(timestamp=None, key=key, value=value)
        batch.close()
        parts.append(await self._producer.send_batch(batch, topic, partition=partition))
        return parts

    def _all(self, parts: Iterable[asyncio.Future[Any]]) -> asyncio.Future[Any]:
        done = asyncio.gather(*parts)
        done.add_done_callback(self._report)
        return done

    def _report(self, done: asyncio.Future[Any]) -> None:
        if not done.cancelled() and (error := done.exception()):
            self.fail(error)


def _failed(error: BaseException) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future
