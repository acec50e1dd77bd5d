"""What the demo and a load test share about their broker: whose it is, topics of their own, and a clean end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import click
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from stream.kafka import Kafka, Security
from stream.loop import Loop
from stream.settings import Settings, variable
from stream.topics import DECISIONS, Topic

T = TypeVar("T")


def settings_for(bootstrap: str | None) -> Settings:
    """Settings from the environment; with no ``bootstrap`` for a broker of our own.

    Raises:
        UsageError: that broker cannot be reached as the environment says.
    """
    settings = Settings.from_env({**os.environ, **({variable("bootstrap"): bootstrap} if bootstrap else {})})
    if not bootstrap and settings.kafka_security is not Security.PLAINTEXT:
        raise click.UsageError(
            f"{variable('kafka_security')}={settings.kafka_security.value}: our own Kafka is PLAINTEXT; "
            "name yours with --bootstrap, or unset it"
        )
    return settings


def stamped(topic: Topic) -> Topic:
    """Decisions get the broker's time of appending: the worker does not take its own time."""
    config = topic.config | ({"message.timestamp.type": "LogAppendTime"} if topic.kind == DECISIONS.kind else {})
    return replace(topic, config=config)


async def partitions_of(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    """Asks the broker: without a subscription the consumer's own metadata may not have the topic."""
    await consumer._client.add_topic(topic)  # noqa: SLF001 - aiokafka has no public way for a consumer that assigns
    return [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]


def delete_topics(kafka: Kafka, names: list[str]) -> None:
    """Delete topics; a broker that does not answer any more keeps them."""
    with suppress(KafkaError):
        on_loop(_delete(kafka, names))


async def _delete(kafka: Kafka, names: list[str]) -> None:
    admin = AIOKafkaAdminClient(**kafka.options())
    await admin.start()
    try:
        await admin.delete_topics(names)
    finally:
        await admin.close()


def on_loop(job: Coroutine[Any, Any, T]) -> T:
    """Run it to its end."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(job)


def interrupt(*_: object) -> None:
    """For SIGTERM: it cleans up as Ctrl-C does."""
    raise KeyboardInterrupt
