"""Dead letters back to where they came from, each exactly once.

1. **Fence.** All re-drives of a pipeline share one transactional id: whoever is in the middle of one is thrown out, and
   what it left open is aborted.
2. **Notes.** A DLQ partition is read to its end for the notes on it: they say which letters were re-driven. Nobody
   can add one now without throwing us out.
3. **Choose.** It is read again up to where it ended at the start: what the filters take, no note names, and is no
   second letter of the same record. What is dead-lettered again meanwhile waits for the next run.
4. **Write** up to 500 letters on the partitions that they came from, in the order of the DLQ, and on the DLQ partition
   the note that names them, in one transaction. Then the next ones.

| what happens | in | outcome |
|---|---|---|
| kill -9 | 1 to 3 | nothing was written |
| kill -9 | 4, before the commit | neither records nor note: aborted by the next run, or within 20 s by the broker |
| kill -9, or no answer | 4, after the commit was sent | both or neither; the next run waits for it in 1, sees it in 2 |
| a second run | any | the first one is thrown out (it says so); what it had committed has its notes |
| the topic does not take a letter (size) | 4 | aborted, from 1 without that letter, which is told |

"Once" is for readers of what is committed; others may see records of an aborted transaction.

Why notes, and why there: filters leave letters behind, which no committed offset can say, and offsets of a group that
has no members expire (7 days) before letters do (14). A note stands behind its letters in the same log, from which
retention takes the front first: it is there as long as they are.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced
from aiokafka.structs import ConsumerRecord as Record
from aiokafka.structs import TopicPartition

from detectors.model.errors import LanjieError
from stream.clock import Clock
from stream.dlq.letters import Letter, NoLetter, Reader, is_note, partitions_of, position
from stream.dlq.way import TRANSACTION_TIMEOUT_MS, TooLarge, Way
from stream.refused import refusal
from stream.settings import Settings
from stream.topics import INPUTS, Topic, dlq
from stream.topics_admin import list_topics

BATCH: Final = 500  # letters in a transaction
BATCH_BYTES: Final = 1 << 20  # of key and value, or one letter
MAX_TIMES: Final = 3  #: a letter that came back so often comes back again
_THROWN_OUT: Final = (ProducerFenced, InvalidProducerEpoch)

REDRIVEN, BEFORE, COPY, REFUSED = "re-driven", "before", "copies", "refused"
Report = Counter[tuple[str, str, str]]  #: topic, code, one of these four


class RedriveError(LanjieError):
    """It stopped. What was re-driven until then has its notes: a second run goes on from there."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which letters. Times: ms UTC, of when they were put on the DLQ.

    Attributes:
        topics: inputs; letters of changes are signed, and made again by their author.
        codes: empty for all.
        limit: letters re-driven at most.
        rate: letters a second at most.
        force: also those that were re-driven three times.
    """

    topics: Sequence[Topic] = INPUTS
    codes: frozenset[str] = frozenset()
    since: int | None = None
    until: int | None = None
    limit: int | None = None
    rate: float | None = None
    force: bool = False

    def timely(self, time: int) -> bool:
        """Whether a letter of that time is taken."""
        return (self.since is None or time >= self.since) and (self.until is None or time < self.until)

    @property
    def batch(self) -> int:
        """Letters in a transaction: no more than a second of them."""
        return BATCH if self.rate is None else max(1, min(BATCH, int(self.rate)))


class Redrive:
    """One run.

    Args:
        told: hears why a letter cannot be re-driven.
        progress: hears how many records of how many have been read.
    """

    def __init__(
        self,
        settings: Settings,
        choice: Choice,
        *,
        clock: Clock,
        told: Callable[[str], None],
        progress: Callable[[int, int], None] = lambda _, __: None,
        dry_run: bool = False,
    ) -> None:
        self._settings, self._choice, self._clock, self._told = settings, choice, clock, told
        self._progress, self._dry_run = progress, dry_run
        self.report: Report = Counter()
        self._left: float = float("inf") if choice.limit is None else choice.limit
        self._counts: dict[str, int] = {}  # topic -> partitions
        self._noted: set[str] = set()  # ids of the partition that is being read
        self._taken: set[str] = set()  # of those not noted, the ones that had their turn in this run
        self._way = Way(settings)
        self._read = self._total = 0  # records, of the partitions before this one and of all

    async def run(self) -> Report:
        """Do it.

        Raises:
            RedriveError: Kafka does not do it, or another run has taken over.
            LettersError, TopicsError: Kafka cannot be read or reached.
        """
        inputs = [self._settings.named(topic) for topic in self._choice.topics]
        self._counts = await list_topics(self._settings.kafka, [*inputs, *map(dlq, inputs)])
        queues = {queue.name: self._counts.get(queue.name, 0) for queue in map(dlq, inputs)}
        try:
            if not self._dry_run:
                await self._way.open()
            async with Reader(self._settings.kafka) as reader:
                spans = await reader.whole(partitions_of(queues), self._choice.since)
                self._total = sum(end - start for start, end in spans.values())
                for partition, span in spans.items():
                    await self._partition(reader, partition, span)
                    self._read += span[1] - span[0]
                    if not self._left:
                        break
        except _THROWN_OUT:
            raise RedriveError(
                "another redrive has begun and taken over, or the broker gave up a transaction of this one after "
                f"{TRANSACTION_TIMEOUT_MS / 1000:g} s; what was done is noted: run it again for the rest"
            ) from None
        except (KafkaError, TimeoutError) as error:
            said = refusal(self._settings.kafka, error, "put letters back")
            raise RedriveError(f"{said}; what was done is noted: run it again for the rest") from None
        finally:
            await self._way.close()
        return self.report

    async def _partition(self, reader: Reader, partition: TopicPartition, span: tuple[int, int]) -> None:
        self._noted, self._taken = await self._notes(partition), set()
        batch: list[Letter] = []
        size = 0
        async for records in reader.read(partition, *span):
            for record in records:
                if letter := self._chosen(record):
                    batch.append(letter)
                    size += len(record.key or b"") + len(record.value or b"")
                if batch and (len(batch) >= min(self._choice.batch, self._left) or size >= BATCH_BYTES):
                    await self._drive(partition, batch)
                    batch, size = [], 0
                if not self._left:
                    return
            if records:
                self._progress(self._read + records[-1].offset + 1 - span[0], self._total)
        await self._drive(partition, batch)

    async def _notes(self, partition: TopicPartition) -> set[str]:
        """From the first, whatever the filters say: a note on one letter is one on all that have its id."""
        async with Reader(self._settings.kafka) as reader:
            spans = await reader.whole([partition])
            return await reader.redriven(partition, spans[partition])

    def _chosen(self, record: Record) -> Letter | None:
        """The letter, if it has its turn now; all others are counted."""
        if is_note(record) or not self._choice.timely(record.timestamp):
            return None
        try:
            letter = Letter.of(record)
        except NoLetter as problem:
            if not self._choice.codes:
                self._refuse(record.topic.removesuffix(".dlq"), "-", str(problem))
            return None
        if self._choice.codes and letter.code not in self._choice.codes:
            return None
        if letter.id in self._noted or letter.id in self._taken:
            self._count(letter, BEFORE if letter.id in self._noted else COPY)
            return None
        if why := self._obstacle(letter):
            self._refuse(letter.topic, letter.code, f"{position(record)}: {why}")
            return None
        self._taken.add(letter.id)
        return letter

    def _obstacle(self, letter: Letter) -> str:
        """Why it cannot be put back as it was; "" if it can."""
        here, source = letter.record.topic, f"{letter.topic}/{letter.partition}/{letter.offset}"
        if here != f"{letter.topic}.dlq":
            return f"came from {letter.topic}; expected {here.removesuffix('.dlq')}, whose dead letters are here"
        if letter.cut:
            return f"cut, the rest of a {letter.cut}; expected all: read {source} while it is kept, or have it resent"
        if letter.null:
            return "had neither key nor value, which our producer cannot write; there is nothing in it to decide"
        if not letter.partition < self._counts.get(letter.topic, 0):
            return f"came from {source}; expected a partition below {self._counts.get(letter.topic, 0)}"
        if letter.times >= MAX_TIMES and not self._choice.force:
            return (
                f"was re-driven {letter.times} times and came back; see `lanjie dlq show`, then --force if it is mended"
            )
        return ""

    async def _drive(self, partition: TopicPartition, batch: list[Letter]) -> None:
        """Put a batch back; what the topic does not take is told, and the rest tried again."""
        started = self._clock.monotonic()
        while batch:
            try:
                if not self._dry_run:
                    await self._way.put(partition, batch)
                break
            except TooLarge as large:
                await self._way.open()
                self._noted = await self._notes(partition)  # another run may have come in between
                batch = [letter for letter in batch if not self._settled(letter, large.ids)]
        self._left -= len(batch)
        for letter in batch:
            self._count(letter, REDRIVEN)
        if self._choice.rate is not None and not self._dry_run:
            await asyncio.sleep(max(0.0, started + len(batch) / self._choice.rate - self._clock.monotonic()))

    def _settled(self, letter: Letter, too_large: Container[str]) -> bool:
        if letter.id in too_large:
            why = f"{letter.topic} takes no record of this size; expected one within its max.message.bytes"
            self._refuse(letter.topic, letter.code, f"{position(letter.record)}: {why}")
        elif letter.id in self._noted:
            self._count(letter, BEFORE)
        else:
            return False
        return True

    def _count(self, letter: Letter, what: str) -> None:
        self.report[letter.topic, letter.code, what] += 1

    def _refuse(self, topic: str, code: str, why: str) -> None:
        self.report[topic, code, REFUSED] += 1
        self._told(why)
