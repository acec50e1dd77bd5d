"""The one producer of all re-drives of a pipeline, and its transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, OutOfOrderSequenceNumber
from aiokafka.structs import TopicPartition

from stream.dlq.letters import SOURCE, TIMES, Letter, note, position
from stream.settings import Settings

TRANSACTIONAL_ID: Final = "lanjie-redrive"
#: Short: while a transaction is open, readers of what is committed wait at its first record.
TRANSACTION_TIMEOUT_MS: Final = 10_000
MAX_REQUEST_BYTES: Final = 16 << 20  # more than any letter: what a topic takes is for the broker to say
ANSWER_TIMEOUT: Final = 30.0  # seconds for a transaction, of which the broker would take 10
CLOSE_TIMEOUT: Final = 5.0  # seconds


class TooLarge(Exception):  # noqa: N818 - handled by who puts
    """Letters that their topic does not take. ``ids``: theirs."""

    def __init__(self, letters: Sequence[Letter]) -> None:
        super().__init__()
        self.ids = {letter.id for letter in letters}


class Way:
    """The producer that fences all others, and its transactions."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: Any = None

    async def open(self) -> None:
        """Throw out whoever has it; waits until what he committed is committed."""
        await self.close()
        options = self._settings.kafka.producer_options()
        if not options["compression_type"]:  # a large record may have fitted on its topic by being compressed
            options["compression_type"] = "gzip"
        self._producer = AIOKafkaProducer(
            **options,
            transactional_id=self._settings.topic_prefix + TRANSACTIONAL_ID,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_request_size=MAX_REQUEST_BYTES,
        )
        async with asyncio.timeout(ANSWER_TIMEOUT):
            await self._producer.start()

    async def close(self) -> None:
        """Disconnect. What is open is left to who opens it next."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await producer.stop()

    async def put(self, partition: TopicPartition, batch: Sequence[Letter]) -> None:
        """The letters and the note that names them: all or nothing.

        Raises:
            TooLarge: some are; nothing was written, and the way must be opened again: the broker counts what it
                refused as missing.
            KafkaError, TimeoutError: nothing was written, or it was and we got no answer.
        """
        async with asyncio.timeout(ANSWER_TIMEOUT):
            await self._producer.begin_transaction()
            try:
                await self._write(partition, batch)
            except BaseException:
                with suppress(KafkaError, AssertionError, TimeoutError):  # AssertionError: we have been thrown out
                    async with asyncio.timeout(CLOSE_TIMEOUT):
                        await self._producer.abort_transaction()
                raise
            await self._producer.commit_transaction()

    async def _write(self, partition: TopicPartition, batch: Sequence[Letter]) -> None:
        sent = [await self._send(letter) for letter in batch]
        value, headers = note(batch)
        queue, n = partition
        sent.append(await self._producer.send(queue, value, None, partition=n, headers=headers))
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        # Whatever goes to a partition after a refused batch is refused as well, as out of order.
        others = [
            error for error in errors if not isinstance(error, (MessageSizeTooLargeError, OutOfOrderSequenceNumber))
        ]
        pairs = zip(batch, outcomes, strict=False)  # the note is the last outcome
        large = [letter for letter, outcome in pairs if isinstance(outcome, MessageSizeTooLargeError)]
        if large and not others:
            raise TooLarge(large)
        if errors:
            raise (others or errors)[0]

    async def _send(self, letter: Letter) -> asyncio.Future[Any]:
        own = [header for header in letter.headers if header[0] not in (TIMES, SOURCE)]
        headers = [*own, (TIMES, b"%d" % (letter.times + 1)), (SOURCE, position(letter.record).encode())]
        record = letter.record
        sent: asyncio.Future[Any] = await self._producer.send(
            letter.topic, record.value, record.key, partition=letter.partition, headers=headers
        )
        return sent
