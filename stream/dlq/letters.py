"""Dead letters read back, as a stream: what a record on ``<topic>.dlq`` is, and which letters have been re-driven.

    letter   a record that could not be used: its own headers, then ours from ``dlq.reason`` on (stream/deadletter.py)
    note     which letters were re-driven (stream/dlq/redrive.py): a JSON list of their ids, one header ``dlq.note``

Whoever may write to an input topic may give a record any headers. Ours count only where a worker puts them, behind all
others: so nothing that came in can pass for a note, or for a letter of another topic.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, UnsupportedCodecError
from aiokafka.structs import ConsumerRecord as Record
from aiokafka.structs import TopicPartition

from detectors.model.errors import LanjieError
from stream.kafka import Kafka
from stream.refused import explain, refusal

Header = tuple[str, bytes]
Spans = dict[TopicPartition, tuple[int, int]]

NOTE: Final = "dlq.note"
TIMES: Final = "dlq.redriven"  #: how often a record was re-driven; travels with it
SOURCE: Final = "dlq.from"  #: the letter that it was re-driven from
_OURS: Final = ("dlq.reason", "dlq.code", "dlq.topic", "dlq.partition", "dlq.offset", "dlq.timestamp")
_CUT: Final = {"dlq.cut_from": "value", "dlq.cut_key_from": "key", "dlq.cut_headers_from": "headers"}
_NULL: Final = "dlq.was_null"

#: Seconds without a record that must be there. A worker that died in a transaction holds the topic up for 60 s, and the
#: broker looks for such every 10.
STALLED: Final = 90.0
FETCH_BYTES: Final = 4 << 20  # two of the largest letters
FETCH_RECORDS: Final = 2_000
_ids: Final = msgspec.json.Decoder(list[str])


class LettersError(LanjieError):
    """A DLQ topic cannot be read."""


class NoLetter(LanjieError):  # noqa: N818 - says what it is
    """A record that no worker put there."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter.

    Attributes:
        record: as it is on the DLQ topic; key and value are the original's.
        headers: the original's.
        topic: where the original was, with ``partition``, ``offset`` and ``timestamp`` (ms UTC).
        cut: what the original had more of, in words; "" if all is here.
        null: the original had neither key nor value, which no producer of ours can write.
        times: how often it was re-driven before.
    """

    record: Record
    headers: tuple[Header, ...]
    reason: str
    code: str
    topic: str
    partition: int
    offset: int
    timestamp: int
    cut: str
    null: bool
    times: int

    @classmethod
    def of(cls, record: Record) -> Letter:
        """The letter that a record is.

        Raises:
            NoLetter: it is none.
        """
        at = next((i for i in range(len(record.headers) - 1, -1, -1) if record.headers[i][0] == _OURS[0]), -1)
        ours = {name: value or b"" for name, value in record.headers[at:]} if at >= 0 else {}
        try:
            reason, code, topic, *numbers = (ours[name].decode("utf-8", "replace") for name in _OURS)
            partition, offset, timestamp = map(int, numbers)
        except (KeyError, ValueError):
            raise NoLetter(f"{position(record)}: expected the headers {', '.join(_OURS)} at its end") from None
        headers = tuple(record.headers[:at])
        cut = ", ".join(f"{what} of {_number(ours[name]):,} bytes" for name, what in _CUT.items() if name in ours)
        times = _number(dict(headers).get(TIMES))
        return cls(record, headers, reason, code, topic, partition, offset, timestamp, cut, _NULL in ours, times)

    @property
    def id(self) -> str:
        """The record that the letter is of, on the topic of this DLQ: a worker that dies between sending and committing
        makes a second letter of it, which has the same id. A topic made anew counts from 0; the time tells it apart.
        """
        return f"{self.partition}/{self.offset}/{self.timestamp}"


def position(record: Record) -> str:
    """Where a record is."""
    return f"{record.topic}/{record.partition}/{record.offset}"


def is_note(record: Record) -> bool:
    """Whether it says what was re-driven, and is no letter."""
    return len(record.headers) == 1 and record.headers[0][0] == NOTE


def note(letters: Iterable[Letter]) -> tuple[bytes, list[Header]]:
    """Value and headers of the record that says that these were re-driven."""
    return msgspec.json.encode([letter.id for letter in letters]), [(NOTE, b"redriven")]


def _number(text: bytes | None) -> int:
    return int(text) if text and text.isdigit() and len(text) < 20 else 0


class Reader:
    """Reads partitions of DLQ topics, what is committed, without a group; one at a time and in little memory."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._consumer: Any = None

    async def __aenter__(self) -> Self:
        self._consumer = await self._connect("read_committed")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def _connect(self, isolation: str) -> Any:
        consumer = AIOKafkaConsumer(
            **self._kafka.options(),
            isolation_level=isolation,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        try:
            await consumer.start()
        except KafkaError as error:
            await consumer.stop()
            raise LettersError(await explain(self._kafka, error, "read dead letters")) from None
        return consumer

    async def spans(self, partitions: Sequence[TopicPartition], since: int | None = None) -> Spans:
        """Of each the first offset there is, or the first at ``since`` (ms UTC), and the end of what is committed.

        Raises:
            LettersError: nobody answers.
        """
        return await self._spans(self._consumer, partitions, since)

    async def whole(self, partitions: Sequence[TopicPartition], since: int | None = None) -> Spans:
        """The same, but up to the end of the log: who reads that far has waited for the transactions that are open.

        Raises:
            LettersError: nobody answers.
        """
        consumer = await self._connect("read_uncommitted")
        try:
            return await self._spans(consumer, partitions, since)
        finally:
            await consumer.stop()

    async def _spans(self, consumer: Any, partitions: Sequence[TopicPartition], since: int | None) -> Spans:
        try:
            first = await consumer.beginning_offsets(partitions) if partitions else {}
            last = await consumer.end_offsets(partitions) if partitions else {}
            if partitions and since is not None:
                found = await consumer.offsets_for_times(dict.fromkeys(partitions, since))
                first = {p: each.offset if (each := found.get(p)) else last[p] for p in partitions}
        except KafkaError as error:
            raise LettersError(refusal(self._kafka, error, "ask for the offsets of dead letters")) from None
        return {p: (first[p], last[p]) for p in partitions}

    async def read(self, partition: TopicPartition, start: int, end: int) -> AsyncIterator[list[Record]]:
        """The records from ``start`` up to ``end``, some at a time.

        Raises:
            LettersError: they cannot be read, or do not come.
        """
        if start >= end:
            return
        self._consumer.assign([partition])
        self._consumer.seek(partition, start)
        at = start
        while at < end:
            records = await self._more(partition, at, end)
            at = await self._consumer.position(partition)
            if records and records[-1].offset >= end:
                records = [record for record in records if record.offset < end]
            yield records

    async def _more(self, partition: TopicPartition, at: int, end: int) -> list[Record]:
        place = f"{partition.topic}/{partition.partition}/{at}"
        try:
            async with asyncio.timeout(STALLED):
                while True:
                    found = await self._consumer.getmany(partition, timeout_ms=500, max_records=FETCH_RECORDS)
                    if found or await self._consumer.position(partition) > at:
                        return list(found.get(partition, ()))
        except TimeoutError:
            raise LettersError(
                f"{place}: no record within {STALLED:g} s; expected some up to {end:,}: is a transaction open there?"
            ) from None
        except OffsetOutOfRangeError:
            raise LettersError(f"{place}: deleted while it was to be read: try again") from None
        except UnsupportedCodecError as error:
            raise LettersError(
                f"{place}: {error}; expected a codec that this build reads: see LANJIE_COMPRESSION"
            ) from None
        except KafkaError as error:
            raise LettersError(refusal(self._kafka, error, f"read {place}")) from None

    async def redriven(self, partition: TopicPartition, span: tuple[int, int]) -> set[str]:
        """The ids of the letters of a partition that have been re-driven, by its notes.

        In memory they take about 100 bytes each; the letters themselves are passed over.

        Raises:
            LettersError: the partition cannot be read, or a note makes no sense.
        """
        found: set[str] = set()
        async for records in self.read(partition, *span):
            for record in records:
                if is_note(record):
                    try:
                        found.update(_ids.decode(record.value or b""))
                    except msgspec.MsgspecError:
                        raise LettersError(
                            f"{position(record)}: a note that makes no sense; expected a list of ids"
                        ) from None
        return found


def partitions_of(counts: Mapping[str, int]) -> list[TopicPartition]:
    """The partitions of topics, given how many each has."""
    return [TopicPartition(topic, n) for topic, count in counts.items() for n in range(count)]
