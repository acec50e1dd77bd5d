"""The ceiling: a hand-written aiokafka loop with the same engine, no framework, no metrics, commit by timer.

python -m tests.benchmarks.peers.bare_aiokafka BOOTSTRAP PREFIX LISTS
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from detectors.engine import Engine, Snapshot
from detectors.lists import ListKind, NumberIndex, parse_lines
from detectors.rulepack import load_rules
from stream.topics import CALLS, DECISIONS, SMS
from stream.wire import decode_events, encode_decision


async def run(bootstrap: str, prefix: str, lists: str) -> None:
    with open(lists) as lines:  # noqa: PTH123, ASYNC230
        index = NumberIndex(parse_lines(lines, kind=ListKind.BLOCK, source="bench", where=lists))  # type: ignore[arg-type]
    engine = Engine(Snapshot.build(load_rules(), index))
    kinds = {prefix + topic.name: topic.kind for topic in (CALLS, SMS)}
    consumer = AIOKafkaConsumer(
        *kinds, bootstrap_servers=bootstrap, group_id=f"{prefix}bare", auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, max_batch_size=1 << 20)
    await producer.start()
    await consumer.start()
    out = prefix + DECISIONS.name
    while True:
        for tp, records in (await consumer.getmany(timeout_ms=1000, max_records=500)).items():
            kind = kinds[tp.topic]
            batch = producer.create_batch()
            for decision in engine.decide(decode_events([r.value for r in records], kind)[0]):
                batch.append(key=decision.subject.encode(), value=encode_decision(decision), timestamp=None)
            await producer.send_batch(batch, out, partition=tp.partition)


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(run(*sys.argv[1:]))
