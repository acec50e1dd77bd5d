"""What was counted in a shard, made again from the log: its chunks are decided once more, and nothing is said.

1. **Marks.** The decisions of the shard's partition are read from one window back. Their marks (``stream.marks``) say
   which chunks of the three inputs were decided, in which order, and how many decisions of each are there.
2. **Records.** The chunks are read from the inputs and decided in that order, by an engine of our own. Of a chunk that
   a crash has cut off, as many events as have their decision; the rest is decided by who goes on from there.

So the memory is that of whoever wrote the last decision, and ``decided`` says where to go on, whatever was committed.
With a checkpoint 1 begins there, with the memory that it holds.

What takes longer than it may is left out, the oldest first: a window that is not full finds less, never more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from aiokafka.structs import ConsumerRecord as Record
from aiokafka.structs import TopicPartition

from detectors.engine import Engine
from detectors.model.events import Event
from stream.checkpoint import Checkpoint
from stream.clock import Clock
from stream.kafka import Kafka
from stream.marks import Mark
from stream.marks import read as read_mark
from stream.progress import Key
from stream.ranges import FETCH_MS, FETCH_TIMEOUT, Ranges, consumer, started, stopped
from stream.wire import WireError, decode_event

#: Decisions per second that are surely made again. What the time does not suffice for at this pace is not even read.
RATE: Final = 10_000
#: Records without a decision, one after the other, that may all be dead letters.
DEAD: Final = 10_000
MARGIN_MS: Final = 60_000  # decisions are stamped when they are made; windows count by when events were


@dataclass(slots=True)
class _Span:
    """A chunk of which decisions are on the topic.

    Attributes:
        next: offset of the first event that was not made again.
        count: decisions that it has; less than the mark says once it is known to be cut off.
        seen, made: decisions that are on the topic; and of them, those made again.
        whole: as the mark says. Then the records after its last decision are dead letters.
        counts: whether it left anything in the memory.
    """

    topic: str
    next: int
    last: int
    count: int
    counts: bool
    seen: int = 0
    made: int = 0
    whole: bool = True

    def cut(self) -> None:
        """No more of it will come."""
        self.count, self.whole = self.seen, False


class Gap(Exception):  # noqa: N818 - no error: it is done without the checkpoint
    """The checkpoint lacks what others decided before it was written."""


class Rebuild:
    """Makes one shard's memory: that of shard 0 of ``engine``.

    Args:
        group: whose decisions count.
        decisions: topic.
        kinds: input topic -> kind of its events.
        window_ms: how far back.
        seconds: for all of it, from ``start`` on, or from ``begin``.
        checkpoint: of the shard, to go on from.

    Attributes:
        decided: of the inputs that decisions were found of.
        events: that were decided again.
        skipped: events that there was no time for.
        end: of the decisions that were looked at.
        behind: decisions to read, once it is started.
    """

    def __init__(
        self,
        kafka: Kafka,
        shard: int,
        *,
        group: str,
        decisions: str,
        kinds: Mapping[str, str],
        engine: Engine,
        window_ms: int,
        seconds: float,
        clock: Clock,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._kafka, self._shard, self._group, self._kinds = kafka, shard, group, kinds
        self._decisions = TopicPartition(decisions, shard)
        self._window_ms, self._seconds, self._clock = window_ms, seconds, clock
        self._consumer = consumer(kafka)
        self._inputs: dict[str, Ranges] = {}
        self._spans: deque[_Span] = deque()
        self._seen: set[str] = set()  # inputs of which a mark was read
        self._unmarked: dict[str, tuple[int, int]] = {}  # of which first and last offset without a mark are known
        self._open: _Span | None = None  # what the next decision belongs to
        self.engine = engine
        self.decided: dict[Key, int] = {}
        self.events = self.skipped = self.end = self.behind = 0

    async def start(self) -> None:
        """Connect, and find where to begin.

        Raises:
            KafkaError, TimeoutError: not possible now.
        """
        self.begin()
        await started(self._consumer)
        at = self._decisions
        async with asyncio.timeout(FETCH_TIMEOUT):
            end = (await self._consumer.end_offsets([at]))[at]
            first = await self._first(end)
        self.skipped = max(0, end - int(self._seconds * RATE) - first)
        self.behind = end - first - self.skipped
        self._consumer.assign([at])
        self._consumer.seek(at, first + self.skipped)

    def begin(self) -> None:
        """Its time runs from now on: so far it waited for its turn."""
        self._deadline = self._clock.monotonic() + self._seconds

    async def _first(self, end: int) -> int:
        """The decision to begin with: the first after the checkpoint, or of the window."""
        at, since = self._decisions, self._clock.wall_ms() - self._window_ms - MARGIN_MS
        if self._checkpoint is not None:
            memory, decided, after = self._checkpoint
            if (await self._consumer.beginning_offsets([at]))[at] <= after <= end:
                self.engine.remember(0, memory)
                self.decided = {(topic, self._shard): offset for topic, offset in decided.items()}
                return after
        found = (await self._consumer.offsets_for_times({at: max(0, since)}))[at]
        return found.offset if found else end

    async def stop(self) -> None:
        """Disconnect."""
        for each in self._inputs.values():
            await each.stop()
        await stopped(self._consumer)

    async def advance(self, *, gently: bool = False) -> int:
        """Make again what is on the topic by now. Returns how many events that were.

        Args:
            gently: half of the time is for others.

        Raises:
            KafkaError, TimeoutError: the log cannot be read now.
            Gap: the checkpoint does not fit it.
        """
        await self._read_marks()
        started, before = self._clock.monotonic(), self.events
        left = sum(span.seen - span.made for span in self._spans)
        while self._spans:
            span, began = self._spans[0], self._clock.monotonic()
            missing = span.seen - span.made
            if self._late(began - started, self.events - before, left) and span.whole and missing == span.count:
                self._skip(span)
            else:
                await self._make(span)
            left -= missing
            if span.made < span.count:
                break  # more of it may come
            self._spans.popleft()
            await asyncio.sleep(self._clock.monotonic() - began if gently else 0)
        return self.events - before

    def _late(self, seconds: float, made: int, left: int) -> bool:
        """Whether what is left would take longer than it may, at the pace so far."""
        rest = self._deadline - self._clock.monotonic()
        return rest < 0 or (made > RATE and left * seconds / made > rest)

    async def _read_marks(self) -> None:
        at = self._decisions
        async with asyncio.timeout(FETCH_TIMEOUT + self._seconds):
            self.end = end = (await self._consumer.end_offsets([at]))[at]
            while await self._consumer.position(at) < end:
                for record in (await self._consumer.getmany(timeout_ms=FETCH_MS)).get(at, ()):
                    self._note(record)
        await self._look_at_unmarked()

    def _note(self, record: Record) -> None:
        if record.headers and (mark := read_mark(record)):
            if self._open is not None:
                self._open.cut()
            self._open = None
            if mark.group == self._group and mark.topic in self._kinds:
                self._fit(mark)
                self._open = _Span(mark.topic, mark.first, mark.last, mark.count, not mark.lists_only)
                self._spans.append(self._open)
        if self._open is not None:
            self._open.seen += 1
            if self._open.seen == self._open.count:
                self._open = None

    def _fit(self, mark: Mark) -> None:
        """
        Raises:
            Gap: between the checkpoint and the first mark of an input after it there are more than dead letters.
        """
        if mark.topic not in self._seen:
            known = self.decided.get((mark.topic, self._shard), mark.first)
            if mark.first - known > DEAD:
                raise Gap
            if mark.first > known:
                self._unmarked[mark.topic] = known, mark.first - 1
        self._seen.add(mark.topic)

    async def _look_at_unmarked(self) -> None:
        """A chunk of nothing but dead letters has no decision to carry a mark.

        Raises:
            Gap: it is something else.
        """
        while self._unmarked:
            topic, (first, last) = self._unmarked.popitem()
            for record in await (await self._input(topic, first)).take(first, last):
                try:
                    decode_event(record.value, self._kinds[topic])
                except WireError:
                    continue
                raise Gap

    async def _input(self, topic: str, offset: int) -> Ranges:
        if (source := self._inputs.get(topic)) is None:
            source = Ranges(self._kafka, TopicPartition(topic, self._shard))
            self._inputs[topic] = await source.start(offset)
        return source

    def _skip(self, span: _Span) -> None:
        self.skipped += span.count
        span.made = span.count
        self._goes_on(span, span.last + 1)

    async def _make(self, span: _Span) -> None:
        source = await self._input(span.topic, span.next)
        all_of_it = span.whole and span.seen == span.count
        wanted, at = span.seen - span.made, span.next
        events: list[Event] = []
        for record in await source.take(span.next, span.last):
            if len(events) == wanted and not all_of_it:  # more have no decision yet; else it is one that was refused
                break
            with suppress(WireError):  # it is a dead letter
                events.append(decode_event(record.value, self._kinds[span.topic]))
                at = record.offset + 1
        if span.counts:
            self._decide(events)
        self.events += len(events)
        span.made = span.seen
        self._goes_on(span, span.last + 1 if all_of_it else at)

    def _goes_on(self, span: _Span, offset: int) -> None:
        span.next, key = offset, (span.topic, self._shard)
        # A worker that was only thought dead may have written its decisions after those of who had taken over.
        self.decided[key] = max(offset, self.decided.get(key, 0))

    def _decide(self, events: list[Event]) -> None:
        try:
            self.engine.decide(events)
        except Exception:  # noqa: BLE001 - it was told when it was decided first
            for event in events:
                with suppress(Exception):
                    self.engine.decide([event])
        self.engine.trips.clear()
