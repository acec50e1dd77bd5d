"""Exactly once: decisions, dead letters and offsets of a shard in one transaction.

Each shard has a producer of its own, whose transactional id is the group's with the number of the shard. Who takes a
shard over throws out whoever had it (KIP-98: the older epoch is refused, its open transaction aborted), so a worker
that was only thought dead can write nothing any more. While a transaction is committed, what comes is collected for
the next: they are as large as the broker is slow.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from stream.deadletter import packed
from stream.kafka import Kafka
from stream.outbox import Outgoing
from stream.output import DELIVERY_TIMEOUT_MS, Delivery, Output, producer

#: The broker aborts what a worker that died left open after this, if nobody takes its shards over before.
TRANSACTION_TIMEOUT_MS: Final = 2 * DELIVERY_TIMEOUT_MS
#: Decisions in one transaction, or one chunk if that is larger: 1.3 MB, well within a second.
MAX_ROWS: Final = 5_000
OPEN_TIMEOUT: Final = 20.0  # seconds: what a worker before us has begun to commit is waited for
CLOSE_TIMEOUT: Final = 5.0  # seconds


class ExactlyOnce:
    """A lane of transactions for each shard.

    Args:
        output: knows the topics; is told what fails.
        group: whose offsets are committed.
        name: of this pipeline's transactional ids; all workers of a group have the same.
    """

    def __init__(self, output: Output, decisions: str, *, group: str, name: str) -> None:
        self._output, self._decisions, self._group, self._name = output, decisions, group, name
        self._lanes: dict[int, _Lane] = {}

    async def open(self, shard: int) -> None:
        """Throw out who had the shard; what they had not committed is gone.

        Raises:
            KafkaError: not possible now.
        """
        await self.close(shard)
        lane = _Lane(self._output, self._decisions, self._group, f"{self._name}-{shard}")
        await lane.start()
        self._lanes[shard] = lane

    async def close(self, shard: int) -> None:
        """Disconnect; what is on its way is given up, and aborted by who opens the shard next."""
        if lane := self._lanes.pop(shard, None):
            await lane.stop()

    def begin(self, shard: int, end: int) -> None:
        """Nobody else can write since it was opened."""
        self._lanes[shard].end = end

    def end(self, shard: int) -> int | None:
        """Of what is committed; the marker of its transaction may follow."""
        return lane.end if (lane := self._lanes.get(shard)) else None

    def send(self, outgoing: Outgoing) -> Delivery:
        """In the next transaction of its shard."""
        return self._lanes[outgoing.shard].add(outgoing)


class _Lane:
    def __init__(self, output: Output, decisions: str, group: str, name: str) -> None:
        self._output, self._decisions, self._group = output, decisions, group
        self._producer = _transactional(output.kafka, name)
        self._waiting: deque[tuple[Outgoing, Delivery]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._broken: BaseException | None = None
        self.end: int | None = None  #: offset after the last decision that is committed

    async def start(self) -> None:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await self._producer.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        with suppress(TimeoutError, KafkaError, asyncio.CancelledError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._producer.stop()

    def add(self, outgoing: Outgoing) -> Delivery:
        delivery: Delivery = asyncio.get_running_loop().create_future()
        if self._broken:
            delivery.set_exception(self._broken)
            return delivery
        self._waiting.append((outgoing, delivery))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._drive())
        return delivery

    async def _drive(self) -> None:
        while self._waiting:
            held = self._take()
            try:
                async with self._producer.transaction():
                    end = await self._write([outgoing for outgoing, _ in held])
            except Exception as error:  # noqa: BLE001 - whatever it is, this was not committed, or nobody told us
                self._failed(error, held)
                return
            self.end = end or self.end
            for _, delivery in held:
                if not delivery.done():
                    delivery.set_result(None)

    def _take(self) -> list[tuple[Outgoing, Delivery]]:
        held, rows = [self._waiting.popleft()], 0
        rows += len(held[0][0].rows)
        while self._waiting and rows + len(self._waiting[0][0].rows) <= MAX_ROWS:
            held.append(self._waiting.popleft())
            rows += len(held[-1][0].rows)
        return held

    async def _write(self, chunks: Sequence[Outgoing]) -> int:
        """The offset after the last decision; 0 if there is none."""
        sent: list[asyncio.Future[Any]] = []
        rows = [row for chunk in chunks for row in chunk.rows]
        start = count = 0
        while start < len(rows):
            batch = self._producer.create_batch()
            for key, value, headers in rows[start:]:
                if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                    break
                start += 1
            batch.close()
            count = batch.record_count()
            sent.append(await self._producer.send_batch(batch, self._decisions, partition=chunks[0].shard))
        last = sent[-1] if sent else None
        for chunk in chunks:
            for letter in chunk.letters:
                out = packed(letter, self._output.partitions)
                sent.append(
                    await self._producer.send(
                        out.topic, out.value, out.key, partition=out.partition, headers=out.headers
                    )
                )
        await asyncio.gather(*sent)
        offsets = {TopicPartition(chunk.topic, chunk.shard): chunk.offset for chunk in chunks}
        await self._producer.send_offsets_to_transaction(offsets, self._group)
        return last.result().offset + count if last else 0

    def _failed(self, error: BaseException, held: Sequence[tuple[Outgoing, Delivery]]) -> None:
        """Nothing goes out after a loss: order would be broken, and the worker is about to stop."""
        self._broken = error
        for _, delivery in (*held, *self._waiting):
            if not delivery.done():
                delivery.set_exception(error)
        self._waiting.clear()
        self._output.fail(error)


def _transactional(kafka: Kafka, name: str) -> Any:
    return producer(kafka, transactional_id=name, transaction_timeout_ms=TRANSACTION_TIMEOUT_MS)
