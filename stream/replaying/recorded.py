"""The events of a time range, from the input topics, in the order in which they were decided.

The decisions of a partition name the chunks that were decided and so in which order those of the three inputs were
taken (``stream.marks``). In that order a replay finds what the workers found. Events that have no decision come by
their record's time, after those that have.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple

from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord as Record
from aiokafka.structs import TopicPartition

from detectors.model.errors import LanjieError
from stream import refused
from stream.marks import Mark
from stream.marks import read as read_mark
from stream.ranges import FETCH_MS, FETCH_TIMEOUT, Ranges, consumer, stopped
from stream.settings import Settings
from stream.topics import DECISIONS, INPUTS
from stream.topics_admin import list_topics

#: Milliseconds before the range from which decisions are read: those of its first events are not before them.
_MARGIN_MS: Final = 60_000
#: Milliseconds by which a record's clock may be ahead, or a record late: so much more is read, and what is not of the
#: range left out.
SLACK_MS: Final = 3_600_000
#: Seconds for the marks of a partition.
_MARKS_WITHIN: Final = 600.0
READING: Final = "read the events of that time"
#: Records that are read at once where no chunk says how many.
_STEP: Final = 500


class RecordedError(LanjieError):
    """The topics cannot be read."""


class Span(NamedTuple):
    """Offsets of an input partition: from ``next`` up to, not including, ``end``."""

    next: int
    end: int


class Recorded(NamedTuple):
    """A time range of the inputs."""

    partitions: int
    parts: list[_Partition]

    async def records(self) -> AsyncIterator[tuple[int, Record]]:
        """Each with its partition number. Each partition in its order of decision; all of them together by time."""
        async for found in _by_time([each.records() for each in self.parts]):
            yield found


async def recorded(settings: Settings, since: int, until: int) -> Recorded:
    """The records of the input topics whose time (ms UTC, as the broker has it) is from ``since`` on and before
    ``until``.

    Raises:
        RecordedError, TopicsError: no broker, or the topics are not there.
    """
    count, client = await _count(settings), consumer(settings.kafka)
    await refused.start(client, settings.kafka, READING, RecordedError)
    try:
        parts = [
            _Partition(settings, number, await _spans(client, settings, number, since, until), since, until)
            for number in range(count)
        ]
        for each in parts:
            await each.start(client, since)
    except (KafkaError, TimeoutError) as error:
        raise RecordedError(await refused.explain(settings.kafka, error, READING)) from None
    finally:
        await stopped(client)
    return Recorded(count, parts)


async def _count(settings: Settings) -> int:
    """Partitions of the inputs.

    Raises:
        TopicsError: no broker.
        RecordedError: they are not there, or have different numbers.
    """
    topics = [settings.named(topic) for topic in (*INPUTS, DECISIONS)]
    counts = await list_topics(settings.kafka, topics)
    if len(counts) < len(topics) or len(set(counts.values())) > 1:
        there = ", ".join(f"{topic.name} {counts.get(topic.name, 'missing')}" for topic in topics)
        raise RecordedError(f"partitions: {there}; expected the same number of all")
    return next(iter(counts.values()))


async def _spans(client: Any, settings: Settings, number: int, since: int, until: int) -> dict[str, Span]:
    """By input topic."""
    at = [TopicPartition(settings.named(topic).name, number) for topic in INPUTS]
    async with asyncio.timeout(FETCH_TIMEOUT):
        ends = await client.end_offsets(at)
        first = await client.offsets_for_times(dict.fromkeys(at, since))
        last = await client.offsets_for_times(dict.fromkeys(at, until + SLACK_MS))
    return {
        each.topic: Span(
            first[each].offset if first[each] else ends[each], last[each].offset if last[each] else ends[each]
        )
        for each in at
    }


class _Partition:
    """One partition number of the inputs."""

    def __init__(self, settings: Settings, number: int, spans: Mapping[str, Span], since: int, until: int) -> None:
        self._settings, self._number, self._spans = settings, number, dict(spans)
        self._since, self._until = since, until
        self._marks: list[Mark] = []

    async def start(self, client: Any, since: int) -> None:
        """Read the marks."""
        at = TopicPartition(self._settings.named(DECISIONS).name, self._number)
        async with asyncio.timeout(FETCH_TIMEOUT):
            end = (await client.end_offsets([at]))[at]
            first = (await client.offsets_for_times({at: max(0, since - _MARGIN_MS)}))[at]
        client.assign([at])
        client.seek(at, first.offset if first else end)
        async with asyncio.timeout(_MARKS_WITHIN):
            while await client.position(at) < end:
                for record in (await client.getmany(timeout_ms=FETCH_MS)).get(at, ()):
                    mark = read_mark(record) if record.headers else None
                    if mark and mark.group == self._settings.group and mark.topic in self._spans:
                        self._marks.append(mark)

    async def records(self) -> AsyncIterator[tuple[int, Record]]:
        """In the order of decision, then the rest."""
        sources = {
            topic: Ranges(self._settings.kafka, TopicPartition(topic, self._number))
            for topic, span in self._spans.items()
            if span.next < span.end
        }
        try:
            for topic, source in sources.items():
                await source.start(self._spans[topic].next)
            for mark in self._marks:
                if mark.topic in sources:
                    for record in await self._take(sources[mark.topic], mark.topic, mark.last):
                        yield self._number, record
            async for record in self._rest(sources):
                yield self._number, record
        finally:
            for source in sources.values():
                await source.stop()

    async def _take(self, source: Ranges, topic: str, last: int) -> list[Record]:
        """What was not taken yet, up to an offset."""
        span = self._spans[topic]
        if (last := min(last, span.end - 1)) < span.next:
            return []
        self._spans[topic] = span._replace(next=last + 1)
        records = await source.take(span.next, last)
        return [record for record in records if self._since <= record.timestamp < self._until]

    async def _rest(self, sources: Mapping[str, Ranges]) -> AsyncIterator[Record]:
        rest: list[AsyncIterator[tuple[int, Record]]] = [self._all(each, topic) for topic, each in sources.items()]
        async for _, record in _by_time(rest):
            yield record

    async def _all(self, source: Ranges, topic: str) -> AsyncIterator[tuple[int, Record]]:
        while self._spans[topic].next < self._spans[topic].end:
            for record in await self._take(source, topic, self._spans[topic].next + _STEP - 1):
                yield self._number, record


async def _by_time(streams: list[AsyncIterator[tuple[int, Record]]]) -> AsyncIterator[tuple[int, Record]]:
    """All of them, each in its own order; among them the one that is the earliest goes on."""
    heads: dict[int, tuple[int, Record]] = {}
    times: dict[int, int] = {}
    for n, stream in enumerate(streams):
        if found := await anext(stream, None):
            heads[n], times[n] = found, found[1].timestamp
    while heads:
        n = min(heads, key=lambda each: (times[each], each))
        yield heads.pop(n)
        if found := await anext(streams[n], None):
            heads[n], times[n] = found, max(times[n], found[1].timestamp)


def line(record: Record) -> bytes | None:
    """The event as a line of a log; None for a tombstone. In JSON a line end is as good as a space."""
    if record.value is None:
        return None
    value: bytes = record.value
    return value.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in value or b"\r" in value else value
