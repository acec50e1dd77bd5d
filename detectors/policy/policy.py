"""The policy: what a set of signs amounts to. Rules, in this order:

1. an event that touches a protected number is allowed, whatever else was seen;
2. an acting number on the allow list is allowed;
3. score = for each group, the sum of its symbols' weights, at least 0 and at most the group's cap, summed over
   groups (composites are symbols that fire when all their parts did). The floor keeps what exculpates one family from
   excusing another: a block-listed sender cannot free itself by writing "beware of fraud";
4. action = the highest step of the ladder that the score reaches, but no higher than the highest ceiling among
   the symbols that spoke against the event: a window or a model alone never blocks.

A built-in symbol that the policy gives no weight is switched off.

An event that a fault kept from being looked at in full may be given a least action (``at_least``): never above what the
ladder has, nor above the ceiling of ``FAILED_CLOSED`` if the policy names one, and not for whom the allow list allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from detectors.model.decision import ACTIONS, Action, Evidence, Reason
from detectors.model.errors import RuleError
from detectors.policy.catalogue import BUILT_IN, words
from detectors.rulepack import Composite, RulePack, SymbolPolicy

ALLOWED = "LIST_ALLOW"
PROTECTED = "PROTECTED"
FAILED_CLOSED = "FAILED_CLOSED"


class Verdict(NamedTuple):
    """What the policy makes of the evidence about one event."""

    action: Action
    score: float
    reasons: tuple[Reason, ...]


_Sign = tuple[str, str, float | None]  #: code, version, weight of its own


class _Sum(NamedTuple):
    """What some signs amount to.

    Attributes:
        composites: that fired with them.
        weights: of the signs, then of the composites.
    """

    composites: tuple[Evidence, ...]
    weights: tuple[float, ...]
    action: Action
    score: float


class GroupSum(Struct, frozen=True):
    """How one group of symbols entered the score: ``counted`` is ``total``, at least 0 and at most ``cap``."""

    group: str
    total: float
    cap: float
    counted: float


class Policy:
    """Immutable; compiled from a rule pack.

    Raises:
        RuleError: a rule has no weight, or a weight belongs to no rule.
    """

    def __init__(self, rules: RulePack) -> None:
        policy = rules.policy
        self._words = words(rules)
        self._symbols: dict[str, SymbolPolicy | Composite] = {**policy.symbols}
        self._symbols[ALLOWED] = self._symbols.get(ALLOWED) or SymbolPolicy(0.0, "list", "allow")
        self._composites = policy.composite
        self._before = {(each.rule.id, str(each.rule.version)): each for each in rules.before}
        self._older = {each.rule.id: each.rule for each in rules.before if isinstance(each.rule, Composite)}
        self._caps = {name: group.cap for name, group in policy.groups.items()}
        self._ladder = sorted(((ACTIONS[step], score) for step, score in policy.ladder.items()), reverse=True)
        self.appeal = policy.appeal
        self._known = lru_cache(maxsize=1 << 12)(self._sum)
        self._specs = self._symbols | {c.id: c for c in self._composites}
        for code in self._words.keys() - self._symbols.keys() - BUILT_IN.keys() - {c.id for c in self._composites}:
            raise RuleError(f"{rules.places.get(code, code)}: $.symbols.{code}: missing; every rule needs a weight")
        for code in self._symbols.keys() - self._words.keys():
            raise RuleError(f"policy.toml, weights.toml: $.symbols.{code}: no rule or detector has this id")

    def judge(
        self, evidence: Sequence[Evidence], *, protected: bool, acts: Callable[[str], bool] | None = None
    ) -> Verdict:
        """The verdict on one event.

        Args:
            protected: it touches a number that nothing may block.
            acts: asked whether a composite acts; where not, its predecessor does, if it has one. By default all act,
                and what the same signs amounted to the last time needs no second sum.
        """
        counted = [e for e in evidence if e.code in self._symbols]
        signs = tuple([(e.code, e.version, e.weight) for e in counted])
        summed = self._known(signs) if acts is None else self._sum(signs, acts)
        reasons = tuple(map(self._reason, (*counted, *summed.composites), summed.weights))
        if protected:
            # What nearly fired stays visible; it just cannot act.
            return Verdict(Action.ALLOW, 0.0, (self._reason(Evidence(PROTECTED, PROTECTED, "1"), 0.0), *reasons))
        return Verdict(summed.action, summed.score, reasons)

    def _sum(self, signs: Sequence[_Sign], acts: Callable[[str], bool] = lambda _: True) -> _Sum:
        weights = [self._weight(*sign) for sign in signs]
        net: dict[str, float] = {}
        for (code, version, _), weight in zip(signs, weights, strict=True):
            group = self._spec(code, version).group
            net[group] = net.get(group, 0.0) + weight
        # A group that is excused on the whole is no part of a composite.
        present = {code for code, _, _ in signs} | {f"group:{group}" for group, weight in net.items() if weight > 0}
        composites = [c if acts(c.id) else self._older.get(c.id) for c in self._composites]
        fired = tuple(Evidence(c.id, c.id, str(c.version)) for c in composites if c and present.issuperset(c.all))
        weights += [self.weigh(e) for e in fired]
        if ALLOWED in present:
            return _Sum(fired, tuple(weights), Action.ALLOW, 0.0)
        named = [*((code, version) for code, version, _ in signs), *((e.code, e.version) for e in fired)]
        score = round(sum((share.counted for share in self._shares(named, weights)), 0.0), 3)
        return _Sum(fired, tuple(weights), min(self.reached(score), self._ceiling(named, weights)), score)

    def at_least(self, verdict: Verdict, least: Action) -> Verdict:
        """The verdict on an event that could not be looked at in full, where that calls for some measure."""
        if any(reason.code == ALLOWED for reason in verdict.reasons):
            return verdict
        named = self._symbols.get(FAILED_CLOSED)
        least = min(least, ACTIONS[named.ceiling]) if named else least
        action = max((step for step, _ in self._ladder if step <= least), default=Action.ALLOW)
        if action <= verdict.action:
            return verdict
        reason = self._reason(Evidence(FAILED_CLOSED, FAILED_CLOSED, "1"), 0.0)
        return Verdict(action, verdict.score, (*verdict.reasons, reason))

    def shares(self, reasons: Sequence[Reason]) -> list[GroupSum]:
        """How each group of symbols enters the score, in order of appearance."""
        return self._shares([(r.code, r.version) for r in reasons], [r.weight for r in reasons])

    def _shares(self, named: Iterable[tuple[str, str]], weights: Iterable[float]) -> list[GroupSum]:
        sums: dict[str, float] = {}
        for (code, version), weight in zip(named, weights, strict=True):
            if code in self._specs:
                group = self._spec(code, version).group
                sums[group] = sums.get(group, 0.0) + weight
        return [
            GroupSum(group, total, self._caps[group], min(max(total, 0.0), self._caps[group]))
            for group, total in sums.items()
        ]

    def reached(self, score: float) -> Action:
        """The highest step whose lowest score is reached."""
        return next((action for action, needed in self._ladder if score >= needed), Action.ALLOW)

    def needed(self, action: Action) -> float:
        """The lowest score of a step."""
        return next((score for step, score in self._ladder if step is action), 0.0)

    def ceiling(self, reasons: Sequence[Reason]) -> Action:
        """The highest step that these signs may lead to, however high the score."""
        return self._ceiling([(r.code, r.version) for r in reasons], [r.weight for r in reasons])

    def _ceiling(self, named: Iterable[tuple[str, str]], weights: Iterable[float]) -> Action:
        against = (
            ACTIONS[self._spec(*each).ceiling] for each, weight in zip(named, weights, strict=True) if weight > 0
        )
        return max(against, default=Action.ALLOW)

    def weigh(self, evidence: Evidence) -> float:
        """The weight of a sign: its own (a list entry may carry one), or the policy's."""
        return self._weight(evidence.code, evidence.version, evidence.weight)

    def _weight(self, code: str, version: str, own: float | None) -> float:
        if code not in self._specs:
            return 0.0
        return self._spec(code, version).weight if own is None else own

    def _spec(self, code: str, version: str) -> SymbolPolicy | Composite:
        """What a symbol weighs; a predecessor what it weighed."""
        if self._before and (older := self._before.get((code, version))):
            return older.rule if isinstance(older.rule, Composite) else older.symbol or self._specs[code]
        return self._specs[code]

    def _reason(self, e: Evidence, weight: float) -> Reason:
        older = self._before.get((e.code, e.version)) if self._before else None
        zh, en = (older.rule.zh, older.rule.en) if older else self._words[e.code]
        return Reason(e.code, e.rule, e.version, weight, zh, en, e.span, e.detail)
