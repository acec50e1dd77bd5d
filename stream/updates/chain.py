"""``changes.v1``: a copy of every record ever written to the two topics, in order, each linked to the one before by a
hash. Whoever alters, drops or inserts one breaks all links after it; whoever knows an old head can prove it.

    link = SHA-256(previous link, topic, key, SHA-256 of the value, header ``change``)

Headers of a copy: ``topic`` (without prefix), ``change``, ``link``. What waits for a second person's signature is here
too, under the topic ``proposals``, and nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec
from aiokafka.structs import ConsumerRecord as Record

from stream.kafka import Kafka
from stream.updates.records import CHANGE, RecordError, Written, decode_change
from stream.updates.tail import Tail

GENESIS: Final = ""  #: the link before the first
TOPIC, LINK = "topic", "link"
PROPOSALS: Final = "proposals"
_HEAD_STEP: Final = 64  # records from the end in which a head is looked for first


class Link(NamedTuple):
    """A record of the chain."""

    written: Written
    link: str
    timestamp: int  #: ms UTC, as the broker has it
    offset: int


class Broken(NamedTuple):
    """Where the chain is broken, and how."""

    offset: int
    problem: str


def link(previous: str, written: Written) -> str:
    """The hash of a record and of all before it."""
    value = "" if written.value is None else hashlib.sha256(written.value).hexdigest()
    change = msgspec.json.encode(written.change).decode()
    said = msgspec.json.encode([previous, written.topic, written.key, value, change])
    return hashlib.sha256(said).hexdigest()


def headers(written: Written, hashed: str) -> list[tuple[str, bytes]]:
    """Of the copy."""
    change = msgspec.json.encode(written.change)
    return [(TOPIC, written.topic.encode()), (CHANGE, change), (LINK, hashed.encode())]


def parse(record: Record) -> Link:
    """A record of ``changes.v1``.

    Raises:
        RecordError: it is none.
    """
    named = dict(record.headers)
    change = decode_change(named.get(CHANGE))
    topic, hashed = named.get(TOPIC, b"").decode("utf-8", "replace"), named.get(LINK, b"").decode("ascii", "replace")
    key = (record.key or b"").decode("utf-8", "replace")
    return Link(Written(topic, key, record.value, change), hashed, record.timestamp, record.offset)


def verify(records: Iterable[Record]) -> Iterator[Link | Broken]:
    """The links in order; where one is not what it should be, that, and on from there."""
    previous = GENESIS
    for record in records:
        try:
            found = parse(record)
        except RecordError as error:
            yield Broken(record.offset, str(error))
            continue
        if found.link != link(previous, found.written):
            yield Broken(record.offset, "its link does not follow from the record before it: altered, or one is gone")
        yield found
        previous = found.link


async def read_all(kafka: Kafka, topic: str) -> list[Record]:
    """The whole topic.

    Raises:
        TailError: it cannot be read.
    """
    async with Tail(kafka, {topic: 0}) as tail:
        return await tail.to_end()


async def genesis(kafka: Kafka, topic: str) -> str:
    """The first link, which tells one history from another; ``GENESIS`` of an empty chain.

    Raises:
        TailError: the topic cannot be read.
    """
    async with Tail(kafka, {topic: 0}) as tail:
        _, end = (await tail.span())[topic]
        while end and (await tail.positions())[topic] < end:
            if found := _links(await tail.more(1.0)):
                return found[0].link
    return GENESIS


def _links(records: Iterable[Record]) -> list[Link]:
    """Those that are links. What somebody else put between them stops nobody; ``verify`` tells of it."""
    found = []
    for record in records:
        try:
            found.append(parse(record))
        except RecordError:
            continue
    return found


async def has(kafka: Kafka, topic: str, link: str) -> bool:
    """Whether a link is in the chain.

    Raises:
        TailError: the topic cannot be read.
    """
    return any(each.link == link for each in _links(await read_all(kafka, topic)))


async def head(kafka: Kafka, topic: str) -> tuple[str, int]:
    """The last link and the serial of the last change; ``GENESIS`` and 0 of an empty chain.

    Raises:
        TailError: the topic cannot be read.
    """
    async with Tail(kafka, {topic: 0}) as tail:
        first, end = (await tail.span())[topic]
    step = _HEAD_STEP
    while end > first:  # what is at the very end may be markers of transactions, which are no records
        async with Tail(kafka, {topic: max(first, end - step)}) as tail:
            if found := _links(await tail.to_end()):
                return found[-1].link, found[-1].written.change.serial
        if end - step <= first:
            break
        step *= 16
    return GENESIS, 0
