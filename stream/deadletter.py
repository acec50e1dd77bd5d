"""Records that cannot be used go to ``<topic>.dlq`` as they came, with headers that say why and from where.

Key, value and headers are the original's. Added: ``dlq.reason`` (names the field, never shows a value), ``dlq.code``
(closed set), ``dlq.topic``, ``dlq.partition``, ``dlq.offset``, ``dlq.timestamp``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from aiokafka.structs import ConsumerRecord as Record

from stream.output import MAX_RECORD_BYTES, Headers, Output

#: Bytes of value kept; the rest of a record's room is for its key and headers. Input topics allow 1 MiB a record, so
#: nothing is cut unless someone raised that; then ``dlq.cut_from`` has the original size.
MAX_VALUE_BYTES: Final = MAX_RECORD_BYTES - (256 << 10)
#: Bytes kept of a key, and of all headers that a record came with.
MAX_ASIDE_BYTES: Final = 64 << 10
ENGINE_ERROR: Final = "engine_error"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record and why it cannot be used."""

    record: Record
    code: str
    reason: str


class Packed(NamedTuple):
    """A dead letter as it goes on the wire."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class DeadLetters:
    """The way to the DLQ."""

    def __init__(self, output: Output) -> None:
        self._output = output

    async def send(self, letters: Iterable[DeadLetter]) -> list[asyncio.Future[Any]]:
        """Send; the futures are done when the broker has acknowledged."""
        return [await self._output.send_one(*packed(letter, self._output.partitions)) for letter in letters]


def packed(letter: DeadLetter, partitions: Callable[[str], int]) -> Packed:
    """The letter, to the partition that its record came from.

    Args:
        partitions: how many a topic has.
    """
    record = letter.record
    topic = f"{record.topic}.dlq"
    headers, key, value = [*record.headers, *_headers(letter)], record.key, record.value
    # The broker limits the *compressed* batch: key and headers may be of any size once unpacked.
    if key is not None and len(key) > MAX_ASIDE_BYTES:
        headers.append(("dlq.cut_key_from", b"%d" % len(key)))
        key = key[:MAX_ASIDE_BYTES]
    if (size := sum(len(name) + len(each or b"") for name, each in record.headers)) > MAX_ASIDE_BYTES:
        headers = [*headers[len(record.headers) :], ("dlq.cut_headers_from", b"%d" % size)]
    if value is not None and len(value) > MAX_VALUE_BYTES:
        headers.append(("dlq.cut_from", b"%d" % len(value)))
        value = value[:MAX_VALUE_BYTES]
    elif value is None and key is None:
        value = b""  # Kafka takes no record without key and value
        headers.append(("dlq.was_null", b"true"))
    return Packed(topic, record.partition % partitions(topic), key, value, headers)


def _headers(letter: DeadLetter) -> Headers:
    record = letter.record
    return [
        ("dlq.reason", letter.reason.encode()),
        ("dlq.code", letter.code.encode()),
        ("dlq.topic", record.topic.encode()),
        ("dlq.partition", b"%d" % record.partition),
        ("dlq.offset", b"%d" % record.offset),
        ("dlq.timestamp", b"%d" % (record.timestamp or 0)),
    ]
