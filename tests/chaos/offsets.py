"""How far a group is, asked of the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from stream.clock import Clock
from stream.settings import Settings
from stream.topics import INPUTS


async def input_ends(settings: Settings) -> dict[TopicPartition, int]:
    """The end of every input partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    try:
        names = [settings.named(topic).name for topic in INPUTS]
        ends: dict[TopicPartition, int] = await consumer.end_offsets(
            [TopicPartition(name, partition) for name in names for partition in range(settings.partitions)]
        )
        return ends
    finally:
        await consumer.stop()


async def drained(
    settings: Settings, seconds: float, *, clock: Clock, give_up: Callable[[int], bool] = lambda _: False
) -> str:
    """Wait until what is committed is the end of every input. Returns what is not, in time.

    Args:
        give_up: told how many records are left; true ends the wait.
    """
    ends, deadline = await input_ends(settings), clock.monotonic() + seconds
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        while True:
            done = await _committed(admin, settings)
            left = {tp: end - done.get(tp, 0) for tp, end in ends.items() if done.get(tp, 0) < end}
            if not left or clock.monotonic() > deadline or give_up(sum(left.values())):
                return ", ".join(f"{tp.topic}/{tp.partition}: {count:,} to go" for tp, count in left.items())
            await asyncio.sleep(0.2)
    finally:
        await admin.close()


async def _committed(admin: AIOKafkaAdminClient, settings: Settings) -> dict[TopicPartition, int]:
    try:
        found = await admin.list_consumer_group_offsets(settings.group)
    except KafkaError:  # its coordinator is being loaded
        return {}
    return {TopicPartition(tp.topic, tp.partition): where.offset for tp, where in found.items()}
