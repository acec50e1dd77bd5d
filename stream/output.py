"""Decisions and dead letters to Kafka: idempotent, acknowledged by all replicas, never only logged.

Decisions go out as record batches that are built by hand: aiokafka's ``send`` costs a future and a queue turn per
record. Each output partition has a lane: what arrives while its last batch is on its way is collected and leaves as
one batch. So batches are as large as the broker is slow, a lone decision leaves at once, and no agent waits for a
partition that is not its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from mode import Service

from stream.kafka import Kafka

Headers = list[tuple[str, bytes]]  #: no other sequence: aiokafka's compiled part takes only lists
Row = tuple[bytes | None, bytes, Headers]  #: key, value, headers
Delivery = asyncio.Future[None]

#: Bytes. A chunk of 1,000 plain decisions is 260 KB; the broker's limit for a batch is 1 MiB.
MAX_BATCH_BYTES: Final = 512 << 10
#: Bytes. Of one record; equal to the DLQ topics' ``max.message.bytes``, where an input record of 1 MiB must fit
#: together with the headers that we add.
MAX_RECORD_BYTES: Final = 2 << 20
#: Time for one delivery with all its retries. A broker restart takes less; what takes longer stops the worker.
DELIVERY_TIMEOUT_MS: Final = 30_000


def producer(kafka: Kafka, **options: Any) -> AIOKafkaProducer:
    """A producer that loses nothing and repeats nothing."""
    return AIOKafkaProducer(
        acks="all",
        enable_idempotence=True,
        max_batch_size=MAX_BATCH_BYTES,
        max_request_size=MAX_RECORD_BYTES,
        request_timeout_ms=DELIVERY_TIMEOUT_MS,
        **kafka.producer_options(),
        **options,
    )


class _Parcel:
    """Rows that are delivered when all batches that hold some of them are; none is packed before ``after`` is done."""

    __slots__ = ("after", "delivery", "open_parts", "rows")

    def __init__(self, rows: Sequence[Row], delivery: Delivery, after: Awaitable[Any] | None = None) -> None:
        self.rows, self.delivery, self.after = rows, delivery, after
        self.open_parts = 1  # the rows that are in no batch yet; packing the last row closes it

    def close_part(self) -> None:
        self.open_parts -= 1
        if not self.open_parts and not self.delivery.done():
            self.delivery.set_result(None)

    def fail(self, error: BaseException) -> None:
        if not self.delivery.done():
            self.delivery.set_exception(error)


class _Lane:
    """The way to one output partition, in order."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int, fail: Callable[[Any], None]) -> None:
        self._producer, self._topic, self._partition, self._fail = producer, topic, partition, fail
        self._waiting: deque[_Parcel] = deque()
        self._row = 0  # the next one to pack of the first waiting parcel
        self._task: asyncio.Task[None] | None = None
        self._broken: BaseException | None = None
        self.end: int | None = None  #: offset after all that is there, if since ``begin`` nobody else has written

    def add(self, parcel: _Parcel) -> None:
        if self._broken:
            parcel.fail(self._broken)
            return
        self._waiting.append(parcel)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._drive())

    async def _drive(self) -> None:
        while self._waiting:
            head = self._waiting[0]
            if head.after is not None:
                try:
                    await head.after
                except Exception as error:  # noqa: BLE001 - what was to be there before is not
                    self._failed(error, [])
                    return
                head.after = None
            held: list[_Parcel] = []
            try:
                batch = self._pack(held)
                # Returns once the batch before has left: meanwhile more is collected for the next one.
                sent = await self._producer.send_batch(batch, self._topic, partition=self._partition)
            except Exception as error:  # noqa: BLE001 - whatever it is, these rows were not delivered
                self._failed(error, held)
                return
            count = batch.record_count()
            sent.add_done_callback(lambda done, held=held, count=count: self._settle(done, held, count))

    def _pack(self, held: list[_Parcel]) -> Any:
        """One batch of what waits; ``held`` takes the parcels of which it holds rows."""
        batch = self._producer.create_batch()
        while self._waiting and self._waiting[0].after is None:
            parcel = self._waiting[0]
            start = self._row
            for key, value, headers in parcel.rows[start:]:
                # A row larger than a batch is accepted as the only one in its batch.
                if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                    break
                self._row += 1
            if self._row > start:
                parcel.open_parts += 1
                held.append(parcel)
            if self._row < len(parcel.rows):
                break
            self._waiting.popleft().open_parts -= 1
            self._row = 0
        batch.close()
        return batch

    def _settle(self, done: asyncio.Future[Any], held: list[_Parcel], count: int) -> None:
        if done.cancelled():
            self._failed(ConnectionAbortedError("the producer was stopped"), held)
        elif error := done.exception():
            self._failed(error, held)
        else:
            first = done.result().offset
            self.end = first + count if first == self.end else None
            for parcel in held:
                parcel.close_part()

    def _failed(self, error: BaseException, held: list[_Parcel]) -> None:
        """Nothing goes out after a loss: order would be broken, and the worker is about to stop."""
        self._broken = error
        for parcel in (*held, *self._waiting):
            parcel.fail(error)
        self._waiting.clear()
        self._fail(error)


class Output(Service):
    """Our producer.

    Args:
        fail: told of a delivery that failed for good. It must stop the worker: the chunk is never acked, and
            nothing after it in its partition is committed.
        topics: that are written to.
    """

    def __init__(
        self, kafka: Kafka, fail: Callable[[BaseException], None], topics: Iterable[str], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.kafka, self.fail = kafka, fail
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._partitions = dict.fromkeys(topics, 0)

    async def on_start(self) -> None:
        """Connect, and ask for the number of partitions of our topics.

        Raises:
            KafkaError: they cannot be had.
        """
        self._producer = producer(self.kafka)
        await self._producer.start()
        for topic in self._partitions:
            self._partitions[topic] = len(await self._producer.partitions_for(topic))

    async def on_stop(self) -> None:
        """Send what is left and disconnect."""
        await self._producer.stop()

    def partitions(self, topic: str) -> int:
        """How many ``topic`` has."""
        return self._partitions[topic]

    def begin(self, topic: str, partition: int, end: int | None) -> None:
        """Only we write there from offset ``end`` on; None: nobody knows."""
        self._lane(topic, partition).end = end

    def end(self, topic: str, partition: int) -> int | None:
        """The offset after all that is there, as far as we know; None if somebody else has written since ``begin``."""
        return self._lane(topic, partition).end

    def _lane(self, topic: str, partition: int) -> _Lane:
        if (lane := self._lanes.get((topic, partition))) is None:
            lane = self._lanes[topic, partition] = _Lane(self._producer, topic, partition, self.fail)
        return lane

    def send_chunk(
        self, topic: str, partition: int, rows: Sequence[Row], after: Awaitable[Any] | None = None
    ) -> Delivery:
        """Send ``rows``, at least one, in order after those before, and once ``after`` is done.

        Returns:
            A future that is done when the broker has acknowledged all of them. Its failure is reported by itself.
        """
        delivery: Delivery = asyncio.get_running_loop().create_future()
        self._lane(topic, partition).add(_Parcel(rows, delivery, after))
        return delivery

    async def send_one(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers
    ) -> asyncio.Future[Any]:
        """Send one record with headers. Waits for room; the future is done when the broker has acknowledged."""
        sent: asyncio.Future[Any] = await self._producer.send(topic, value, key, partition=partition, headers=headers)
        sent.add_done_callback(self._report)
        return sent

    def _report(self, done: asyncio.Future[Any]) -> None:
        if not done.cancelled() and (error := done.exception()):
            self.fail(error)
