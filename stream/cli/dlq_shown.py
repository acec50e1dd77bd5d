"""What `lanjie dlq list` and `show` say: counts by topic and code, single letters, one letter in full."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.structs import ConsumerRecord as Record
from aiokafka.structs import TopicPartition

from stream.clock import iso
from stream.dlq.letters import Letter, LettersError, NoLetter, Reader, is_note, partitions_of, position
from stream.dlq.masking import LEGEND, form, masked, masked_name, masked_value
from stream.settings import Settings
from stream.topics import Topic, dlq
from stream.topics_admin import list_topics

REASON_CHARS: Final = 100
NONE: Final = "-"  #: the code of what is no letter
#: Headers whose values say what kind of record it is, and nothing about a person.
_PLAIN: Final = ("content-type", "ce_specversion", "ce_type")
_KIND: Final = re.compile(r"(?!.*[0-9]{3})[A-Za-z0-9./+-]{1,40}")


@dataclass(slots=True)
class _Group:
    letters: int = 0
    open: int = 0
    oldest: int = 1 << 62
    newest: int = 0
    example: str = ""

    def add(self, time: int, reason: str, *, done: bool) -> None:
        self.letters += 1
        self.open += not done
        self.oldest, self.newest = min(self.oldest, time), max(self.newest, time)
        if not done or not self.example:
            self.example = reason


@dataclass
class Overview:
    """Counts, and the newest ``limit`` letters. Grows with topics and codes, not with letters."""

    limit: int = 0
    _groups: dict[tuple[str, str], _Group] = field(default_factory=dict)
    _newest: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)

    def add(self, record: Record, code: str, reason: str, *, done: bool) -> None:
        """Count a record."""
        topic, where = record.topic.removesuffix(".dlq"), position(record)
        self._groups.setdefault((topic, code), _Group()).add(record.timestamp, reason, done=done)
        if self.limit and (len(self._newest) < self.limit or record.timestamp >= self._newest[0][0]):
            row = {"position": where, "time": iso(record.timestamp), "code": code,
                   "state": "re-driven" if done else "open", "reason": reason}  # fmt: skip
            push = heapq.heappush if len(self._newest) < self.limit else heapq.heapreplace
            push(self._newest, (record.timestamp, where, row))

    def rows(self) -> list[dict[str, Any]]:
        """By topic and code, for JSON."""
        return [
            {"topic": topic, "code": code, "letters": each.letters, "open": each.open, "oldest": iso(each.oldest),
             "newest": iso(each.newest), "example": each.example}
            for (topic, code), each in sorted(self._groups.items())
        ]  # fmt: skip

    def letters(self) -> list[dict[str, Any]]:
        """One by one, the newest last, for JSON."""
        return [row for _, _, row in sorted(self._newest, key=lambda each: each[:2])]


async def overview(
    settings: Settings,
    topics: Sequence[Topic],
    codes: frozenset[str],
    since: int | None,
    *,
    limit: int = 0,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> Overview:
    """Read the DLQs of some topics. A partition is read twice: what was re-driven is noted behind the letters.

    Raises:
        LettersError, TopicsError: Kafka cannot be read or reached.
    """
    found = Overview(limit)
    counts = await list_topics(settings.kafka, [dlq(settings.named(topic)) for topic in topics])
    async with Reader(settings.kafka) as reader:
        spans = await reader.spans(partitions_of(counts), since)
        total, before = sum(end - start for start, end in spans.values()), 0
        for partition, (start, end) in spans.items():
            done = await reader.redriven(partition, (start, end))
            async for records in reader.read(partition, start, end):
                for record in records:
                    _count(found, record, codes, since or 0, done)
                progress(before + (records[-1].offset - start if records else 0), total)
            before += end - start
    return found


def _count(found: Overview, record: Record, codes: frozenset[str], since: int, done: set[str]) -> None:
    if is_note(record) or record.timestamp < since:
        return
    try:
        letter = Letter.of(record)
    except NoLetter as problem:
        if not codes:
            found.add(record, NONE, f"no dead letter: {str(problem).partition(': ')[2]}", done=False)
        return
    if not codes or letter.code in codes:
        found.add(record, letter.code, plain(letter.reason)[:REASON_CHARS], done=letter.id in done)


async def find(settings: Settings, topic: Topic, partition: int, offset: int) -> Record:
    """The record at a position of a DLQ.

    Raises:
        LettersError: there is none.
        TopicsError: Kafka cannot be reached.
    """
    queue = dlq(topic)
    place = TopicPartition(queue.name, partition)
    counts = await list_topics(settings.kafka, [queue])
    if place not in partitions_of(counts):
        raise LettersError(
            f"{queue.name}/{partition}: not there; expected a partition below {counts.get(queue.name, 0)}"
        )
    async with Reader(settings.kafka) as reader:
        start, end = (await reader.spans([place]))[place]
        if start <= offset < end:
            async for records in reader.read(place, offset, end):
                if records and records[0].offset == offset:
                    return records[0]
                if records:
                    break
    raise LettersError(
        f"{queue.name}/{partition}/{offset}: no record; expected an offset from {start:,} on and below {end:,}, that "
        "`lanjie dlq list --limit 20` names"
    )


def page(record: Record) -> Iterator[str]:
    """A letter in full, masked."""
    yield f"{position(record)}, put there {iso(record.timestamp, 'milliseconds')}"
    headers: Iterable[tuple[str, bytes]] = record.headers
    try:
        letter = Letter.of(record)
    except NoLetter as problem:
        yield "a note of what was re-driven" if is_note(record) else str(problem)
    else:
        headers = letter.headers
        yield f"code       {plain(letter.code)}"
        yield f"reason     {plain(letter.reason)}"
        yield f"from       {letter.topic}/{letter.partition}/{letter.offset}, {iso(letter.timestamp, 'milliseconds')}"
        if letter.times:
            yield f"re-driven  {letter.times} times before"
        if letter.cut:
            yield f"cut        the rest of a {letter.cut}"
        if letter.null:
            yield "null       it had neither key nor value"
    for name, value in headers:
        yield f"header     {masked_name(name)}: {_header(name, value)}"
    yield f"key        {masked(record.key) or 'empty'}"
    if record.value is None:
        yield "value      null"
        return
    yield f"value      {len(record.value):,} bytes, {form(record.value)}; {LEGEND}"
    yield from (f"  {line}" for line in masked_value(record.value))


def _header(name: str, value: bytes | None) -> str:
    text = (value or b"").decode("utf-8", "replace")
    return text if name in _PLAIN and _KIND.fullmatch(text) else masked(value)


def plain(text: str) -> str:
    """What a worker wrote about a record, fit for a terminal whoever else wrote it."""
    return "".join(each if each.isprintable() else "." for each in text)
