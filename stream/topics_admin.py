"""Create the topics that are missing. Safe to repeat, and by several workers at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnsupportedVersionError,
    for_code,
)

from detectors.model.errors import LanjieError
from stream.topics import Topic

log = logging.getLogger(__name__)

LEADERS_TIMEOUT: Final = 30.0  # seconds until every partition has a leader
_NOT_ALLOWED: Final = (ClusterAuthorizationFailedError.errno, TopicAuthorizationFailedError.errno)


class TopicsError(LanjieError):
    """The broker cannot be reached or refuses a topic."""


async def ensure_topics(bootstrap: str, topics: Iterable[Topic], *, replication: int = 1) -> list[str]:
    """Create what is missing and wait until it can be used. Returns the names created.

    A broker without CreateTopics (librdkafka's in-memory one) creates a topic when it is first asked about it; one
    that does not let us create them is expected to have them.

    Raises:
        TopicsError: no broker, or it refuses.
    """
    wanted = list(topics)
    admin = await _connect(bootstrap)
    try:
        async with asyncio.timeout(LEADERS_TIMEOUT):
            missing = await _missing(admin, wanted)
            created = await _create(admin, missing, replication) if missing else []
            while not await _all_led(admin, wanted):  # noqa: ASYNC110 - the broker does not notify
                await asyncio.sleep(0.05)
            return created
    except TimeoutError:
        names = ", ".join(topic.name for topic in wanted)
        raise TopicsError(f"{bootstrap}: some of {names} have no leader after {LEADERS_TIMEOUT:g} s") from None
    except KafkaError as error:
        raise TopicsError(f"{bootstrap}: cannot create topics: {error}") from None
    finally:
        await admin.close()


async def list_topics(bootstrap: str, topics: Sequence[Topic]) -> dict[str, int]:
    """Partitions of those of ``topics`` that exist, by name.

    Raises:
        TopicsError: no broker.
    """
    admin = await _connect(bootstrap)
    try:
        there = set(await admin.list_topics())
        names = [topic.name for topic in topics if topic.name in there]
        found = await admin.describe_topics(names) if names else []
        return {each["topic"]: len(each["partitions"]) for each in found}
    finally:
        await admin.close()


async def _connect(bootstrap: str) -> Any:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    try:
        await admin.start()
    except KafkaConnectionError:
        await admin.close()
        raise TopicsError(
            f"LANJIE_BOOTSTRAP={bootstrap}: no Kafka there; start one with 'lanjie dev kafka up' or name another"
        ) from None
    return admin


async def _missing(admin: Any, topics: Sequence[Topic]) -> list[Topic]:
    there = set(await admin.list_topics())
    return [topic for topic in topics if topic.name not in there]


async def _create(admin: Any, topics: Sequence[Topic], replication: int) -> list[str]:
    new = [NewTopic(topic.name, topic.partitions, replication, topic_configs=dict(topic.config)) for topic in topics]
    try:
        answer = await admin.create_topics(new)
    except (IncompatibleBrokerVersion, UnsupportedVersionError, AttributeError):  # aiokafka: it names no controller
        log.warning("this broker creates topics by itself: partitions and retention are its own choice")
        return []
    created = []
    for name, code, *message in answer.topic_errors:
        if code == 0:
            created.append(name)
        elif code in _NOT_ALLOWED:
            log.warning("not allowed to create %s: it must be there", name)
        elif code != TopicAlreadyExistsError.errno:
            raise for_code(code)(f"{name}: {message}")
    return created


async def _all_led(admin: Any, topics: Sequence[Topic]) -> bool:
    described = await admin.describe_topics([topic.name for topic in topics])
    return all(
        each["error_code"] == 0 and each["partitions"] and all(part["leader"] >= 0 for part in each["partitions"])
        for each in described
    )
