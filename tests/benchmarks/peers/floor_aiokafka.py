"""What the floor's straight line (``tests.benchmarks.stages``) takes on Kafka: an aiokafka loop around it. It takes
whatever a fetch brings at once and fetches again at once; the way out is that of the bare loop.

python -m tests.benchmarks.peers.floor_aiokafka BOOTSTRAP PREFIX LISTS
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from stream.topics import CALLS, DECISIONS, SMS
from stream.transport import FETCH_MAX_WAIT_MS
from tests.benchmarks.events import phrases
from tests.benchmarks.peers.bare_aiokafka import Lane
from tests.benchmarks.stages import StraightLine
from tests.benchmarks.workload import PLAIN, TEXTS


async def run(bootstrap: str, prefix: str, lists: str) -> None:
    """Until killed. Waits for data at the broker as a worker does."""
    plain = Path(lists).with_name(PLAIN).read_text("ascii").split()
    line = StraightLine((int("86" + number) for number in plain if number.isdigit()), phrases(TEXTS))
    gc.collect()
    gc.freeze()
    kinds = {prefix + topic.name: topic.kind for topic in (CALLS, SMS)}
    consumer = AIOKafkaConsumer(
        *kinds,
        bootstrap_servers=bootstrap,
        group_id=f"{prefix}floor",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, max_batch_size=1 << 20)
    await producer.start()
    await consumer.start()
    print("ready", flush=True)  # noqa: T201
    lanes: dict[int, Lane] = {}
    while True:
        for tp, records in (await consumer.getmany(timeout_ms=1000)).items():
            if (lane := lanes.get(tp.partition)) is None:
                lane = lanes[tp.partition] = Lane(producer, prefix + DECISIONS.name, tp.partition)
            values = line.run(kinds[tp.topic], [record.value for record in records])
            for record, value in zip(records, values, strict=True):
                await lane.add(record.key, value)
            lane.send()
        await asyncio.sleep(0)  # what is to be sent gets its turn also while records lie ready


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(run(*sys.argv[1:]))
