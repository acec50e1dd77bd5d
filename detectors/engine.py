"""Events to decisions: the one engine behind the worker, replay, back-tests and the HTTP API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from msgspec import structs

from detectors.behaviour.victims import CODES as VICTIM_CODES
from detectors.brake import Brake, Trip
from detectors.contract import Batch, NearMiss, ShowsNearMisses
from detectors.keywords import Automaton
from detectors.lists import NumberIndex
from detectors.lists.protected import Protected
from detectors.model.decision import ACTIONS, Action, Decision, Evidence, Response, Shadow
from detectors.model.errors import RuleError
from detectors.model.events import KIND_OF, CallEvent, Event
from detectors.policy import Policy, Responses
from detectors.policy.catalogue import BUILT_IN
from detectors.policy.policy import Verdict
from detectors.registry import Memory, build_detectors
from detectors.rollout import NO_ROLLOUT, Rollout, Stage
from detectors.rulepack import RulePack
from detectors.score import ScoreModel

_ALLOW = Action.ALLOW.wire
_ABOUT_THE_OTHER = VICTIM_CODES | {"LIST_BLOCK_CALLEE"}  # speak for the acting number being a victim, not a risk


def is_risky(decision: Decision) -> bool:
    """Whether whom this event reached should be remembered as contacted by a risky number."""
    return ACTIONS[decision.action] >= Action.WARN and any(
        reason.weight > 0 and reason.code not in _ABOUT_THE_OTHER for reason in decision.reasons
    )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Lists and rules of one version, compiled, and the message score's model if there is one. Immutable; a change
    is a new snapshot.
    """

    rules: RulePack
    lists: NumberIndex
    automaton: Automaton
    policy: Policy
    model: ScoreModel | None = None
    rollout: Rollout = NO_ROLLOUT

    @classmethod
    def build(
        cls, rules: RulePack, lists: NumberIndex, model: ScoreModel | None = None, rollout: Rollout = NO_ROLLOUT
    ) -> Snapshot:
        """Compile. Seconds for large lists: do it off the hot path.

        Raises:
            RuleError: a rule fails its own proof or has no weight.
        """
        return cls.of(Automaton(rules), lists, model, rollout)

    @classmethod
    def of(
        cls,
        automaton: Automaton,
        lists: NumberIndex,
        model: ScoreModel | None = None,
        rollout: Rollout = NO_ROLLOUT,
    ) -> Snapshot:
        """With an automaton that is built already, maybe by another process.

        Raises:
            RuleError: a rule has no weight.
        """
        pack = automaton.pack
        stages = _concerning(rollout, pack)
        lists = lists if lists.rollout.feeds == stages.feeds else lists.staged(stages)
        return cls(pack, lists, automaton, Policy(pack), model, stages)

    def staged(self, rollout: Rollout) -> Snapshot:
        """The same lists and rules in other stages."""
        return replace(self, rollout=rollout, lists=self.lists.staged(rollout))

    @property
    def lists_version(self) -> str:
        """Version of the number lists: count, content digest, and a tag if some are on trial."""
        return self.lists.version + self.rollout.feeds_tag()

    @property
    def rules_version(self) -> str:
        """Version of the rules: policy version, content digest, and a tag if some are on trial."""
        return self.rules.version + self.rollout.rules_tag()

    @property
    def list_sizes(self) -> dict[str, int]:
        """Entries by list: ``{"block": 528000, ...}``."""
        return {kind.name.lower(): size for kind, size in self.lists.sizes.items()}

    @property
    def rule_count(self) -> int:
        """Rules of all families."""
        return len(self.rules.text) + len(self.rules.behaviour)


def _concerning(rollout: Rollout, pack: RulePack) -> Rollout:
    """The stages that say something about this pack; a rule whose predecessor is there has one in any case."""
    versions = {rule.id: str(rule.version) for rule in pack.rules}
    rules = {each.rule.id: Stage("enforce", version=versions[each.rule.id]) for each in pack.before}
    for name, stage in rollout.rules.items():
        version = versions.get(name, "")
        if stage.version in ("", version) and (version or name in BUILT_IN):
            rules[name] = structs.replace(stage, version=version)
    return Rollout(rules, rollout.feeds)


class Examination(NamedTuple):
    """A decision with all that led to it, for explanations. ``shadow``: what is on trial and did not act."""

    decision: Decision
    evidence: tuple[Evidence, ...]
    protected: bool
    near: tuple[NearMiss, ...]
    shadow: tuple[Evidence, ...] = ()


class Engine:
    """Decides batches of events. Deterministic: only the events, their order and the snapshots matter,
    not the sizes of the batches. One engine serves one thread. With a ``market``, decisions carry what to answer there.

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
        self._tripped: dict[str, int] = {}  # name -> serial of the stage in which it ran away
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
                "a restart changes it"
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
        trials = snapshot.rollout.rules
        self._composites_on_trial = any(composite.id in trials for composite in snapshot.rules.policy.composite)

    @property
    def part(self) -> float:
        """Of all the traffic that this engine sees."""
        return self._brake.part

    @part.setter
    def part(self, part: float) -> None:
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
        kind_of, hits, victims, capped = KIND_OF, batch.hits, self._memory.victims, bool(self._brake.caps)
        decisions = []
        for i, (event, a, b) in enumerate(zip(batch.events, batch.a, batch.b, strict=True)):
            if victims.watching:
                for sign in victims.signs(a, b, event.time, suspicious=i in hits):
                    batch.add(i, sign)
            if capped:
                self._brake.seen(1, event.time if now is None else now)
            if i in hits or i in batch.shadow:
                decision = self._judge(batch, i, event.time if now is None else now)
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
        event, subject, policy = batch.events[i], batch.a[i], self.snapshot.policy
        protected = self._protected.touches(event)
        verdict = self._verdict(batch, i, protected)
        while over := self._over(batch, i, verdict, now):
            for name, reason in over.items():
                self._stop(name, reason, now)
            verdict = self._verdict(batch, i, protected)
        return Decision(
            event_id=event.id,
            kind=KIND_OF[type(event)],
            time=event.time,
            subject=subject,
            action=verdict.action.wire,
            score=verdict.score,
            lists=self.lists_version,
            rules=self.rules_version,
            reasons=verdict.reasons,
            appeal="" if verdict.action is Action.ALLOW else policy.appeal,
            response=self._answer(event, verdict.action),
            shadow=None if protected else self._shadow(batch, i, verdict),
        )

    def _verdict(self, batch: Batch, i: int, protected: bool) -> Verdict:
        """By what acts now: of what was stopped since the batch was looked at, nothing does any more."""
        rollout, subject = self.snapshot.rollout, batch.a[i]
        if rollout is not batch.rollout and (found := batch.hits.get(i)):
            stopped = [e for e in found if _name(e) in self._tripped]
            if stopped:
                batch.hits[i] = [e for e in found if _name(e) not in self._tripped]
                batch.shadow.setdefault(i, []).extend(stopped)
        return self.snapshot.policy.judge(
            batch.hits.get(i, ()), protected=protected, acts=lambda rule: rollout.rule_acts(rule, subject)
        )

    def _shadow(self, batch: Batch, i: int, verdict: Verdict) -> Shadow | None:
        """What would be decided if all that is on trial was enforced, if that is something else."""
        if not (self._composites_on_trial or i in batch.shadow or i in batch.replaced):
            return None
        replaced = batch.replaced.get(i, ())
        evidence = [e for e in batch.hits.get(i, ()) if not any(e is each for each in replaced)]
        other = self.snapshot.policy.judge([*evidence, *batch.shadow.get(i, ())], protected=False)
        if (other.action, other.score) == (verdict.action, verdict.score) and set(other.reasons) == {*verdict.reasons}:
            return None
        return Shadow(other.action.wire, other.score, tuple(r for r in other.reasons if r not in verdict.reasons))

    def _over(self, batch: Batch, i: int, verdict: Verdict, now: int) -> dict[str, str]:
        """Count a measure against what has a cap, if that is what led to it; whose cap it would break, and why."""
        caps = self._brake.caps
        if not caps or verdict.action is Action.ALLOW:
            return {}
        policy, evidence = self.snapshot.policy, batch.hits.get(i, ())
        names = {_name(e) for e in evidence if policy.weigh(e) > 0}
        names |= {reason.code for reason in verdict.reasons if reason.weight > 0}
        if not (names := names & caps.keys()):
            return {}
        rest = [e for e in evidence if _name(e) not in caps]
        rollout, subject = self.snapshot.rollout, batch.a[i]
        without = policy.judge(
            rest, protected=False, acts=lambda rule: rule not in caps and rollout.rule_acts(rule, subject)
        )
        if without.action >= verdict.action:
            return {}
        return {name: reason for name in sorted(names) if (reason := self._brake.take(name, now))}

    def _stop(self, name: str, reason: str, now: int) -> None:
        """Put what has run away into shadow, from this very event on."""
        rollout = self.snapshot.rollout
        self._tripped[name] = rollout.serial(name)
        self.trips.append(Trip(name, rollout.serial(name), reason, now))
        self._use(self.snapshot.staged(rollout.demoted(name)))

    def _answer(self, event: Event, action: Action) -> Response | None:
        """Of a call only the attempt can be answered; a final SIP response ends what it answers."""
        if self._responses is None or (isinstance(event, CallEvent) and event.phase != "attempt"):
            return None
        return self._responses.of(KIND_OF[type(event)], action)


def _name(evidence: Evidence) -> str:
    """What has a stage and a cap: the rule, or the feed."""
    return f"feed:{evidence.feed}" if evidence.feed else evidence.code
