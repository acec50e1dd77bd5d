"""The main job: a chunk of events in, their decisions out, the chunk acked when the broker has both sets of results.

An exception must not leave the agent: Faust would restart it and, on its stock path, commit past the event. What a
record or the engine does wrong becomes a dead letter; what Kafka does wrong stops the worker (stream/output.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import faust
import msgspec
from aiokafka.structs import ConsumerRecord as Record

from detectors.model.decision import ACTIONS, Decision
from detectors.model.events import Event
from stream.breaker import place
from stream.clock import Clock
from stream.deadletter import ENGINE_ERROR, DeadLetter
from stream.deadlines import Hurry, misses, overruns
from stream.marks import HEADER, Mark
from stream.marks import encode as encode_mark
from stream.metrics import STAGES, Metrics
from stream.outbox import Outbox, Outgoing
from stream.output import Headers, Row
from stream.progress import Progress
from stream.topics import Topic
from stream.traces import Traces
from stream.transport import Chunk
from stream.wire import decode_events, encode_decision

log = logging.getLogger(__name__)
_replace = msgspec.structs.replace
_NO_HEADERS: Headers = []


class Decider(Protocol):
    """What of the engine is needed here."""

    def decide(
        self, events: Sequence[Event], now: int | None = None, *, shard: int = 0, lists_only: bool = False
    ) -> list[Decision]:
        """One decision per event, in the same order. ``now``: ms UTC, what the brake goes by."""


@dataclass(slots=True)
class _Work:
    """A chunk on its way: ``records``, ``events``, ``decisions`` and ``rows`` run in parallel."""

    records: list[Record] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    shard: int = 0
    lists_only: bool = False
    began: int = 0  #: ms UTC
    sent: float = 0.0  #: clock.monotonic()
    spent: dict[str, float] = field(default_factory=dict)  #: stage -> seconds


class Interceptor:
    """Handles the chunks of one input topic."""

    def __init__(
        self,
        topic: Topic,
        *,
        group: str,
        engine: Decider,
        outbox: Outbox,
        fail: Callable[[BaseException], None],
        metrics: Metrics,
        clock: Clock,
        progress: Progress,
        traces: Traces,
        deadline: float,
        lists_only_after: float,
    ) -> None:
        self._topic, self._group = topic, group
        self._engine, self._outbox, self._fail = engine, outbox, fail
        self._metrics, self._clock, self._progress, self._traces = metrics, clock, progress, traces
        self._deadline = deadline
        self._hurries: defaultdict[int, Hurry] = defaultdict(lambda: Hurry(lists_only_after))
        self._stages = {stage: metrics.stage.labels(stage) for stage in STAGES}
        metrics.events.labels(topic.name)  # from the start, or the first count is no increase for Prometheus
        for action in ACTIONS:
            metrics.decisions.labels(topic.name, action)

    async def run(self, stream: faust.Stream[Any]) -> None:
        """The Faust agent. What it cannot handle stops the worker before anything is committed past it."""
        async for event in stream.noack().events():
            try:
                await self.handle(event)
            except Exception as error:  # noqa: BLE001 - reported; Faust would lose the chunk
                self._fail(error)

    async def handle(self, event: faust.EventT[Any]) -> None:
        """Decode, decide, encode, send; the ack follows delivery. Between deciding and sending nobody else is let in:
        the order of decisions is that in which they were made.
        """
        await self._progress.gate.wait()
        self._progress.check(self._clock.monotonic())
        chunk, key = cast(Chunk, event.value), (self._topic.name, event.message.partition)
        decided = self._progress.decided.get(key, 0)
        records = chunk.take()
        if chunk.first < decided:
            records = [record for record in records if record.offset >= decided]
        if not records:  # a worker before us decided them, and died before it could commit that
            event.ack()
            return
        self._metrics.events.labels(self._topic.name).inc(len(records))
        self._metrics.chunk_size.labels(self._topic.name).observe(len(records))
        started, began = self._clock.monotonic(), self._clock.wall_ms()
        work = self._decode(records)
        work.began = began
        work.shard = key[1]
        work.lists_only = self._hurries[work.shard].at((self._clock.wall_ms() - records[0].timestamp) / 1000)
        self._observe(work, "decode", started)
        self._decide(work)
        self._progress.decided[key] = chunk.last + 1
        work.sent = self._clock.monotonic()
        self._mark(work, records[0].offset, chunk.last)
        self._progress.undelivered += 1
        delivery = self._outbox.send(Outgoing(*key, chunk.last + 1, work.rows, work.letters))
        delivery.add_done_callback(lambda done: self._delivered(done, event, work))

    def _mark(self, work: _Work, first: int, last: int) -> None:
        """Say on the first decision what chunk it begins."""
        if work.rows:
            key, value, headers = work.rows[0]
            mark = Mark(self._group, self._topic.name, first, last, len(work.rows), work.lists_only)
            work.rows[0] = key, value, [(HEADER, encode_mark(mark)), *headers]

    def _decode(self, records: Sequence[Record]) -> _Work:
        work = _Work()
        work.events, errors = decode_events([record.value for record in records], self._topic.kind)
        work.records = [record for i, record in enumerate(records) if i not in errors]
        work.letters = [DeadLetter(records[i], error.code, str(error)) for i, error in errors.items()]
        return work

    def _decide(self, work: _Work) -> None:
        """All at once; if that raises, one by one, so that one event does not take its chunk along."""
        if not work.events:
            return
        try:
            work.decisions, work.rows = self._judge(work, work.records, work.events)
        except Exception:  # noqa: BLE001 - found and reported below, event by event
            self._decide_singly(work)

    def _decide_singly(self, work: _Work) -> None:
        records, work.records = work.records, []
        raised: list[str] = []
        for record, event in zip(records, work.events, strict=True):
            try:
                decisions, rows = self._judge(work, [record], [event])
            except Exception as error:  # noqa: BLE001 - dead-lettered, counted, logged
                # Type and place only: the text of an unknown exception may quote a number or a message.
                raised.append(f"{type(error).__name__} at {place(error)}")
                work.letters.append(DeadLetter(record, ENGINE_ERROR, f"$: {raised[-1]}"))
            else:
                work.decisions += decisions
                work.rows += rows
                work.records.append(record)
        if raised:
            self._metrics.engine_errors.inc(len(raised))
            log.error(
                "the engine raised on %d of %d events of a chunk; first: %s", len(raised), len(records), raised[0]
            )

    def _judge(
        self, work: _Work, records: Sequence[Record], events: Sequence[Event]
    ) -> tuple[list[Decision], list[Row]]:
        started = self._clock.monotonic()
        decisions = self._engine.decide(events, self._clock.wall_ms(), shard=work.shard, lists_only=work.lists_only)
        self._observe(work, "decide", started)
        started, now = self._clock.monotonic(), self._clock.wall_ms()
        rows: list[Row] = [
            (
                decision.subject.encode() or None,
                encode_decision(_replace(decision, latency_us=age * 1000)),
                self._traces.carry(record.headers, decision.event_id) if record.headers else _NO_HEADERS,
            )
            for decision, record, age in zip(decisions, records, _ages(records, now), strict=True)
        ]
        self._observe(work, "encode", started)
        return decisions, rows

    def _observe(self, work: _Work, stage: str, started: float) -> None:
        seconds = self._clock.monotonic() - started
        self._stages[stage].observe(seconds)
        work.spent[stage] = work.spent.get(stage, 0.0) + seconds

    def _delivered(self, done: asyncio.Future[Any], event: faust.EventT[Any], work: _Work) -> None:
        if done.cancelled() or done.exception():
            return  # Output has reported it; the chunk stays unacked and is redelivered after the restart
        self._progress.undelivered -= 1
        event.ack()
        self._observe(work, "deliver", work.sent)
        metrics, topic = self._metrics, self._topic.name
        waited = [ms / 1000 for ms in _ages(work.records, self._clock.wall_ms())]
        metrics.end_to_end.observe_many(topic, waited)
        if late := misses(self._deadline, waited):
            metrics.deadline_misses.labels(topic).inc(late)
        for stage in overruns(self._deadline, work.spent):
            metrics.stage_overruns.labels(stage).inc()
        for letter, count in Counter(letter.code for letter in work.letters).items():
            metrics.dead_letters.labels(topic, letter).inc(count)
        self._count(work.decisions)
        if self._traces.told:
            end = self._clock.wall_ms()
            for record, decision in zip(work.records, work.decisions, strict=True):
                self._traces.tell(record, decision.event_id, action=decision.action, start_ms=work.began, end_ms=end)

    def _count(self, decisions: Sequence[Decision]) -> None:
        metrics, topic = self._metrics, self._topic.name
        for action, count in Counter([decision.action for decision in decisions]).items():
            metrics.decisions.labels(topic, action).inc(count)
        # Nearly all pass and have nothing to tell.
        for code, count in Counter([r.code for each in decisions if each.reasons for r in each.reasons]).items():
            metrics.reasons.labels(code).inc(count)
        for name, count in Counter([name for each in decisions if each.degraded for name in each.degraded]).items():
            metrics.degraded.labels(name).inc(count)
        for action, count in Counter([each.shadow.action for each in decisions if each.shadow]).items():
            metrics.shadow.labels(action).inc(count)


def _ages(records: Sequence[Record], now: int) -> list[int]:
    """Milliseconds since each was on Kafka; none of one whose clock is ahead of ours."""
    ages = [now - record.timestamp for record in records]
    return ages if min(ages, default=0) >= 0 else [max(0, age) for age in ages]
