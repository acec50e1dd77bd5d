"""Dead letters as a worker makes them, on topics of a test, and what comes back of them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.structs import TopicPartition

from stream.deadletter import DeadLetter, packed
from stream.topics import ALL, SMS, dlq
from stream.topics_admin import ensure_topics
from tests.integration.test_list_changes import Cli
from tests.support.topics import Header

#: key, value, headers, partition
Original = tuple[bytes | None, bytes | None, Sequence[Header], int]


class Dlq(Cli):
    """The command line, with topics on which letters can be put. ``sms`` and ``queue``: an input and its DLQ."""

    def __init__(self, bootstrap: str, folder: Path, prefix: str = "") -> None:
        super().__init__(bootstrap, folder, prefix)
        self.bootstrap = bootstrap
        self.sms, self.queue = self.settings.named(SMS).name, self.settings.named(dlq(SMS)).name
        if not prefix:
            asyncio.run(ensure_topics(self.settings.kafka, map(self.settings.named, ALL)))

    def bury(
        self, originals: Iterable[Original], code: str = "engine_error", reason: str = "$: a test", codec: str = "none"
    ) -> list[ConsumerRecord]:
        """Write records on the input, and a letter of each; returns them as they are on the input."""
        return asyncio.run(self._bury(list(originals), code, reason, None if codec == "none" else codec))

    async def _bury(self, originals: list[Original], code: str, reason: str, codec: str | None) -> list[ConsumerRecord]:
        before = await self._ends(self.sms)
        await self._send(self.sms, [(n, key, value, headers) for key, value, headers, n in originals], codec)
        records = [each for each in await self._read(self.sms) if each.offset >= before.get(each.partition, 0)]
        await self._letters([DeadLetter(record, code, reason) for record in records], codec)
        return records

    def letters(self, letters: Iterable[DeadLetter]) -> None:
        """Write letters."""
        asyncio.run(self._letters(list(letters), None))

    async def _letters(self, letters: list[DeadLetter], codec: str | None) -> None:
        wire = [packed(letter, lambda _: 4) for letter in letters]
        await self._send(self.queue, [(w.partition, w.key, w.value, w.headers) for w in wire], codec)

    async def _send(self, topic: str, records: Iterable[Any], codec: str | None) -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, acks="all", max_request_size=4 << 20, compression_type=codec
        ) as out:
            for n, key, value, headers in records:
                await out.send_and_wait(topic, value, key, partition=n, headers=list(headers))

    async def _ends(self, topic: str) -> dict[int, int]:
        async with AIOKafkaConsumer(bootstrap_servers=self.bootstrap, isolation_level="read_committed") as consumer:
            ends = await consumer.end_offsets([TopicPartition(topic, n) for n in range(4)])
            return {partition.partition: end for partition, end in ends.items()}

    def read(self, topic: str) -> list[ConsumerRecord]:
        """What is committed on a topic now, partition by partition."""
        return asyncio.run(self._read(topic))

    async def _read(self, topic: str) -> list[ConsumerRecord]:
        ends, found = dict(sorted((await self._ends(topic)).items())), list[ConsumerRecord]()
        async with AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, isolation_level="read_committed", max_partition_fetch_bytes=8 << 20
        ) as consumer:
            for n, end in ends.items():
                partition = TopicPartition(topic, n)
                consumer.assign([partition])
                consumer.seek(partition, 0)
                async with asyncio.timeout(30):
                    while await consumer.position(partition) < end:
                        found += (await consumer.getmany(partition, timeout_ms=500)).get(partition, ())
        return found

    def came_back(self) -> list[ConsumerRecord]:
        """The re-driven records on the input."""
        return [record for record in self.read(self.sms) if "dlq.redriven" in dict(record.headers)]

    def process(self, before: str, *words: object) -> tuple[int, str, str]:
        """``lanjie dlq redrive`` in a process of its own in which ``before`` is run first: code, stdout, stderr."""
        return asyncio.run(self._process(before, words))

    async def _process(self, before: str, words: Sequence[object]) -> tuple[int, str, str]:
        process = await self.begin(before, *words)
        out, err = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode or 0, out.decode(), err.decode()

    async def begin(self, before: str, *words: object) -> asyncio.subprocess.Process:
        """The same, running; it has our pipes."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", f"{before}\nfrom stream.cli import main\nmain()", "dlq", "redrive", *map(str, words),
            env=self.environ, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip


def bare(record: ConsumerRecord) -> tuple[Any, ...]:
    """What of a record must be the same when it comes back."""
    own = [header for header in record.headers if header[0] not in {"dlq.redriven", "dlq.from"}]
    return record.partition, record.key, record.value, own
