"""Topics for tests: create, publish, read everything. No sleeps, no groups; every wait ends and says what it saw."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

Header = tuple[str, bytes]
Record = tuple[bytes | None, bytes | None, Iterable[Header]]


async def create_topics(bootstrap: str, topics: Mapping[str, int], timeout: float = 30) -> None:
    """Create the topics that are missing; returns when every partition has a leader. Not on the mock broker."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        async with asyncio.timeout(timeout):
            answer = await admin.create_topics([NewTopic(name, count, 1) for name, count in topics.items()])
            for name, code, *message in answer.topic_errors:
                if code not in (0, TopicAlreadyExistsError.errno):
                    raise for_code(code)(f"{name}: {message}")
            while not all(_complete(each, topics) for each in await admin.describe_topics(list(topics))):
                pass  # each turn is a round trip to the broker
    finally:
        await admin.close()


def _complete(described: dict, topics: Mapping[str, int]) -> bool:
    led = [each for each in described["partitions"] if each["leader"] >= 0]
    return described["error_code"] == 0 and len(led) >= topics[described["topic"]]


async def publish(bootstrap: str, topic: str, records: Iterable[Record]) -> None:
    """Send in order; returns when the broker has acknowledged all of them."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5) as producer:
        pending = [await producer.send(topic, value, key, headers=list(headers)) for key, value, headers in records]
        await asyncio.gather(*pending)


async def read_all(
    bootstrap: str, topic: str, *, until: int | Callable[[list[ConsumerRecord]], bool], timeout: float = 30
) -> list[ConsumerRecord]:
    """All partitions from the beginning, what is committed, until there are `until` records or until(records) holds."""
    records: list[ConsumerRecord] = []
    enough = until if callable(until) else lambda seen: len(seen) >= until
    try:
        async with (
            asyncio.timeout(timeout),
            AIOKafkaConsumer(
                topic,
                bootstrap_servers=bootstrap,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=50,
                isolation_level="read_committed",
            ) as consumer,
        ):
            while not enough(records):
                for batch in (await consumer.getmany(timeout_ms=1000)).values():
                    records += batch
    except TimeoutError:
        seen = dict(sorted(Counter(record.partition for record in records).items()))
        wanted = until if isinstance(until, int) else "a predicate to hold"
        raise TimeoutError(
            f"{topic}: {len(records)} records in {timeout:g} s, wanted {wanted}; by partition {seen}"
        ) from None
    return records
