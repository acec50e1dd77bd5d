"""`lanjie cards watch`: reads all card events, counts identities and agents, tells the cards.

    telecom.cards.v1, all partitions ──► Register ──► telecom.cards.v1, the partition of the card that is told

1. **Learn.** The events of 30 days back are read. What the committed offsets say is told already is only counted, in
   all partitions before anything new is: an event that is only counted tells nobody, so it must not be the one that
   completes a count.
2. **Tell.** Every count is an event of the phase ``counted``, which the card's worker decides like any other.
3. **Commit** the offsets once the broker has what was told because of them.

After a crash between 2 and 3 the same counts are told again. A count that says the same has the same id, and one that a
worker knows changes nothing, so several may run at once. Cards of different partitions may be seen in another order:
then another card is told of the first of them. What is told last, and so what is known of a card, is the same.
Partitions are taken by hand and not shared among the group, as everything here is about what is in different ones.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from detectors.model.errors import LanjieError
from detectors.simcard import Count, Register
from detectors.simcard.register import IDENTITY_MS
from stream import refused
from stream.cards.metrics import CardMetrics
from stream.clock import Clock
from stream.output import producer
from stream.settings import Settings
from stream.topics import CARDS
from stream.wire import WireError, ce_headers, decode_event, encode_event

log = logging.getLogger(__name__)

POLL_MS: Final = 250  # data that comes ends the wait
READ_RECORDS: Final = 2_000  #: of one read; other tasks have their turn between two


class CardWatchError(LanjieError):
    """Kafka does not let us read or write."""


class CardWatch:
    """One process. Also what it says of itself to who asks for its health."""

    def __init__(self, settings: Settings, *, metrics: CardMetrics, clock: Clock) -> None:
        self._settings, self._metrics, self._clock = settings, metrics, clock
        self._topic = settings.named(CARDS).name
        self._group = f"{settings.topic_prefix}{settings.group}-cards"
        self._register = Register()
        self._told: dict[TopicPartition, int] = {}  # offset before which all is told
        self._ends: dict[TopicPartition, int] = {}  # that have to be reached before we are ready
        self._next: dict[TopicPartition, int] = {}
        self._consumer: Any = None
        self._producer: Any = None
        self.stopping = False
        metrics.watch(
            identities=lambda: self._register.identities, agents=lambda: self._register.agents, lag=lambda: self.lag
        )

    @property
    def lag(self) -> int:
        """Records that are not read yet, as far as we know."""
        if self._consumer is None:
            return 0
        ends = {tp: self._consumer.highwater(tp) or self._ends[tp] for tp in self._next}
        return sum(max(0, ends[tp] - at) for tp, at in self._next.items())

    def sick(self) -> list[str]:
        """What fails ends the process, so there is nothing to tell."""
        return []

    def unready(self) -> list[str]:
        """Reasons to wait."""
        if self.stopping:
            return ["stopping"]
        if not self._ends:
            return ["Kafka has not answered yet"]
        behind = [tp for tp, end in self._ends.items() if self._next.get(tp, 0) < end]
        return [f"what was before is being read: {len(behind)} partitions to go"] if behind else []

    def about(self) -> dict[str, Any]:
        """For the index."""
        return {"name": "lanjie cards watch", "pid": os.getpid(), "group": self._group, "lag": self.lag}

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop.

        Raises:
            CardWatchError: Kafka does not let us; what is not committed comes again.
        """
        kafka, doing = self._settings.kafka, f"count the cards of {self._topic}"
        self._consumer = AIOKafkaConsumer(
            **kafka.options(),
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        self._producer = producer(kafka)
        try:
            await _unless(stop, self._begin(doing))
            while not stop.is_set():
                await self._turn()
        except KafkaError as error:
            raise CardWatchError(await refused.explain(kafka, error, doing)) from None
        finally:
            self.stopping = True
            for client in (self._producer, self._consumer):
                with suppress(asyncio.CancelledError):  # aiokafka lets out that of its own tasks while Kafka is away
                    await client.stop()

    async def _begin(self, doing: str) -> None:
        """Connect, and take all partitions, each from 30 days back."""
        consumer = self._consumer
        for client in (consumer, self._producer):
            await refused.start(client, self._settings.kafka, doing, CardWatchError)
        numbers = await self._producer.partitions_for(self._topic)
        partitions = [TopicPartition(self._topic, number) for number in sorted(numbers)]
        # In this order: another may commit meanwhile what is beyond the ends, and what comes after the ends is read.
        committed = {tp: await consumer.committed(tp) for tp in partitions}
        ends = await consumer.end_offsets(partitions)
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, self._clock.wall_ms() - IDENTITY_MS))
        starts = {tp: at.offset if (at := found[tp]) else ends[tp] for tp in partitions}
        consumer.assign(partitions)  # and at once, before it asks where to begin
        for tp, start in starts.items():
            consumer.seek(tp, start)
        for tp, told in committed.items():
            # An offset beyond the end is of a topic that was deleted since.
            self._told[tp] = told if told is not None and starts[tp] < told <= ends[tp] else starts[tp]
        self._next, self._ends = starts, ends
        log.info("%s: %d records of 30 days to read", self._topic, self.lag)

    async def _turn(self) -> None:
        learning = [tp for tp, at in self._next.items() if at < self._told[tp]]
        batches: Mapping[TopicPartition, Sequence[ConsumerRecord]] = await self._consumer.getmany(
            *learning, timeout_ms=POLL_MS, max_records=READ_RECORDS
        )
        if learning:
            batches = {tp: self._learned(tp, records) for tp, records in batches.items()}
        sent = [await self._send(count) for count in self._counts(batches)]
        await asyncio.gather(*sent)
        self._metrics.told.inc(len(sent))
        await self._move()
        if not learning and any(self._next[tp] > self._told[tp] for tp in batches):
            await self._consumer.commit(self._next)  # all: those of a partition without events would expire
            self._told = dict(self._next)
        self._metrics.ready.set(not self.unready())

    def _learned(self, tp: TopicPartition, records: Sequence[ConsumerRecord]) -> Sequence[ConsumerRecord]:
        """Those that were told; the others are read again once all partitions are as far."""
        if records[-1].offset >= self._told[tp]:
            self._consumer.seek(tp, self._told[tp])
        return [record for record in records if record.offset < self._told[tp]]

    async def _move(self) -> None:
        """Note how far we are: by the consumer, who also knows of records that are nobody's, such as marks of commits.

        Raises:
            CardWatchError: we would take new events for what is told.
        """
        for tp, before in self._next.items():
            self._next[tp] = at = await self._consumer.position(tp)
            if at < before:
                where = f"{tp.topic}/{tp.partition}"
                raise CardWatchError(
                    f"{where}: made anew, its records before {before} are gone; a restart reads what is there"
                )

    def _counts(self, batches: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> list[Count]:
        """What is to be told because of these, in the order in which they were written as far as one can tell."""
        found: list[Count] = []
        read = [(record.timestamp, tp, record.offset, record) for tp, records in batches.items() for record in records]
        self._metrics.events.inc(len(read))
        for _, tp, _, record in sorted(read):
            try:
                event = decode_event(record.value, CARDS.kind)
            except WireError:
                self._metrics.unusable.inc()
                continue
            counts = self._register.see(event, tp.partition)  # type: ignore[arg-type]  # of that kind
            if record.offset >= self._told[tp]:
                found += counts
        return found

    async def _send(self, count: Count) -> asyncio.Future[Any]:
        event = count.event
        sent: asyncio.Future[Any] = await self._producer.send(
            self._topic,
            encode_event(event),
            event.a_number.encode("utf-8", "surrogatepass"),
            partition=count.place,
            headers=ce_headers(event),
        )
        return sent


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do it; give it up when told to stop."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        await working
    else:
        working.cancel()
        await asyncio.wait((working,))
