"""Events to decisions: the one engine behind the worker, replay, back-tests and the HTTP API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from detectors.behaviour.victims import CODES as VICTIM_CODES
from detectors.contract import Batch, NearMiss, ShowsNearMisses
from detectors.keywords import Automaton
from detectors.lists import NumberIndex
from detectors.lists.protected import Protected
from detectors.model.decision import ACTIONS, Action, Decision, Evidence, Response
from detectors.model.errors import RuleError
from detectors.model.events import KIND_OF, CallEvent, Event
from detectors.policy import Policy, Responses
from detectors.registry import Memory, build_detectors
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

    @classmethod
    def build(cls, rules: RulePack, lists: NumberIndex, model: ScoreModel | None = None) -> Snapshot:
        """Compile. Seconds for large lists: do it off the hot path.

        Raises:
            RuleError: a rule fails its own proof or has no weight.
        """
        return cls.of(Automaton(rules), lists, model)

    @classmethod
    def of(cls, automaton: Automaton, lists: NumberIndex, model: ScoreModel | None = None) -> Snapshot:
        """With an automaton that is built already, maybe by another process.

        Raises:
            RuleError: a rule has no weight.
        """
        return cls(automaton.pack, lists, automaton, Policy(automaton.pack), model)

    @property
    def lists_version(self) -> str:
        """Version of the number lists: count and content digest."""
        return self.lists.version

    @property
    def rules_version(self) -> str:
        """Version of the rules: policy version and content digest."""
        return self.rules.version

    @property
    def list_sizes(self) -> dict[str, int]:
        """Entries by list: ``{"block": 528000, ...}``."""
        return {kind.name.lower(): size for kind, size in self.lists.sizes.items()}

    @property
    def rule_count(self) -> int:
        """Rules of all families."""
        return len(self.rules.text) + len(self.rules.behaviour)


class Examination(NamedTuple):
    """A decision with all that led to it, for explanations."""

    decision: Decision
    evidence: tuple[Evidence, ...]
    protected: bool
    near: tuple[NearMiss, ...]


class Engine:
    """Decides batches of events. Deterministic: only the events, their order and the snapshots matter,
    not the sizes of the batches. One engine serves one thread. With a ``market``, decisions carry what to answer there.

    Raises:
        RuleError: the rule pack has no such market.
    """

    def __init__(self, snapshot: Snapshot, *, max_callers: int = 1_000_000, market: str | None = None) -> None:
        self._memory = Memory.empty(snapshot.rules, max_callers=max_callers)
        self._window = snapshot.rules.window_seconds
        self._market = market
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
        self._responses = Responses(snapshot.rules, self._market) if self._market else None
        self.snapshot = snapshot
        self._protected = Protected(snapshot.lists)
        self._detectors = build_detectors(
            snapshot.rules, snapshot.lists, snapshot.automaton, self._memory, snapshot.model
        )

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

    def decide(self, events: Sequence[Event]) -> list[Decision]:
        """One decision per event, in the same order."""
        return self._conclude(self._look(events))

    def examine(self, event: Event) -> Examination:
        """Decide one event, like ``decide``, and keep what led to it."""
        batch = self._look([event])
        near = [n for d in self._detectors if isinstance(d, ShowsNearMisses) for n in d.near(batch)]
        (decision,) = self._conclude(batch)
        return Examination(decision, tuple(batch.hits.get(0, ())), self._protected.touches(event), tuple(near))

    def _look(self, events: Sequence[Event]) -> Batch:
        recent, ids = self._memory.recent, [event.id for event in events]
        repeated = recent.repeated(ids)
        try:
            batch = Batch(events, repeated)
            for detector in self._detectors:
                detector.inspect(batch)
        except Exception:
            # They will be decided again, one by one, and that must not be taken for a repetition.
            recent.forget(name for i, name in enumerate(ids) if i not in repeated)
            raise
        return batch

    def _conclude(self, batch: Batch) -> list[Decision]:
        """Event by event, as what one is found to be may be a sign for the next."""
        lists, rules = self.snapshot.lists.version, self.snapshot.rules.version
        kind_of, hits, victims = KIND_OF, batch.hits, self._memory.victims
        decisions = []
        for i, (event, a, b) in enumerate(zip(batch.events, batch.a, batch.b, strict=True)):
            if victims.watching:
                for sign in victims.signs(a, b, event.time, suspicious=i in hits):
                    batch.add(i, sign)
            if i in hits:
                decision = self._judge(event, a, hits[i])
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
                    lists=lists,
                    rules=rules,
                )
            decisions.append(decision)
        return decisions

    def _judge(self, event: Event, subject: str, evidence: list[Evidence]) -> Decision:
        policy = self.snapshot.policy
        verdict = policy.judge(evidence, protected=self._protected.touches(event))
        return Decision(
            event_id=event.id,
            kind=KIND_OF[type(event)],
            time=event.time,
            subject=subject,
            action=verdict.action.wire,
            score=verdict.score,
            lists=self.snapshot.lists.version,
            rules=self.snapshot.rules.version,
            reasons=verdict.reasons,
            appeal="" if verdict.action is Action.ALLOW else policy.appeal,
            response=self._answer(event, verdict.action),
        )

    def _answer(self, event: Event, action: Action) -> Response | None:
        """Of a call only the attempt can be answered; a final SIP response ends what it answers."""
        if self._responses is None or (isinstance(event, CallEvent) and event.phase != "attempt"):
            return None
        return self._responses.of(KIND_OF[type(event)], action)
