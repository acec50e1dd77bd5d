"""The least that anything on Kafka takes: an aiokafka loop that writes the same bytes that it reads.

python -m tests.benchmarks.peers.echo BOOTSTRAP PREFIX LISTS
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from stream.topics import CALLS, DECISIONS, SMS
from stream.transport import FETCH_MAX_WAIT_MS


async def run(bootstrap: str, prefix: str, _: str) -> None:
    """Until killed. Waits for data at the broker as a worker does."""
    consumer = AIOKafkaConsumer(
        prefix + CALLS.name,
        prefix + SMS.name,
        bootstrap_servers=bootstrap,
        group_id=f"{prefix}echo",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, max_batch_size=1 << 20)
    await producer.start()
    await consumer.start()  # returns once partitions are assigned
    print("ready", flush=True)  # noqa: T201
    while True:
        for tp, records in (await consumer.getmany(timeout_ms=1000, max_records=500)).items():
            batch = producer.create_batch()
            for record in records:
                batch.append(key=record.key, value=record.value, timestamp=None)
            await producer.send_batch(batch, prefix + DECISIONS.name, partition=tp.partition)


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(run(*sys.argv[1:]))
