"""An open change: the producer that fences all others, and what is written with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerFenced, TopicAuthorizationFailedError

from stream.settings import Settings
from stream.topics import CHANGES, CONTENTS
from stream.updates import chain, contents
from stream.updates.records import CHANGE, Content, Written
from stream.updates.state import State
from stream.updates.tail import Tail, TailError

TRANSACTIONAL_ID: Final = "lanjie-changes"
#: The broker aborts what a writer that died left open after this, and looks for it every 10 s.
TRANSACTION_TIMEOUT_MS: Final = 60_000
READABLE_TIMEOUT: Final = 5.0  # seconds
_LOOK_AGAIN: Final = 0.02  # seconds


class Writer:
    """An open transaction, and the state that nobody else can change while it is open."""

    def __init__(self, producer: Any, settings: Settings, state: State, head: tuple[str, int]) -> None:
        self.state = state
        self._producer, self._settings = producer, settings
        self.link, self.serial = head
        self._sent: list[asyncio.Future[Any]] = []
        self._ends: dict[str, int] = {}  # topic -> offset after the last record that we wrote

    def name(self, topic: str) -> str:
        """The topic as it is called on this cluster."""
        return self._settings.topic_prefix + topic

    async def put(self, data: bytes, *, count: int, serial: str, made: int) -> Content:
        """Upload a blob."""
        digest, parts = await asyncio.to_thread(contents.pack, data)
        topic, offset = self.name(CONTENTS.name), -1
        for n, part in enumerate(parts):
            sent = await self._send(topic, contents.part_key(digest, n), part, [])
            if n == 0:
                offset = (await sent).offset
        return Content(digest, offset, len(parts), len(data), count, serial, made)

    async def write(self, records: Sequence[Written]) -> None:
        """Put records in force, and their copies on the chain."""
        for record in records:
            headers = [(CHANGE, msgspec.json.encode(record.change))]
            await self._send(self.name(record.topic), record.key.encode(), record.value, headers)
        await self.append(records)

    async def append(self, records: Sequence[Written]) -> None:
        """Put records on the chain only."""
        for record in records:
            self.link = chain.link(self.link, record)
            headers = chain.headers(record, self.link)
            await self._send(self.name(CHANGES.name), record.key.encode(), record.value, headers)

    async def _send(
        self, topic: str, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> asyncio.Future[Any]:
        sent: asyncio.Future[Any] = await self._producer.send(topic, value, key, partition=0, headers=headers)
        self._sent.append(sent)
        return sent

    async def settle(self) -> None:
        """Wait until the broker has all that was sent; what one of them raises, this does."""
        for outcome in await asyncio.gather(*self._sent, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
            self._ends[outcome.topic] = max(self._ends.get(outcome.topic, 0), outcome.offset + 1)

    async def until_readable(self) -> None:
        """Wait until all see what was committed. The broker acknowledges a commit before its marker is on every topic:
        who reads a moment later may still not see it.

        After ``READABLE_TIMEOUT`` it is not waited for any more: the change is made, and will be seen.
        """
        if not self._ends:
            return
        with suppress(TimeoutError, TailError):
            async with (
                asyncio.timeout(READABLE_TIMEOUT),
                Tail(self._settings.kafka, dict.fromkeys(self._ends, 0)) as tail,
            ):
                while not _reached(await tail.span(), self._ends):  # noqa: ASYNC110 - the broker does not notify
                    await asyncio.sleep(_LOOK_AGAIN)


def _reached(spans: Mapping[str, tuple[int, int]], ends: Mapping[str, int]) -> bool:
    return all(spans[topic][1] >= end for topic, end in ends.items())


class _KnownOtherwise(logging.Filter):
    """aiokafka leaves futures behind that hold the reason when a producer is fenced or may not write, and asyncio logs
    each as an error. The first is how two changes at the same moment are told apart, the second is told by whoever
    wanted to write.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        known = ProducerFenced, TopicAuthorizationFailedError
        return not (record.exc_info and isinstance(record.exc_info[1], known))


logging.getLogger("asyncio").addFilter(_KnownOtherwise())


@asynccontextmanager
async def fenced(settings: Settings) -> AsyncIterator[Any]:
    """The producer of all changes. Whoever has it is thrown out."""
    producer = AIOKafkaProducer(
        **settings.kafka.producer_options(),
        transactional_id=settings.topic_prefix + TRANSACTIONAL_ID,
        transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
        max_request_size=contents.MAX_REQUEST_BYTES,
    )
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()
