"""Events to decisions: the one engine behind the worker, replay, back-tests and the HTTP API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from detectors.behaviour.victims import CODES as VICTIM_CODES
from detectors.brake import Brake, Trip
from detectors.contract import Batch, NearMiss, ShowsNearMisses
from detectors.lists import NumberLists
from detectors.lists.protected import Protected
from detectors.model.decision import ACTIONS, Action, Decision, Evidence, Response, Shadow
from detectors.model.errors import RuleError
from detectors.model.events import KIND_OF, CallEvent, Event
from detectors.policy import Responses
from detectors.policy.policy import Verdict
from detectors.registry import Memory, build_detectors
from detectors.snapshot import Snapshot

__all__ = ["Engine", "Examination", "Snapshot", "is_risky"]

_ALLOW = Action.ALLOW.wire
_ABOUT_THE_OTHER = VICTIM_CODES | {"LIST_BLOCK_CALLEE"}  # speak for the acting number being a victim, not a risk


def is_risky(decision: Decision) -> bool:
    """Whether whom this event reached should be remembered as contacted by a risky number."""
    return ACTIONS[decision.action] >= Action.WARN and any(
        reason.weight > 0 and reason.code not in _ABOUT_THE_OTHER for reason in decision.reasons
    )


class Examination(NamedTuple):
    """A decision with all that led to it, for explanations. ``shadow``: what is on trial and did not act."""

    decision: Decision
    evidence: tuple[Evidence, ...]
    protected: bool
    near: tuple[NearMiss, ...]
    shadow: tuple[Evidence, ...] = ()


class Engine:
    """Decides batches of events. Deterministic: only the events, their order and the snapshots matter,
    not the sizes of the batches; but for the events of a batch in which the brake trips: they were looked at before.
    One engine serves one thread. With a ``market``, decisions carry what to answer there.

    Attributes:
        trips: what the brake stopped here, for who tells the other workers; whoever takes them empties it.

    Args:
        part: of all the traffic that this engine sees; the brake keeps to this part of each cap.

    Raises:
        RuleError: the rule pack has no such market.
    """

    def __init__(
        self, snapshot: Snapshot, *, max_callers: int = 1_000_000, market: str | None = None, part: float = 1.0
    ) -> None:
        self._memory = Memory.empty(snapshot.rules, max_callers=max_callers)
        self._window = snapshot.rules.window_seconds
        self.market = market
        self._brake = Brake({}, part)
        self._tripped: dict[str, int | None] = {}  # name -> serial of the stage in which it ran away
        self.trips: list[Trip] = []
        self.swap(snapshot)

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
        self._responses = Responses(snapshot.rules, self.market) if self.market else None
        self._brake.set_caps(snapshot.rollout.caps())
        stages = snapshot.rollout
        for name, serial in list(self._tripped.items()):
            if stages.serial(name) == serial:  # nobody has decided about it since
                stages = stages.demoted(name)
            else:
                del self._tripped[name]
                self._brake.forget(name)
        self._use(snapshot if stages is snapshot.rollout else snapshot.staged(stages))

    def adopt(self, other: Engine, snapshot: Snapshot) -> None:
        """Take over what ``other`` has counted, and decide by ``snapshot``: how windows of another length come into
        force, filled by an engine of their own.

        Raises:
            RuleError: the snapshot has not the windows of ``other``, or lacks the market.
        """
        mine = self._memory, self._window
        self._memory, self._window = other._memory, other._window
        try:
            self.swap(snapshot)
        except RuleError:
            self._memory, self._window = mine
            raise

    def _use(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.lists_version, self.rules_version = snapshot.lists_version, snapshot.rules_version
        self._protected = Protected(snapshot.lists)
        self._detectors = build_detectors(
            snapshot.rules, snapshot.lists, snapshot.automaton, self._memory, snapshot.model
        )
        stages = snapshot.rollout
        self._composites_on_trial = any(composite.id in stages.rules for composite in snapshot.rules.policy.composite)
        for name in self._brake.caps:
            stages = stages.demoted(name)
        self._lists_without = NumberLists(snapshot.lists.staged(stages))  # what is left if no feed with a cap acts

    @property
    def part(self) -> float:
        """Of all the traffic that this engine sees."""
        return self._brake.part

    @part.setter
    def part(self, part: float) -> None:
        if part > 0:  # who has no partitions any more may still decide what came while it had some
            self._brake.part = part

    @property
    def active_callers(self) -> int:
        """Callers held in windows."""
        return len(self._memory.windows)

    @property
    def late_events(self) -> int:
        """Call attempts whose time is out of their caller's window, or absurd: decided, but not counted in it."""
        return self._memory.windows.late + self._memory.windows.far

    @property
    def duplicate_events(self) -> int:
        """Events that came before: decided again, but not counted again."""
        return self._memory.recent.duplicates

    def decide(self, events: Sequence[Event], now: int | None = None) -> list[Decision]:
        """One decision per event, in the same order.

        Args:
            now: ms UTC, what the brake goes by; by default each event's own time.
        """
        return self._conclude(self._look(events), now)

    def examine(self, event: Event) -> Examination:
        """Decide one event, like ``decide``, and keep what led to it."""
        batch = self._look([event])
        near = [n for d in self._detectors if isinstance(d, ShowsNearMisses) for n in d.near(batch)]
        (decision,) = self._conclude(batch)
        evidence, shadow = tuple(batch.hits.get(0, ())), tuple(batch.shadow.get(0, ()))
        return Examination(decision, evidence, self._protected.touches(event), tuple(near), shadow)

    def _look(self, events: Sequence[Event]) -> Batch:
        recent, ids = self._memory.recent, [event.id for event in events]
        repeated = recent.repeated(ids)
        try:
            batch = Batch(events, repeated, self.snapshot.rollout)
            for detector in self._detectors:
                detector.inspect(batch)
        except Exception:
            # They will be decided again, one by one, and that must not be taken for a repetition.
            recent.forget(name for i, name in enumerate(ids) if i not in repeated)
            raise
        return batch

    def _conclude(self, batch: Batch, now: int | None = None) -> list[Decision]:
        """Event by event, as what one is found to be may be a sign for the next."""
        kind_of, victims, capped = KIND_OF, self._memory.victims, bool(self._brake.caps)
        hits, shadow = batch.hits, batch.shadow
        decisions = []
        for i, (event, a, b) in enumerate(zip(batch.events, batch.a, batch.b, strict=True)):
            if victims.watching:
                for sign in victims.signs(a, b, event.time, suspicious=i in hits):
                    batch.add(i, sign)
            if capped:
                self._brake.seen(1, event.time if now is None else now)
            if i in hits or i in shadow:
                decision = self._judge(batch, i, event.time if now is None else now)
                hits, shadow = batch.hits, batch.shadow  # others, if the brake tripped
                if is_risky(decision):
                    victims.note(b, a, event.time)
            else:
                decision = Decision(
                    event_id=event.id,
                    kind=kind_of[type(event)],
                    time=event.time,
                    subject=a,
                    action=_ALLOW,
                    score=0.0,
                    lists=self.lists_version,
                    rules=self.rules_version,
                )
            decisions.append(decision)
        return decisions

    def _judge(self, batch: Batch, i: int, now: int) -> Decision:
        event = batch.events[i]
        protected = self._protected.touches(event)
        verdict = self._verdict(batch, i, protected=protected and i in batch.hits)
        if self._brake.caps and not protected:
            verdict = self._within_caps(batch, i, verdict, now)
        return Decision(
            event_id=event.id,
            kind=KIND_OF[type(event)],
            time=event.time,
            subject=batch.a[i],
            action=verdict.action.wire,
            score=verdict.score,
            lists=self.lists_version,
            rules=self.rules_version,
            reasons=verdict.reasons,
            appeal="" if verdict.action is Action.ALLOW else self.snapshot.policy.appeal,
            response=self._answer(event, verdict.action),
            shadow=None if protected else self._shadow(batch, i, verdict),
        )

    def _verdict(self, batch: Batch, i: int, *, protected: bool = False) -> Verdict:
        rollout, subject = batch.rollout, batch.a[i]
        return self.snapshot.policy.judge(
            batch.hits.get(i, ()), protected=protected, acts=lambda rule: rollout.rule_acts(rule, subject)
        )

    def _shadow(self, batch: Batch, i: int, verdict: Verdict) -> Shadow | None:
        """What would be decided if all that is on trial was enforced, if that is something else."""
        if not (self._composites_on_trial or i in batch.shadow or i in batch.replaced):
            return None
        replaced = batch.replaced.get(i, ())
        evidence = [*batch.hits.get(i, ()), *batch.shadow.get(i, ())]
        other = self.snapshot.policy.judge(
            [e for e in evidence if not any(e is each for each in replaced)], protected=False
        )
        if (other.action, other.score) == (verdict.action, verdict.score) and set(other.reasons) == {*verdict.reasons}:
            return None
        return Shadow(other.action.wire, other.score, tuple(r for r in other.reasons if r not in verdict.reasons))

    def _within_caps(self, batch: Batch, i: int, verdict: Verdict, now: int) -> Verdict:
        """Stop what would do more than its cap until nothing does; then count the measure against what led to it."""
        while names := self._led_to(batch, i, verdict):
            over = {name: reason for name in sorted(names) if (reason := self._brake.over(name, now))}
            if not over:
                for name in names:
                    self._brake.take(name, now)
                break
            for name, reason in over.items():
                self._stop(batch, name, reason, now)
            batch.take_back(i, VICTIM_CODES)  # they may have hung on what was stopped
            a, b, time = batch.a[i], batch.b[i], batch.events[i].time
            for sign in self._memory.victims.signs(a, b, time, suspicious=i in batch.hits):
                batch.add(i, sign)
            verdict = self._verdict(batch, i)
        return verdict

    def _led_to(self, batch: Batch, i: int, verdict: Verdict) -> set[str]:
        """Those with a cap that speak for a measure which without all of them would be a weaker one."""
        policy, rollout, subject = self.snapshot.policy, batch.rollout, batch.a[i]
        rest = batch.hits.get(i, [])
        names = {r.code for r in verdict.reasons if r.weight > 0 and rollout.is_about(r.code, r.version)}
        names |= {f"feed:{e.feed}" for e in rest if e.feed and policy.weigh(e) > 0}
        names = (names & self._brake.caps.keys()) - self._tripped.keys()
        if not names or verdict.action is Action.ALLOW:
            return set()
        if any(name.startswith("feed:") for name in names):
            rest = [e for e in rest if e.code not in NumberLists.CODES] + self._lists_without.acting(batch, i)
        rest = [e for e in rest if e.code not in names or not rollout.is_about(e.code, e.version)]
        rest += [e for e in batch.spare.get(i, ()) if e.code in names]
        without = policy.judge(
            rest, protected=False, acts=lambda rule: rule not in names and rollout.rule_acts(rule, subject)
        )
        return names if without.action < verdict.action else set()

    def _stop(self, batch: Batch, name: str, reason: str, now: int) -> None:
        """Put what has run away into shadow, from this very event on."""
        serial = self._tripped[name] = self.snapshot.rollout.serial(name)
        self.trips.append(Trip(name, serial or 0, reason, now))
        self._use(self.snapshot.staged(self.snapshot.rollout.demoted(name)))
        if name.startswith("feed:"):
            batch.look_again(NumberLists.CODES, self.snapshot.rollout, NumberLists(self.snapshot.lists).inspect)
        else:
            batch.stop(name, self.snapshot.rollout)

    def _answer(self, event: Event, action: Action) -> Response | None:
        """Of a call only the attempt can be answered; a final SIP response ends what it answers."""
        if self._responses is None or (isinstance(event, CallEvent) and event.phase != "attempt"):
            return None
        return self._responses.of(KIND_OF[type(event)], action)
