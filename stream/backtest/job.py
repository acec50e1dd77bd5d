"""Two engines over the same events, and what is different."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

from detectors.engine import Engine, Snapshot
from detectors.model.decision import ACTIONS, Action, Decision
from detectors.model.events import CardEvent, Event
from detectors.normalise.phone import canonical
from detectors.policy.policy import ALLOWED, PROTECTED
from stream.backtest.found import SIDES, UNKNOWN, Backtest, Example, Move, Rule, Subscriber, Truth, rule_of
from stream.backtest.rests import Rests

#: Events at the head of the log on which the cost is measured.
SAMPLE: Final = 5_000
#: In the place of a rule: what no rule explains, such as another ladder, cap or ceiling.
POLICY: Final = Rule("(policy)", "")
_ALLOW: Final = Action.ALLOW.wire


class Comparison:
    """A job (``stream/replaying/job.py``): decides all by what is in force and by what is proposed.

    What is kept grows with the subscribers about whom something is decided, not with the events.

    Args:
        before, after: what is in force, and what is proposed.
        labels: event id -> truth.
        sample: events at the head of the log that are kept.
        max_callers: in the windows of one shard, as a worker has them.
    """

    def __init__(
        self,
        before: Snapshot,
        after: Snapshot,
        labels: Mapping[str, Truth],
        *,
        sample: int = SAMPLE,
        max_callers: int = 1_000_000,
    ) -> None:
        self._engines = [Engine(side, max_callers=max_callers) for side in (before, after)]
        self._rests = Rests(before), Rests(after)
        self._labels, self._sample = labels, sample
        self._raised = raised(before, after)
        self._found = Backtest()

    def decide(self, shard: int, events: Sequence[Event], positions: Sequence[int]) -> bytes:
        """Count a batch of one shard; nothing goes to the output."""
        befores, afters = (engine.decide(events, shard=shard) for engine in self._engines)
        for event, position, before, after in zip(events, positions, befores, afters, strict=True):
            if position < self._sample:
                self._found.sample[position] = event
            truth = self._labels.get(event.id, UNKNOWN)
            self._found.moves[Move(before.kind, before.action, after.action, truth)] += 1
            if before.reasons or after.reasons:
                self._count_rules(before, after, truth)
            if before.action != _ALLOW or after.action != _ALLOW:
                self._count_subscriber(event, position, before, after)
        return b""

    def result(self) -> Backtest:
        """What was found."""
        return self._found

    def _count_rules(self, before: Decision, after: Decision, truth: Truth) -> None:
        found = self._found
        for side, decision, rests in zip(SIDES, (before, after), self._rests, strict=True):
            rules = sorted({rule_of(reason) for reason in decision.reasons})
            found.fired.update((side, rule, truth) for rule in rules)
            found.together.update((side, one, other) for one, other in combinations(rules, 2))
            found.alone.update((side, rule) for rule in rests.on(decision))
        if before.action != after.action:
            found.pushed.update((rule, before.action, after.action) for rule in pushed(before, after, self._raised))

    def _count_subscriber(self, event: Event, position: int, before: Decision, after: Decision) -> None:
        was, now = ACTIONS[before.action], ACTIONS[after.action]
        other = "" if isinstance(event, CardEvent) else canonical(event.b_e164 or event.b_number)
        example = Example(position, before, after, other) if was != now else None
        self._found.subscribers.setdefault(before.subject or f"?{event.id}", Subscriber()).add(
            Subscriber(
                was,
                now,
                stronger=now > was,
                weaker=now < was,
                rise=example if now > was else None,
                drop=example if now < was else None,
            )
        )


def raised(before: Snapshot, after: Snapshot) -> dict[str, int]:
    """Symbols whose ceiling is another, and by how many steps."""
    old, new = (_ceilings(side) for side in (before, after))
    steps = {code: new[code] - old[code] for code in old.keys() & new.keys()}
    return {code: step for code, step in steps.items() if step}


def _ceilings(snapshot: Snapshot) -> dict[str, Action]:
    policy = snapshot.rules.policy
    found = {code: ACTIONS[symbol.ceiling] for code, symbol in policy.symbols.items()}
    return found | {composite.id: ACTIONS[composite.ceiling] for composite in policy.composite}


def pushed(before: Decision, after: Decision, ceilings: Mapping[str, int]) -> list[Rule]:
    """The rules that a change of action comes from: those whose weight in it rose, if it is stronger, or fell; or whose
    ceiling did, if they speak against the event. What no rule explains is the policy's.
    """
    up = 1 if ACTIONS[after.action] > ACTIONS[before.action] else -1
    old, new = _weights(before), _weights(after)
    found = [rule for rule in old | new if up * (new.get(rule, 0.0) - old.get(rule, 0.0)) > 0]
    found += [rule for rule in old if up * ceilings.get(rule.code, 0) > 0 and old[rule] == new.get(rule, 0.0) > 0]
    return found or [POLICY]


def _weights(decision: Decision) -> dict[Rule, float]:
    """What each rule weighs in a decision. What allows whatever else was seen outweighs all."""
    found: dict[Rule, float] = {}
    for reason in decision.reasons:
        weight = -math.inf if reason.code in (ALLOWED, PROTECTED) else reason.weight
        found[rule_of(reason)] = found.get(rule_of(reason), 0.0) + weight
    return found
