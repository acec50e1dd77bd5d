"""The demo's topics, and what is on them at the end. They are new in every run, so all that is on them is ours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from aiokafka import AIOKafkaConsumer

from detectors.model.decision import Decision
from stream.cli.loadtest_broker import partitions_of, stamped
from stream.kafka import Kafka
from stream.topics import ALL, DECISIONS, INPUTS, dlq
from stream.topics_admin import ensure_topics, list_topics
from stream.wire import decode_decision

#: Milliseconds the broker may wait for more; we read what is there.
READ_TIMEOUT_MS: Final = 1000
#: Empty reads in a row after which the rest is taken for lost (the in-memory broker drops old batches).
PATIENCE: Final = 10
_APPEND_TIME: Final = 1


@dataclass
class Collected:
    """What Kafka holds after the run."""

    decisions: dict[str, Decision] = field(default_factory=dict)  #: the first for each event id
    times: dict[str, int] = field(default_factory=dict)  #: Kafka timestamp of that, ms
    duplicates: int = 0
    dead: dict[str, str] = field(default_factory=dict)  #: event id -> reason code
    broker_time: bool = True  #: the broker stamped the decisions when it appended them; else the worker did


async def create(kafka: Kafka, run: str) -> tuple[str, list[str]]:
    """Create the topics. Returns their prefix and the names that we have created (none where the broker does that by
    itself). No prefix if the usual names are free on this cluster, else one of this run.

    Somebody's topics are never written to: they may be in production, or belong to a kept demo with its own worker.
    """
    prefix = f"demo-{run}." if await list_topics(kafka, ALL) else ""
    return prefix, await ensure_topics(kafka, [replace(stamped(topic), name=prefix + topic.name) for topic in ALL])


async def collect(kafka: Kafka, prefix: str) -> Collected:
    """Read all decisions and dead letters."""
    found = Collected()
    async with AIOKafkaConsumer(**kafka.options(), enable_auto_commit=False) as consumer:
        names = [prefix + DECISIONS.name, *(prefix + dlq(topic).name for topic in INPUTS)]
        partitions = [tp for name in names for tp in await partitions_of(consumer, name)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = {tp: end for tp, end in (await consumer.end_offsets(partitions)).items() if end}
        patience = PATIENCE
        while patience and any([await consumer.position(tp) < end for tp, end in ends.items()]):
            batches = await consumer.getmany(timeout_ms=READ_TIMEOUT_MS, max_records=5000)
            patience = PATIENCE if batches else patience - 1
            for tp, records in batches.items():
                (_take_decisions if tp.topic == names[0] else _take_dead)(found, records)
    return found


def _take_decisions(found: Collected, records: Iterable) -> None:  # type: ignore[type-arg]
    for record in records:
        decision = decode_decision(record.value)
        found.broker_time &= record.timestamp_type == _APPEND_TIME
        if decision.event_id in found.decisions:
            found.duplicates += 1
        else:
            found.decisions[decision.event_id] = decision
            found.times[decision.event_id] = record.timestamp


def _take_dead(found: Collected, records: Iterable) -> None:  # type: ignore[type-arg]
    for record in records:
        headers = {key: value.decode() for key, value in record.headers}
        key = headers.get("ce_id", f"{record.topic}/{record.partition}/{record.offset}")
        found.duplicates += key in found.dead
        found.dead[key] = headers.get("dlq.code", "")
