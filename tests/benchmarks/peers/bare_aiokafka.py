"""The ceiling: a hand-written aiokafka loop with the same engine, no framework, no metrics, commit by timer.

It takes as many records at once as a worker by default; more would be cheaper for both, and later for the first. While
a batch is on its way the next one for that partition is filled, so that the loop need not wait for the broker.

python -m tests.benchmarks.peers.bare_aiokafka BOOTSTRAP PREFIX LISTS
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from stream.settings import Settings
from stream.topics import CALLS, DECISIONS, SMS
from stream.wire import decode_events, encode_decision
from tests.benchmarks.peers.engine import engine


class Lane:
    """The way to one output partition: a batch on its way, and one that is being filled."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int) -> None:
        self._producer, self._topic, self._partition = producer, topic, partition
        self._batch: Any = producer.create_batch()
        self._sending: asyncio.Task[None] | None = None

    async def add(self, key: bytes, value: bytes) -> None:
        """Into the open batch; waits only if that is full."""
        while self._batch.append(key=key, value=value, timestamp=None) is None:
            self.send()
            await self._sending  # type: ignore[misc]

    def send(self) -> None:
        """What is there, unless that is going on."""
        if self._sending is None or self._sending.done():
            if self._sending is not None:
                self._sending.result()
            self._sending = asyncio.ensure_future(self._drive())

    async def _drive(self) -> None:
        while self._batch.record_count():
            batch, self._batch = self._batch, self._producer.create_batch()
            await self._producer.send_batch(batch, self._topic, partition=self._partition)


async def run(bootstrap: str, prefix: str, lists: str) -> None:
    """Until killed."""
    decide, chunk = engine(lists).decide, Settings().max_chunk
    kinds = {prefix + topic.name: topic.kind for topic in (CALLS, SMS)}
    consumer = AIOKafkaConsumer(
        *kinds, bootstrap_servers=bootstrap, group_id=f"{prefix}bare", auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, max_batch_size=1 << 20)
    await producer.start()
    await consumer.start()
    print("ready", flush=True)  # noqa: T201
    lanes: dict[int, Lane] = {}
    while True:
        for tp, records in (await consumer.getmany(timeout_ms=1000, max_records=chunk)).items():
            if (lane := lanes.get(tp.partition)) is None:
                lane = lanes[tp.partition] = Lane(producer, prefix + DECISIONS.name, tp.partition)
            for decision in decide(decode_events([r.value for r in records], kinds[tp.topic])[0]):
                await lane.add(decision.subject.encode(), encode_decision(decision))
            lane.send()
        await asyncio.sleep(0)  # what is to be sent gets its turn also while records lie ready


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(run(*sys.argv[1:]))
