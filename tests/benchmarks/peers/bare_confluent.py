"""A loop around librdkafka: consume some hundred, decide them with the same engine, produce one by one.

python -m tests.benchmarks.peers.bare_confluent BOOTSTRAP PREFIX LISTS
"""

from __future__ import annotations

import sys
from collections import defaultdict

from confluent_kafka import Consumer, Message, Producer

from stream.topics import CALLS, DECISIONS, SMS
from stream.wire import decode_events, encode_decision
from tests.benchmarks.peers.engine import engine


def run(bootstrap: str, prefix: str, lists: str) -> None:
    """Until killed. librdkafka's own threads do the network; here they have to share the one core."""
    decide = engine(lists).decide
    kinds = {prefix + topic.name: topic.kind for topic in (CALLS, SMS)}
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{prefix}confluent",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 10,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "linger.ms": 5,
            "batch.size": 512 << 10,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    consumer.subscribe(list(kinds))
    out = prefix + DECISIONS.name
    while True:
        chunks: defaultdict[tuple[str, int], list[Message]] = defaultdict(list)
        for message in consumer.consume(500, timeout=0.1):
            if error := message.error():
                raise RuntimeError(error)
            chunks[message.topic(), message.partition()].append(message)
        for (topic, partition), messages in chunks.items():
            for decision in decide(decode_events([m.value() for m in messages], kinds[topic])[0]):
                producer.produce(out, encode_decision(decision), decision.subject.encode(), partition)
        producer.poll(0)


if __name__ == "__main__":
    run(*sys.argv[1:])
