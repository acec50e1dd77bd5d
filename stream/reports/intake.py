"""From the lines of a log or the records of a topic to decisions of a period. What is none is told and counted.

A topic has Kafka's times, a decision has that of its event. So the topic is read from ``SLACK_MS`` before the period
on, up to what was its end at the start, and every decision is looked at.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Final

from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord as Record
from aiokafka.structs import TopicPartition

from detectors.model.decision import ACTIONS, Decision
from detectors.model.events import KINDS, MAX_TIME_MS, MIN_TIME_MS, CardEvent
from stream import refused
from stream.logs import Line
from stream.ranges import FETCH_MS, consumer, stopped
from stream.reports.page import ReportError
from stream.reports.period import Period
from stream.settings import Settings
from stream.topics import Topic
from stream.topics_admin import list_topics
from stream.wire import WireError, decode_decision, decode_event

#: By so much may the clock of a switch be ahead of the broker's: a decision is on Kafka after its event took place.
SLACK_MS: Final = 3_600_000
#: Seconds without a record that must be there: more than a broker takes to end a transaction whose worker died.
STALLED: Final = 90.0
MAX_LATENCY_US: Final = 1 << 53
_NUMBER: Final = re.compile(r"\+?\d(?:[ -]?\d){6,}")


class Intake:
    """Attributes:
    read: lines, blank ones left out.
    refused: those that are no decision (or event), told with their place.
    outside: those before or after the period.
    """

    def __init__(self, period: Period, told: Callable[[str], None]) -> None:
        self._period, self._told = period, told
        self.read = self.refused = self.outside = 0

    def decisions(self, lines: Iterable[Line]) -> Iterator[Decision]:
        """Those of the period, in order, repeats included."""
        for found in self._each(lines, _decision):
            if self._period.has(found.time):
                yield found
            else:
                self.outside += 1

    def reverified(self, lines: Iterable[Line]) -> Iterator[CardEvent]:
        """The cards that were re-verified in the period, of the events in some lines."""
        for found in self._each(lines, decode_event):
            if isinstance(found, CardEvent) and found.phase == "re-verified" and self._period.has(found.time):
                yield found

    def _each(self, lines: Iterable[Line], decode: Callable[[bytes], Any]) -> Iterator[Any]:
        for line in lines:
            self.read += 1
            try:
                found = decode(line.raw)
            except WireError as error:
                self.refused += 1
                self._told(f"{line.where}: {error}")
            else:
                yield found


def _decision(raw: bytes) -> Decision:
    """
    Raises:
        WireError: it is none, or none that we could count.
    """
    found = decode_decision(raw)
    if found.kind not in KINDS:
        raise WireError("invalid_field", f"$.kind: expected {', '.join(KINDS)}")
    if not {found.action, found.shadow.action if found.shadow else found.action} <= ACTIONS.keys():
        raise WireError("invalid_field", f"$.action: expected {', '.join(ACTIONS)}")
    if not MIN_TIME_MS <= found.time < MAX_TIME_MS:
        raise WireError("invalid_field", "$.time: expected milliseconds UTC since 1970, from 2000 to 2100")
    if found.latency_us is not None and abs(found.latency_us) > MAX_LATENCY_US:
        raise WireError("invalid_field", "$.latency_us: expected microseconds")
    return found


def hidden(text: str) -> str:
    """A text without what may be a number of a subscriber: whoever put an entry on a list may have written one."""
    return _NUMBER.sub(lambda found: "#" * len(found[0]), text)


async def lines_of_topic(settings: Settings, topic: Topic, since: int | None) -> AsyncIterator[list[Line]]:
    """What is committed on a topic, partition by partition, some records at a time.

    Raises:
        ReportError, TopicsError: it is not there, or cannot be read.
    """
    kafka, name = settings.kafka, settings.named(topic).name
    counts = await list_topics(kafka, [settings.named(topic)])
    if name not in counts:
        raise ReportError(f"{name}: no such topic at {kafka.bootstrap}; expected one of a pipeline: see --topic-prefix")
    client, doing = consumer(kafka), f"read {name}"
    await refused.start(client, kafka, doing, ReportError)
    try:
        partitions = [TopicPartition(name, n) for n in range(counts[name])]
        ends = await client.end_offsets(partitions)
        for partition, start in (await _starts(client, partitions, ends, since)).items():
            client.assign([partition])
            client.seek(partition, start)
            at = start
            while at < ends[partition]:
                records = await _more(client, partition, at)
                at = await client.position(partition)
                yield [_line(record) for record in records if record.offset < ends[partition]]
    except KafkaError as error:
        raise ReportError(await refused.explain(kafka, error, doing)) from None
    finally:
        await stopped(client)


async def _starts(
    client: Any, partitions: list[TopicPartition], ends: dict[TopicPartition, int], since: int | None
) -> dict[TopicPartition, int]:
    first: dict[TopicPartition, int] = await client.beginning_offsets(partitions)
    if since is None:
        return first
    found = await client.offsets_for_times(dict.fromkeys(partitions, max(0, since - SLACK_MS)))
    return {p: found[p].offset if found.get(p) else ends[p] for p in partitions}


async def _more(client: Any, partition: TopicPartition, at: int) -> list[Record]:
    try:
        async with asyncio.timeout(STALLED):
            while True:
                found = await client.getmany(partition, timeout_ms=FETCH_MS)
                if found or await client.position(partition) > at:
                    return list(found.get(partition, ()))
    except TimeoutError:
        place = f"{partition.topic}/{partition.partition}/{at}"
        raise ReportError(
            f"{place}: no record within {STALLED:g} s; expected some: is a transaction open there?"
        ) from None


def _line(record: Record) -> Line:
    return Line(f"{record.topic}/{record.partition}/{record.offset}", record.value or b"")
