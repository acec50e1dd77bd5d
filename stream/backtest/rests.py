"""Which rules a measure rests on."""

from __future__ import annotations

from functools import lru_cache

from detectors.engine import Snapshot
from detectors.model.decision import ACTIONS, Action, Decision, Evidence
from stream.backtest.found import Rule, rule_of

_Signs = tuple[tuple[Rule, float], ...]


class Rests:
    """Says without which rule alone an action would have been weaker.

    The signs of the decision less those of the rule are judged again by the same policy: groups, caps, composites and
    ceilings as they are. What the event did to windows, campaigns and victims stays as it was.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._policy = snapshot.policy
        self._known = lru_cache(maxsize=1 << 16)(self._look)  # most decisions are like others

    def on(self, decision: Decision) -> tuple[Rule, ...]:
        """In the order of the decision's reasons; none if it allows."""
        action = ACTIONS[decision.action]
        if action is Action.ALLOW:
            return ()
        return self._known(action, tuple((rule_of(reason), reason.weight) for reason in decision.reasons))

    def _look(self, action: Action, signs: _Signs) -> tuple[Rule, ...]:
        rules = dict.fromkeys(rule for rule, _ in signs)
        return tuple(rule for rule in rules if self._without(rule, signs) < action)

    def _without(self, gone: Rule, signs: _Signs) -> Action:
        """The policy takes no composite as evidence: it finds those that follow from the rest."""
        evidence = [
            Evidence(rule.code, rule.code, rule.version, weight=weight) for rule, weight in signs if rule != gone
        ]
        return self._policy.judge(evidence, protected=False, acts=lambda composite: composite != gone.code).action
