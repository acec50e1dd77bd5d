"""One input topic: its chunks are decoded here, decided, made into records, and counted once these are delivered."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import faust
import msgspec
from aiokafka.structs import ConsumerRecord as Record

from detectors.engine import Seen
from detectors.model.decision import ACTIONS, Action, Decision
from detectors.model.events import Event
from stream.breaker import place
from stream.clock import Clock
from stream.deadletter import ENGINE_ERROR, DeadLetter
from stream.deadlines import Hurry, misses, overruns
from stream.marks import HEADER, Mark
from stream.marks import encode as encode_mark
from stream.metrics import STAGES, Metrics
from stream.output import Headers, Row
from stream.progress import Key
from stream.topics import Topic
from stream.traces import Traces
from stream.wire import ce_decision, decode_events, encode_decision

log = logging.getLogger(__name__)
_replace = msgspec.structs.replace
_NO_HEADERS: Headers = []
_ALLOW = Action.ALLOW.wire


class Decider(Protocol):
    """What of the engine is needed here."""

    def look(self, parts: Sequence[Sequence[Event]], shards: Sequence[int]) -> list[Seen]:
        """At several chunks together, by all who count nothing. ``shards``: of each."""

    def decide_seen(self, seen: Seen, now: int | None = None, *, shard: int = 0) -> list[Decision]:
        """As ``decide``, of what was looked at."""

    def decide(
        self, events: Sequence[Event], now: int | None = None, *, shard: int = 0, lists_only: bool = False
    ) -> list[Decision]:
        """One decision per event, in the same order. ``now``: ms UTC, what the brake goes by."""


@dataclass(slots=True)
class Work:
    """A chunk on its way: ``records``, ``events``, ``decisions`` and ``rows`` run in parallel."""

    desk: Desk
    event: faust.EventT[Any]
    key: Key
    first: int  #: offset of the first record that is decided here
    last: int  #: and of the last
    records: Sequence[Record] = ()
    events: list[Event] = field(default_factory=list)
    seen: Seen | None = None  #: the events, if they were looked at together with others
    decisions: list[Decision] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    lists_only: bool = False
    began: int = 0  #: ms UTC
    looked: float = 0.0  #: seconds, its part of what looking took
    sent: float = 0.0  #: clock.monotonic()
    spent: dict[str, float] = field(default_factory=dict)  #: stage -> seconds

    @property
    def shard(self) -> int:
        """In which it is counted."""
        return self.key[1]


class Desk:
    """Handles the chunks of one input topic."""

    def __init__(
        self,
        topic: Topic,
        *,
        group: str,
        engine: Decider,
        metrics: Metrics,
        clock: Clock,
        traces: Traces,
        deadline: float,
        lists_only_after: float,
        cloudevents: bool = False,
    ) -> None:
        self._topic, self._group = topic, group
        self._engine, self._metrics, self._clock, self._traces = engine, metrics, clock, traces
        self._deadline = deadline
        self._envelope = ce_decision(topic.kind) if cloudevents else None
        self._hurries: defaultdict[int, Hurry] = defaultdict(lambda: Hurry(lists_only_after))
        self._stages = {stage: metrics.stage.labels(stage) for stage in STAGES}
        # There from the start, or the first count is no increase for Prometheus.
        self._events, self._sizes = metrics.events.labels(topic.name), metrics.chunk_size.labels(topic.name)
        self._decisions = {action: metrics.decisions.labels(topic.name, action) for action in ACTIONS}

    def key(self, event: faust.EventT[Any]) -> Key:
        """The partition that a chunk came from."""
        return self._topic.name, event.message.partition

    def open(self, event: faust.EventT[Any], records: Sequence[Record]) -> Work:
        """Decode ``records``, at least one: those of the chunk that are not decided yet."""
        self._events.inc(len(records))
        self._sizes.observe(len(records))
        started, began = self._clock.monotonic(), self._clock.wall_ms()
        work = Work(self, event, self.key(event), records[0].offset, records[-1].offset, began=began)
        work.lists_only = self._hurries[work.shard].at((began - records[0].timestamp) / 1000)
        work.events, errors = decode_events([record.value for record in records], self._topic.kind)
        work.records = [record for i, record in enumerate(records) if i not in errors] if errors else records
        work.letters = [DeadLetter(records[i], error.code, str(error)) for i, error in errors.items()]
        self._observe(work, "decode", self._clock.monotonic() - started)
        return work

    def decide(self, work: Work) -> None:
        """All at once; if that raises, one by one, so that one event does not take its chunk along."""
        if work.events:
            try:
                work.decisions, work.rows = self._judge(work, work.records, work.events, work.seen)
            except Exception:  # noqa: BLE001 - found and reported below, event by event
                self._decide_singly(work)
        if work.rows:  # the first says what chunk it begins
            key, value, headers = work.rows[0]
            mark = Mark(self._group, self._topic.name, work.first, work.last, len(work.rows), work.lists_only)
            work.rows[0] = key, value, [(HEADER, encode_mark(mark)), *headers]
        work.seen = None
        work.sent = self._clock.monotonic()

    def _decide_singly(self, work: Work) -> None:
        records, kept = work.records, list[Record]()
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
                kept.append(record)
        work.records = kept
        if raised:
            self._metrics.engine_errors.inc(len(raised))
            log.error(
                "the engine raised on %d of %d events of a chunk; first: %s", len(raised), len(records), raised[0]
            )

    def _judge(
        self, work: Work, records: Sequence[Record], events: Sequence[Event], seen: Seen | None = None
    ) -> tuple[list[Decision], list[Row]]:
        started, now = self._clock.monotonic(), self._clock.wall_ms()
        decisions = (
            self._engine.decide_seen(seen, now, shard=work.shard)
            if seen
            else self._engine.decide(events, now, shard=work.shard, lists_only=work.lists_only)
        )
        self._observe(work, "decide", self._clock.monotonic() - started + (work.looked if seen else 0.0))
        started, now = self._clock.monotonic(), self._clock.wall_ms()
        rows: list[Row] = [
            (
                decision.subject.encode() or None,
                encode_decision(_replace(decision, latency_us=age * 1000)),
                self._headers(record, decision) if record.headers or self._envelope else _NO_HEADERS,
            )
            for decision, record, age in zip(decisions, records, _ages(records, now), strict=True)
        ]
        self._observe(work, "encode", self._clock.monotonic() - started)
        return decisions, rows

    def _headers(self, record: Record, decision: Decision) -> Headers:
        carried = self._traces.carry(record.headers, decision.event_id) if record.headers else []
        if self._envelope is None:
            return carried
        return [("ce_id", decision.event_id.encode("utf-8", "surrogatepass")), *self._envelope, *carried]

    def _observe(self, work: Work, stage: str, seconds: float) -> None:
        self._stages[stage].observe(seconds)
        work.spent[stage] = work.spent.get(stage, 0.0) + seconds

    def delivered(self, work: Work) -> None:
        """The broker has all of it: count it."""
        self._observe(work, "deliver", self._clock.monotonic() - work.sent)
        metrics, topic = self._metrics, self._topic.name
        waited = sorted(_ages(work.records, self._clock.wall_ms()))
        metrics.end_to_end.observe_ms(topic, waited)
        if late := misses(self._deadline, waited):
            metrics.deadline_misses.labels(topic).inc(late)
        for stage in overruns(self._deadline, work.spent):
            metrics.stage_overruns.labels(stage).inc()
        for code, count in Counter(letter.code for letter in work.letters).items():
            metrics.dead_letters.labels(topic, code).inc(count)
        self._count(work.decisions)
        if self._traces.told:
            end = self._clock.wall_ms()
            for record, decision in zip(work.records, work.decisions, strict=True):
                self._traces.tell(record, decision.event_id, action=decision.action, start_ms=work.began, end_ms=end)

    def _count(self, decisions: Sequence[Decision]) -> None:
        metrics = self._metrics
        # Nearly all pass and have nothing to tell.
        told = [each for each in decisions if each.reasons or each.degraded or each.shadow or each.action != _ALLOW]
        self._decisions[_ALLOW].inc(len(decisions) - len(told))
        for action, count in Counter(each.action for each in told).items():
            self._decisions[action].inc(count)
        for code, count in Counter(reason.code for each in told for reason in each.reasons).items():
            metrics.reasons.labels(code).inc(count)
        for name, count in Counter(name for each in told for name in each.degraded).items():
            metrics.degraded.labels(name).inc(count)
        for action, count in Counter(each.shadow.action for each in told if each.shadow).items():
            metrics.shadow.labels(action).inc(count)


def _ages(records: Sequence[Record], now: int) -> list[int]:
    """Milliseconds since each was on Kafka; none of one whose clock is ahead of ours."""
    ages = [now - record.timestamp for record in records]
    return ages if min(ages, default=0) >= 0 else [max(0, age) for age in ages]
