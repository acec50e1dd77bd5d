"""Events to decisions: the one engine behind the worker, replay, back-tests and the HTTP API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from detectors.behaviour import VictimWatch
from detectors.brake import Trip
from detectors.contract import LISTS_ONLY, Batch, Detector, NearMiss, ShowsNearMisses
from detectors.guard import Guard, Patience, look
from detectors.judge import Judge
from detectors.model.decision import Action, Decision, Evidence
from detectors.model.errors import RuleError
from detectors.model.events import KIND_OF, Event
from detectors.registry import Memory, build_detectors
from detectors.segments import Whole
from detectors.snapshot import Snapshot

__all__ = ["Engine", "Examination", "Seen", "Snapshot"]

_ALLOW = Action.ALLOW.wire
_NOBODY = VictimWatch(max_callees=1)  # in a hurry no victims are remembered, and none are asked for


class Examination(NamedTuple):
    """A decision with all that led to it, for explanations. ``shadow``: what is on trial and did not act."""

    decision: Decision
    evidence: tuple[Evidence, ...]
    protected: bool
    near: tuple[NearMiss, ...]
    shadow: tuple[Evidence, ...] = ()


class Seen(NamedTuple):
    """Events that all have looked at who count nothing, by that snapshot. ``batch`` has the texts by which they are
    judged.
    """

    batch: Batch
    snapshot: Snapshot


class Engine:
    """Decides batches of events. Deterministic: only the events, their order and the snapshots matter,
    not the sizes of the batches; but for the events of a batch in which the brake trips: they were looked at before.
    One engine serves one thread. With a ``market``, decisions carry what to answer there.

    What is counted is kept by shard, and no shard knows of another: a worker has one for each partition number, so what
    is decided about an event does not depend on which partitions its worker has besides.

    Args:
        max_callers: in the windows of one shard.
        part: of all the traffic that this engine sees; the brake keeps to this part of each cap.
        guard: keeps what a detector raises from the other events; without one it is raised here.
        on_fault: kind (``call``, ``sms``, ``card``) -> the least action for an event that a fault kept from being
            looked at in full; none for kinds that are not there.
        capped: whether rules and feeds are held to their caps. What was stopped live is in the stages that followed.

    Raises:
        RuleError: the rule pack has no such market.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        max_callers: int = 1_000_000,
        market: str | None = None,
        part: float = 1.0,
        guard: Guard | None = None,
        on_fault: Mapping[str, Action] | None = None,
        capped: bool = True,
    ) -> None:
        self._max_callers = max_callers
        self._window = snapshot.rules.window_seconds
        self._shards: dict[int, _Shard] = {}
        self._guard = guard
        self._capped = capped
        self._judge = Judge(snapshot, market=market, part=part, guard=guard, on_fault=on_fault, capped=capped)

    @property
    def snapshot(self) -> Snapshot:
        """In force: what was given, but for what the brake has put into shadow."""
        return self._judge.snapshot

    @property
    def market(self) -> str | None:
        """Whose profile says what decisions tell to answer."""
        return self._judge.market

    @property
    def lists_version(self) -> str:
        """Version of the number lists in force."""
        return self._judge.lists_version

    @property
    def rules_version(self) -> str:
        """Version of the rules in force."""
        return self._judge.rules_version

    @property
    def trips(self) -> list[Trip]:
        """What the brake stopped here, for who tells the other workers; whoever takes them empties it."""
        return self._judge.trips

    def swap(self, snapshot: Snapshot) -> None:
        """Decide by ``snapshot`` from the next batch on; what was counted about callers stays.

        Raises:
            RuleError: it counts over windows of another length, or lacks the market; the snapshot in force stays.
        """
        if (window := snapshot.rules.window_seconds) != self._window:
            raise RuleError(
                f"behaviour.toml: $.window_seconds: {window}, but callers are counted over {self._window} s; "
                "windows of that length have to be filled first"
            )
        self._judge.swap(snapshot)

    def adopt(self, memories: Mapping[int, Memory], snapshot: Snapshot) -> None:
        """Decide by ``snapshot``, and by what was counted by its windows in these shards; all others are forgotten.

        Raises:
            RuleError: it lacks the market; all stays as it was.
        """
        self._judge.swap(snapshot)
        self._window = snapshot.rules.window_seconds
        self._shards = {number: _Shard(memory) for number, memory in memories.items()}

    def empty(self, snapshot: Snapshot | None = None) -> Engine:
        """Another one like this that has seen nothing, by default with the same snapshot. What a detector raises takes
        no events along there either, and nobody hears of it.
        """
        return Engine(
            snapshot or self.snapshot,
            max_callers=self._max_callers,
            market=self.market,
            part=self.part,
            guard=Patience() if self._guard else None,
            on_fault=self._judge.on_fault,
            capped=self._capped,
        )

    def remember(self, shard: int, memory: Memory | None) -> None:
        """Put what was counted elsewhere in the place of what this shard has; None forgets it."""
        self._shards.pop(shard, None)
        if memory is not None:
            self._shards[shard] = _Shard(memory)

    def memory(self, shard: int = 0) -> Memory:
        """What is counted in a shard: for a copy of it, for metrics."""
        return self._shard(shard).memory

    @property
    def memories(self) -> list[Memory]:
        """Of all shards."""
        return [shard.memory for shard in self._shards.values()]

    def _shard(self, number: int) -> _Shard:
        """The detectors of a shard, for what is in force by now."""
        shard = self._shards.get(number)
        if shard is None:
            memory = Memory.empty(self.snapshot.rules, max_callers=self._max_callers)
            shard = self._shards[number] = _Shard(memory)
        if shard.snapshot is not self.snapshot:
            shard.use(self.snapshot)
        return shard

    @property
    def part(self) -> float:
        """Of all the traffic that this engine sees."""
        return self._judge.brake.part

    @part.setter
    def part(self, part: float) -> None:
        if part > 0:  # who has no partitions any more may still decide what came while it had some
            self._judge.brake.part = part

    @property
    def active_callers(self) -> int:
        """Callers held in windows."""
        return sum(len(memory.windows) for memory in self.memories)

    @property
    def late_events(self) -> int:
        """Call attempts whose time is out of their caller's window, or absurd: decided, but not counted in it."""
        return sum(memory.windows.late + memory.windows.far for memory in self.memories)

    @property
    def duplicate_events(self) -> int:
        """Events that came before: decided again, but not counted again."""
        return sum(memory.recent.duplicates for memory in self.memories)

    def decide(
        self, events: Sequence[Event], now: int | None = None, *, shard: int = 0, lists_only: bool = False
    ) -> list[Decision]:
        """One decision per event, in the same order.

        Args:
            now: ms UTC, what the brake goes by; by default each event's own time.
            shard: in which it is counted.
            lists_only: in a hurry: only the number lists look at the two numbers, and nothing is counted.
        """
        mine = self._shard(shard)
        if lists_only:
            batch = Batch(events, rollout=self.snapshot.rollout, lists_only=True)
            self._ask(mine.detectors[:1], batch)  # the lists
            return self._conclude(batch, _NOBODY, now)
        texts = mine.memory.segments.whole(events)
        return self._conclude(self._look(texts, mine), mine.memory.victims, now)

    def look(self, parts: Sequence[Sequence[Event]], shards: Sequence[int]) -> list[Seen]:
        """Do for several batches at once what counts nothing: what is due once a batch is most of what a small one
        costs. Each is then to be decided by ``decide_seen``. ``shards``: of each.
        """
        events: list[Event] = []
        own: dict[int, tuple[int, int]] = {}
        for part, number in zip(parts, shards, strict=True):
            texts = self._shard(number).memory.segments.whole(part)
            own |= {len(events) + i: each for i, each in texts.own.items()}
            events += texts.events
        whole = Batch(events, rollout=self.snapshot.rollout, own=own)
        if parts:
            self._ask([each for each in self._shard(shards[0]).detectors if not each.counts], whole)
        snapshot = self.snapshot
        return [Seen(batch, snapshot) for batch in whole.cut(map(len, parts))]

    def decide_seen(self, seen: Seen, now: int | None = None, *, shard: int = 0) -> list[Decision]:
        """As ``decide``: the same decisions."""
        mine = self._shard(shard)
        if seen.snapshot is not self.snapshot:  # the brake has tripped since
            texts = Whole(seen.batch.events, seen.batch.own)
            return self._conclude(self._look(texts, mine), mine.memory.victims, now)
        return self._conclude(self._count(seen.batch, mine), mine.memory.victims, now)

    def examine(self, event: Event, *, shard: int = 0) -> Examination:
        """Decide one event, like ``decide``, and keep what led to it."""
        mine = self._shard(shard)
        batch = self._look(mine.memory.segments.whole([event]), mine)
        near = [n for d in mine.detectors if isinstance(d, ShowsNearMisses) for n in d.near(batch)]
        (decision,) = self._conclude(batch, mine.memory.victims)
        evidence, shadow = tuple(batch.hits.get(0, ())), tuple(batch.shadow.get(0, ()))
        return Examination(decision, evidence, self._judge.protected.touches(event), tuple(near), shadow)

    def _look(self, texts: Whole, shard: _Shard) -> Batch:
        batch = Batch(texts.events, rollout=self.snapshot.rollout, own=texts.own)
        self._ask([each for each in shard.detectors if not each.counts], batch)
        return self._count(batch, shard)

    def _count(self, batch: Batch, shard: _Shard) -> Batch:
        """Let those look who count."""
        recent, ids = shard.memory.recent, [event.id for event in batch.events]
        batch.repeated = repeated = recent.repeated(ids)
        try:
            self._ask([each for each in shard.detectors if each.counts], batch)
        except Exception:
            # They will be decided again, one by one, and that must not be taken for a repetition.
            recent.forget(name for i, name in enumerate(ids) if i not in repeated)
            raise
        return batch

    def _ask(self, detectors: Sequence[Detector], batch: Batch) -> None:
        if self._guard is not None:
            look(detectors, batch, self._guard)
            return
        for detector in detectors:
            detector.inspect(batch)

    def _conclude(self, batch: Batch, victims: VictimWatch, now: int | None = None) -> list[Decision]:
        """Event by event, as what one is found to be may be a sign for the next."""
        kind_of, judge, capped = KIND_OF, self._judge, bool(self._judge.brake.caps)
        hits, shadow, lacks, degraded = batch.hits, batch.shadow, batch.lacks, LISTS_ONLY if batch.lists_only else ()
        closing = lacks if judge.on_fault else {}
        decisions = []
        for i, (event, a, b) in enumerate(zip(batch.events, batch.a, batch.b, strict=True)):
            if victims.watching and (i in hits or victims.contacted(a)):
                for sign in victims.signs(a, b, event.time, suspicious=i in hits):
                    batch.add(i, sign)
            if capped:
                judge.brake.seen(1, event.time if now is None else now)
            if i in hits or i in shadow or i in closing:
                decision, risky = judge.decide(batch, i, event.time if now is None else now, victims)
                hits, shadow = batch.hits, batch.shadow  # others, if the brake tripped
                if risky and victims is not _NOBODY:
                    victims.note(b, a, event.time)
            else:
                decision = Decision(
                    event_id=event.id,
                    kind=kind_of[type(event)],
                    time=event.time,
                    subject=a,
                    action=_ALLOW,
                    score=0.0,
                    lists=judge.lists_version,
                    rules=judge.rules_version,
                    degraded=batch.degraded(i) if i in lacks else degraded,
                )
            decisions.append(decision)
        return decisions


class _Shard:
    """What is counted, and the detectors that count there by the snapshot in force."""

    __slots__ = ("detectors", "memory", "snapshot")

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.snapshot: Snapshot | None = None
        self.detectors: tuple[Detector, ...] = ()

    def use(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.detectors = build_detectors(
            snapshot.rules, snapshot.lists, snapshot.automaton, self.memory, snapshot.model
        )
