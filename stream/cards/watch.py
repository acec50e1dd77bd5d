"""`lanjie cards watch`: reads all card events, counts identities and agents, tells the cards.

    telecom.cards.v1, all partitions ──► Register ──► telecom.cards.v1, the partition of the card that is told

1. **Learn.** The events of 30 days back are read. What the committed offsets say is told already is only counted.
2. **Tell.** Every count is an event of the phase ``counted``, which the card's worker decides like any other.
3. **Commit** the offsets once the broker has what was told because of them.

After a crash between 2 and 3 the same counts are told again, with the same ids: a worker counts nothing twice, and a
count that it knows changes nothing. So several may run at once; each tells the same. Partitions are taken by hand and
not shared among the group, as everything here is about what is in different ones.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
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
        started: list[Any] = []
        try:
            for client in (self._consumer, self._producer):
                await refused.start(client, kafka, doing, CardWatchError)
                started.append(client)
            await self._begin()
            while not stop.is_set():
                await self._turn()
        except KafkaError as error:
            raise CardWatchError(await refused.explain(kafka, error, doing)) from None
        finally:
            self.stopping = True
            for client in reversed(started):
                await client.stop()

    async def _begin(self) -> None:
        """Take all partitions, each from 30 days back."""
        consumer = self._consumer
        numbers = consumer.partitions_for_topic(self._topic) or await self._producer.partitions_for(self._topic)
        partitions = [TopicPartition(self._topic, number) for number in sorted(numbers)]
        consumer.assign(partitions)
        since = self._clock.wall_ms() - IDENTITY_MS
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, since))
        ends = await consumer.end_offsets(partitions)
        for tp in partitions:
            start = found[tp].offset if found.get(tp) else ends[tp]
            committed = await consumer.committed(tp)
            consumer.seek(tp, start)
            self._next[tp] = start
            # An offset beyond the end is of a topic that was deleted since.
            self._told[tp] = committed if committed is not None and start < committed <= ends[tp] else start
        self._ends = ends
        log.info("%s: %d records of 30 days to read", self._topic, self.lag)

    async def _turn(self) -> None:
        batches: Mapping[TopicPartition, Sequence[ConsumerRecord]] = await self._consumer.getmany(
            timeout_ms=POLL_MS, max_records=READ_RECORDS
        )
        counts = [count for tp, records in batches.items() for count in self._counts(tp, records)]
        sent = [await self._send(count) for count in counts]
        await asyncio.gather(*sent)
        self._metrics.told.inc(len(sent))
        for tp in self._next:  # by the consumer, who also knows of records that are nobody's, such as marks of commits
            self._next[tp] = await self._consumer.position(tp)
        due = {tp: self._next[tp] for tp in batches if self._next[tp] > self._told[tp]}
        if due:
            await self._consumer.commit(due)
            self._told.update(due)
        self._metrics.ready.set(not self.unready())

    def _counts(self, tp: TopicPartition, records: Sequence[ConsumerRecord]) -> list[Count]:
        """What is to be told because of these."""
        found: list[Count] = []
        self._metrics.events.inc(len(records))
        for record in records:
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
