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
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnsupportedVersionError,
    for_code,
)

from detectors.model.errors import LanjieError
from stream import refused
from stream.kafka import Kafka
from stream.topics import Topic

log = logging.getLogger(__name__)

LEADERS_TIMEOUT: Final = 30.0  # seconds until every partition has a leader
_NOT_ALLOWED: Final = (ClusterAuthorizationFailedError.errno, TopicAuthorizationFailedError.errno)


class TopicsError(LanjieError):
    """The broker cannot be reached or refuses a topic."""


async def ensure_topics(kafka: Kafka, topics: Iterable[Topic], *, replication: int = 1) -> list[str]:
    """Create what is missing and wait until it can be used. Returns the names created.

    A broker without CreateTopics (librdkafka's in-memory one) creates a topic when it is first asked about it; one
    that does not let us create them is expected to have them.

    Raises:
        TopicsError: no broker, or it refuses.
    """
    wanted = list(topics)
    admin = await _connect(kafka)
    try:
        async with asyncio.timeout(LEADERS_TIMEOUT):
            missing = await _missing(admin, wanted)
            created, denied = await _create(admin, missing, replication) if missing else ([], [])
            while not await _all_led(admin, wanted, denied):  # noqa: ASYNC110 - the broker does not notify
                await asyncio.sleep(0.05)
            return created
    except TimeoutError:
        names = ", ".join(topic.name for topic in wanted)
        raise TopicsError(f"{kafka.bootstrap}: some of {names} have no leader after {LEADERS_TIMEOUT:g} s") from None
    except KafkaError as error:
        raise TopicsError(await refused.explain(kafka, error, "see or create topics")) from None
    finally:
        await admin.close()


async def list_topics(kafka: Kafka, topics: Sequence[Topic]) -> dict[str, int]:
    """Partitions of those of ``topics`` that exist, by name.

    Raises:
        TopicsError: no broker.
    """
    admin = await _connect(kafka)
    try:
        there = set(await admin.list_topics())
        names = [topic.name for topic in topics if topic.name in there]
        found = await admin.describe_topics(names) if names else []
        return {each["topic"]: len(each["partitions"]) for each in found}
    except KafkaError as error:
        raise TopicsError(await refused.explain(kafka, error, "see its topics")) from None
    finally:
        await admin.close()


async def _connect(kafka: Kafka) -> Any:
    admin = AIOKafkaAdminClient(**kafka.options())
    await refused.start(admin, kafka, "see its topics", TopicsError)
    return admin


async def _missing(admin: Any, topics: Sequence[Topic]) -> list[Topic]:
    there = set(await admin.list_topics())
    return [topic for topic in topics if topic.name not in there]


async def _create(admin: Any, topics: Sequence[Topic], replication: int) -> tuple[list[str], list[str]]:
    """Names that were created, and those that we may not create."""
    new = [NewTopic(topic.name, topic.partitions, replication, topic_configs=dict(topic.config)) for topic in topics]
    try:
        answer = await admin.create_topics(new)
    except (IncompatibleBrokerVersion, UnsupportedVersionError, AttributeError):  # aiokafka: it names no controller
        log.warning("this broker creates topics by itself: partitions and retention are its own choice")
        return [], []
    created, denied = [], []
    for name, code, *message in answer.topic_errors:
        if code == 0:
            created.append(name)
        elif code in _NOT_ALLOWED:
            denied.append(name)
        elif code != TopicAlreadyExistsError.errno:
            raise for_code(code)(f"{name}: {message}")
    return created, denied


async def _all_led(admin: Any, topics: Sequence[Topic], denied: Sequence[str]) -> bool:
    """
    Raises:
        TopicAuthorizationFailedError: we may not see some, or some are not there and we may not create them.
    """
    described = await admin.describe_topics([topic.name for topic in topics])
    hidden = [each["topic"] for each in described if each["error_code"] == TopicAuthorizationFailedError.errno]
    absent = [each["topic"] for each in described if each["topic"] in denied and not each["partitions"]]
    if names := sorted({*hidden, *absent}):
        raise TopicAuthorizationFailedError(", ".join(names))
    return all(
        each["error_code"] == 0 and each["partitions"] and all(part["leader"] >= 0 for part in each["partitions"])
        for each in described
    )
