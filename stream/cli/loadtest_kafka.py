"""What became of the events of a load test: read back from Kafka until each has a decision or a dead letter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from detectors.model.errors import LanjieError
from stream.cli.loadtest_broker import partitions_of
from stream.clock import Clock
from stream.kafka import Kafka
from stream.settings import Settings
from stream.topics import DECISIONS, INPUTS, dlq

#: Seconds without a decision of ours after which the rest counts as lost.
STALL: Final = 30.0
#: Milliseconds the broker may wait for more.
READ_TIMEOUT_MS: Final = 250
#: Records of one read; more cost memory and save nothing.
READ_RECORDS: Final = 5_000
_APPEND_TIME: Final = 1


class ReadBackError(LanjieError):
    """What is on the topic of decisions is something else."""


class _Decided(msgspec.Struct):
    """What is needed of a decision; decoding a fifth of it takes a fifth of the time."""

    event_id: str
    action: str
    lists: str
    rules: str
    degraded: tuple[str, ...] = ()


_decode: Final = msgspec.json.Decoder(_Decided).decode


@dataclass
class Outcomes:
    """What Kafka holds for the events of a run; of several decisions for one event the first."""

    actions: dict[str, str] = field(default_factory=dict)  #: event id -> action
    times: dict[str, int] = field(default_factory=dict)  #: event id -> Kafka timestamp of the decision, ms
    dead: dict[str, str] = field(default_factory=dict)  #: event id -> code of the dead letter
    duplicates: int = 0
    degraded: int = 0  #: decisions for which not all detectors had looked
    versions: Counter[tuple[str, str]] = field(default_factory=Counter)  #: of lists and rules -> decisions
    broker_time: bool = True  #: the broker stamped the decisions when it appended them; else the worker did
    stalled: bool = False  #: given up after ``STALL``

    @property
    def found(self) -> int:
        """Events that have one or the other."""
        return len(self.actions) + len(self.dead.keys() - self.actions.keys())


async def ends(settings: Settings) -> dict[TopicPartition, int]:
    """Where the topics of decisions and dead letters end now: what is there by then is not of this run."""
    async with _consumer(settings.kafka) as consumer:
        topics = (DECISIONS, *(dlq(topic) for topic in INPUTS))
        partitions = [tp for topic in topics for tp in await partitions_of(consumer, settings.named(topic).name)]
        found: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        return found


async def read_back(
    settings: Settings,
    since: dict[TopicPartition, int],
    wanted: Collection[str],
    clock: Clock,
    *,
    check: Callable[[], None] = lambda: None,
    progress: Callable[[int], None] = lambda _: None,
) -> Outcomes:
    """Read until all are there, or none has come for ``STALL``.

    Args:
        wanted: event ids; what else is on the topics is somebody else's.
        check: called between two reads; raises if there is nobody to wait for.
        progress: told how many have been found.
    """
    found, decisions = Outcomes(), settings.named(DECISIONS).name
    async with _consumer(settings.kafka) as consumer:
        consumer.assign(list(since))
        for partition, offset in since.items():
            consumer.seek(partition, offset)
        moved = clock.monotonic()
        while found.found < len(wanted) and not found.stalled:
            check()
            before = found.found
            batches = await consumer.getmany(timeout_ms=READ_TIMEOUT_MS, max_records=READ_RECORDS)
            for partition, records in batches.items():
                (_take_decisions if partition.topic == decisions else _take_dead)(found, records, wanted)
            progress(found.found)
            moved = clock.monotonic() if found.found > before else moved
            found.stalled = clock.monotonic() - moved > STALL
    return found


def _consumer(kafka: Kafka) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(**kafka.options(), enable_auto_commit=False, isolation_level="read_committed")


def _take_decisions(found: Outcomes, records: Iterable[ConsumerRecord], wanted: Collection[str]) -> None:
    for record in records:
        try:
            decided = _decode(record.value or b"")
        except msgspec.MsgspecError as error:
            at = f"{record.topic}/{record.partition}/{record.offset}"
            raise ReadBackError(f"{at}: no decision ({type(error).__name__}); who else writes there?") from None
        key = decided.event_id
        if key not in wanted:
            continue
        if key in found.actions:
            found.duplicates += 1
            continue
        found.actions[key] = decided.action
        found.times[key] = record.timestamp
        found.versions[decided.lists, decided.rules] += 1
        found.degraded += bool(decided.degraded)
        found.broker_time &= record.timestamp_type == _APPEND_TIME


def _take_dead(found: Outcomes, records: Iterable[ConsumerRecord], wanted: Collection[str]) -> None:
    for record in records:
        headers = dict(record.headers)
        key = headers.get("ce_id", b"").decode(errors="replace")
        if key in wanted:
            found.duplicates += key in found.dead
            found.dead[key] = headers.get("dlq.code", b"").decode(errors="replace")
