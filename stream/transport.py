"""Chunk delivery: Faust's cost per message becomes a cost per fetched chunk.

Of the topics in ``ChunkApp.chunk_topics``, what one fetch brings of one partition travels as ONE message whose value
is a ``Chunk``, in a backlog as some. The rest of Faust's path (fetcher, conductor, stream, ack, commit) stays stock:

    _getmany       packs each partition's records into chunks             (stock: a list of records);
                   leaves out partitions that the app holds
    wait_first     hands a message over at once                           (stock: by four tasks and a turn of the loop)
    _to_message    enters the chunk in its partition's ledger             (stock: one message per record)
    ack            marks that very chunk object                           (stock: an offset in a set)
    _new_offset    takes finished chunks off the ledger's head            (stock: a search for gaps in offsets)

An ack counts by identity: that of a chunk delivered before a seek or a rebalance finds its chunk in no ledger and
changes nothing, so it can never pass for the ack of the redelivery. A chunk that nobody acks holds back the commit
for good, which health reports; it is never passed over.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, Protocol, cast

import faust
from aiokafka import AIOKafkaConsumer
from faust.transport.consumer import RecordMap, ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage, Message
from faust.types.transports import TPorTopicSet, TransportT
from mode.services import WaitResults
from mode.utils.futures import notify

from stream.chunks import Chunk, Ledger
from stream.clock import Clock, SystemClock
from stream.eager import Done, begin

#: Milliseconds that the broker may hold a fetch for want of data. aiokafka has one fetch in flight per broker and
#: leaves out the partitions that it still holds records of; with Faust's hard-coded 1500 a partition that is drained
#: meanwhile waits for as long as the *other* partitions stay silent. Shorter is sooner, in smaller rounds: waits of
#: 10, 8 and 7 ms at 60 % of capacity had (medians of ten runs) p50 24.5, 22.5, 21 and p99 44, 44, 40 ms for 0.84, 0.87,
#: 0.89 of the core, the last with more outliers; with 5 ms some runs fall behind. When idle, 10 ms were 100 requests a
#: second and 8 % of a core, 5 ms 13 %.
FETCH_MAX_WAIT_MS: Final = 8
#: What ends that wait sooner. With aiokafka's single byte every new record is a fetch and a chunk of its own, each of
#: which costs a millisecond: a worker took all of a core at 10,000 events/s (0.96), and takes 0.67 of one now.
FETCH_MIN_BYTES: Final = 256 << 10
#: Of one partition in an answer. In a backlog an answer is full: this keeps it a matter of milliseconds to unpack. As
#: large as a batch of ours (``stream.output``): of a larger one the broker sends nothing before its turn comes first.
FETCH_BYTES: Final = 512 << 10


#: Chunks that wait for a round, from which no more are fetched: what is not cut into chunks yet is decided in larger,
#: cheaper ones. Without this bound a worker did 0.84 of what a bare loop does, with it 0.91 (medians, events waiting).
MAX_WAITING: Final = 2

HELD_WAIT: Final = 0.02  #: seconds between looks whether a partition is let go, if all are held


class Holder(Protocol):
    """Who prepares partitions before anything of them is fetched."""

    def held(self, topic: str, partition: int) -> bool:
        """Whether to wait with this one."""

    def assigned(self, shards: Collection[int]) -> None:
        """Partitions of these numbers are ours now, and no others."""

    async def revoked(self, shards: Collection[int]) -> None:
        """They are not ours any more; what was in flight is done."""


class ChunkConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc,unused-ignore]
    """The driver's consumer thread with a short fetch wait, which reads what is committed."""

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS  # noqa: SLF001 - Faust passes a constant
        consumer._fetch_min_bytes = FETCH_MIN_BYTES  # noqa: SLF001 - the same
        consumer._max_partition_fetch_bytes = FETCH_BYTES  # noqa: SLF001 - the same
        # What was re-driven in a transaction that came to nothing must not be decided.
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - Faust knows it only with its own transactions
        return consumer


class ChunkConsumer(driver.Consumer):  # type: ignore[misc,unused-ignore]
    """Faust's aiokafka consumer with chunk delivery for some topics."""

    app: ChunkApp

    def __init__(self, transport: TransportT, *args: Any, **kwargs: Any) -> None:
        self.ledgers: defaultdict[TP, Ledger] = defaultdict(Ledger)
        self._space = asyncio.Event()
        super().__init__(transport, *args, **kwargs)

    def _new_consumer_thread(self) -> ChunkConsumerThread:
        return ChunkConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # -- delivery

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> RecordMap:
        """Fetch, once there is room. The only limit on what is in memory: queues and agents behind have none."""
        if self._is_full():
            self._space.clear()
            await self.wait_first(self._space.wait(), self.suspend_flow.wait(), timeout=timeout)
            if self._is_full():
                return {}
        holder = self.app.holder
        if active_partitions and holder is not None:
            free = {tp for tp in active_partitions if not holder.held(tp.topic, tp.partition)}
            if len(free) < len(active_partitions):  # aiokafka says nothing of what it has of those let go meanwhile
                timeout = min(timeout, HELD_WAIT)
            active_partitions = free
            if not active_partitions:  # aiokafka takes an empty set for all
                await self.wait_first(self.suspend_flow.wait(), timeout=HELD_WAIT)
                return {}
        fetched = await super()._getmany(active_partitions, timeout)
        return {tp: self._pack(ensure_TP(tp), records) for tp, records in fetched.items()}

    async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:
        """Faust hands over each message by this, with four tasks and a turn of the loop. What needs no waiting, as a
        hand-over needs none, is done without: so all chunks of a fetch are with the agents before these go on.
        """
        first, *others = coros
        if not inspect.iscoroutine(first) or self.should_stop:
            return await super().wait_first(*coros, timeout=timeout)
        begun: Any = None
        try:
            begun = begin(first)
        finally:
            if not inspect.iscoroutine(begun):  # nobody waits for the others
                for other in filter(inspect.iscoroutine, others):
                    other.close()
        if isinstance(begun, Done):
            return WaitResults([first], [begun.result], False)
        return await super().wait_first(begun, *others, timeout=timeout)

    def _is_full(self) -> bool:
        if self.waiting >= MAX_WAITING:
            return True
        return sum(ledger.unacked_records for ledger in self.ledgers.values()) >= self.app.max_fetched

    def _pack(self, tp: TP, records: list[Any]) -> list[Any]:
        if tp.topic not in self.app.chunk_topics:
            return records
        start = self._read_offset[tp]
        if records and start is not None and records[0].offset < start:  # as stock drops what was read before a seek
            records = [record for record in records if record.offset >= start]
        size, born = self.app.max_chunk, self.app.clock.monotonic()
        return [Chunk(records[i : i + size], born, self._space.set) for i in range(0, len(records), size)]

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        if not isinstance(record, Chunk):
            return super()._to_message(tp, record)
        chunk, last, tp = record, record.records[-1], ensure_TP(tp)
        start = self._read_offset[tp]
        if start is None or chunk.last >= start:  # else a seek came in between and the stock loop drops the message
            self.ledgers[tp].add(chunk)
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            chunk.last,
            (last.timestamp or 0) / 1000.0,
            last.timestamp_type,
            {},
            None,
            cast(bytes, chunk),
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    def on_buffer_full(self, tp: TP) -> None:
        """Chunk topics stay active: with no active partition the stock loop sleeps a whole second."""
        if tp.topic not in self.app.chunk_topics:
            super().on_buffer_full(tp)

    # -- acknowledgement and commit

    def ack(self, message: Message) -> bool:
        """Mark the message's own chunk as done."""
        chunk: Any = message.value
        if not isinstance(chunk, Chunk):
            return bool(super().ack(message))
        if message.acked or not message.tracked:  # untracked: Faust skipped it unseen in a rebalance; that is no ack
            return False
        message.acked = True
        chunk.ack()
        self._unacked_messages.discard(message)
        self._space.set()
        notify(self._waiting_for_ack)
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp.topic not in self.app.chunk_topics:
            await super()._add_gap(tp, offset_from, offset_to)

    def _filter_tps_with_pending_acks(self, topics: TPorTopicSet | None = None) -> Iterator[TP]:
        yield from super()._filter_tps_with_pending_acks(topics)
        for tp, ledger in self.ledgers.items():
            if ledger.has_progress and (topics is None or tp in topics or tp.topic in topics):
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self.app.chunk_topics:
            return super()._new_offset(tp)
        return self.ledgers[tp].pop_acked()

    # -- moving the read position. perform_seek() stays stock: Faust calls it at the START of a stop or a rebalance,
    # when work in flight is still to be finished and committed. Should it redeliver, Ledger.add() sees that.

    async def seek(self, partition: TP, offset: int) -> None:
        """Seek one partition."""
        await super().seek(partition, offset)
        self.ledgers[ensure_TP(partition)].clear()

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek, and wait until the position is known."""
        await super().seek_wait(partitions)
        for tp in partitions:
            self.ledgers[ensure_TP(tp)].clear()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget the revoked partitions, but only after super(), which waits for work in flight and commits it."""
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            if ledger := self.ledgers.pop(tp, None):
                ledger.clear()
        if self.app.holder is not None:
            await self.app.holder.revoked(self._numbers(revoked))

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Tell the holder first: nothing is fetched before it lets go."""
        if self.app.holder is not None:
            self.app.holder.assigned(self._numbers(assigned))
        await super().on_partitions_assigned(assigned, generation_id)

    # Stock lets this thread's code resolve a future of the consumer's loop, which does not wake that loop: with nothing
    # being fetched, as before the first assignment, it would not notice.

    async def threadsafe_partitions_revoked(
        self,
        receiver_loop: asyncio.AbstractEventLoop,  # noqa: ARG002 - Faust's signature
        revoked: set[TP],
    ) -> None:
        """Called in the consumer's thread."""
        work = asyncio.run_coroutine_threadsafe(self.on_partitions_revoked(revoked), self.loop)
        await asyncio.wrap_future(work)

    async def threadsafe_partitions_assigned(
        self,
        receiver_loop: asyncio.AbstractEventLoop,  # noqa: ARG002 - Faust's signature
        assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        """Called in the consumer's thread."""
        work = asyncio.run_coroutine_threadsafe(self.on_partitions_assigned(assigned, generation_id), self.loop)
        await asyncio.wrap_future(work)

    def _numbers(self, partitions: Iterable[TP]) -> set[int]:
        return {tp.partition for tp in partitions if tp.topic in self.app.chunk_topics}

    # -- what health and metrics ask

    @property
    def connected(self) -> bool:
        """Whether the consumer's thread has its client, before which there is no assignment to ask for."""
        return self._thread._consumer is not None  # noqa: SLF001 - tests/contract/test_faust_seam.py

    @property
    def coordinated(self) -> bool:
        """Whether Kafka answers for our group, as far as is known: a heartbeat, every 2 s, tells."""
        client: Any = self._thread._consumer  # noqa: SLF001 - tests/contract/test_faust_seam.py
        return client._coordinator.coordinator_id is not None  # noqa: SLF001 - the same

    @property
    def in_flight(self) -> int:
        """Chunks delivered and not yet acknowledged."""
        return sum(ledger.unacked for ledger in self.ledgers.values())

    @property
    def waiting(self) -> int:
        """Chunks delivered that no round has taken yet."""
        return sum(ledger.waiting for ledger in self.ledgers.values())

    @property
    def part(self) -> float:
        """Our part of the partitions of the chunk topics: of the traffic, as far as it is spread evenly."""
        client: Any = self._thread._consumer  # noqa: SLF001 - tests/contract/test_faust_seam.py
        counts = [len(client.partitions_for_topic(topic) or ()) for topic in self.app.chunk_topics]
        return len(self.assignment()) / (sum(counts) or 1)

    def oldest_age(self, now: float) -> float:
        """Seconds since the delivery of the oldest chunk that is not committed; 0 without one."""
        heads = [head.born for ledger in self.ledgers.values() if (head := ledger.oldest)]
        return max(0.0, now - min(heads)) if heads else 0.0

    def lag(self) -> dict[tuple[str, int], int]:
        """Records behind the end of each assigned partition, counted from the committed offset."""
        found: dict[tuple[str, int], int] = {}
        for tp in self.assignment():
            end, position = self.highwater(tp), self._committed_offset[tp]
            if position is None:
                head = self.ledgers[tp].oldest
                position = head.first if head else self._read_offset[tp]
            if end is not None and position is not None:
                found[tp.topic, tp.partition] = max(0, end - position)
        return found


class ChunkTransport(driver.Transport):  # type: ignore[misc,unused-ignore]
    """The aiokafka transport with our consumer."""

    Consumer = ChunkConsumer


class ChunkSchema(faust.Schema):  # type: ignore[type-arg]
    """Hands the chunk through: nothing to decode per message."""

    def loads_key(self, *_: Any, **__: Any) -> Any:
        """Chunks have no key."""
        return None

    def loads_value(self, app: Any, message: Message, **_: Any) -> Any:  # noqa: ARG002 - Faust's signature
        """The chunk itself."""
        return message.value


class ChunkApp(faust.App):
    """A Faust app that delivers ``chunk_topics`` in chunks.

    Args:
        max_chunk: records of a chunk.
        max_records: in memory, fetched and not yet acknowledged.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - Faust's own name for it
        *,
        chunk_topics: Iterable[str],
        max_chunk: int,
        max_records: int,
        clock: Clock | None = None,
        holder: Holder | None = None,
        **conf: Any,
    ) -> None:
        self.chunk_topics = frozenset(chunk_topics)
        self.max_chunk = max_chunk
        # A fetch is taken whole, or aiokafka would ask for no more while it holds the rest. With what was there before
        # it is no more than all.
        self.max_fetched = max(1, max_records // 2)
        self.clock: Clock = clock or SystemClock()
        self.holder = holder
        super().__init__(id, broker_max_poll_records=self.max_fetched, **conf)

    def _new_transport(self) -> TransportT:
        return ChunkTransport(self.conf.broker_consumer, self)
