"""Why an event was decided as it was: what fired, how the score came about, what nearly fired, what would change it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from msgspec import Struct

from detectors.contract import NearMiss
from detectors.engine import Engine, Examination
from detectors.model.decision import Action, Decision, Evidence
from detectors.model.events import Event
from detectors.policy.policy import ALLOWED, PROTECTED, GroupSum, Policy, Verdict


class Change(Struct, frozen=True):
    """Had the signs ``without`` not been there, the action would have been ``action``."""

    without: tuple[str, ...]
    action: str


class Explanation(Struct, frozen=True):
    """Everything that an analyst needs to defend or to correct a decision.

    Attributes:
        shares: how each group of symbols entered the score.
        reached: the step that the score alone reaches.
        ceiling: the highest step that these signs may lead to.
        next_step, points: the step above the decided one and how many points were missing; "" at the top.
        override: ``PROTECTED`` or ``LIST_ALLOW`` when that, not the score, decided.
        near: what nearly fired.
        changes: which signs the action rests on.
    """

    decision: Decision
    shares: tuple[GroupSum, ...]
    score: float
    reached: str
    ceiling: str
    next_step: str
    points: float
    override: str
    near: tuple[NearMiss, ...]
    changes: tuple[Change, ...]


def explain(engine: Engine, event: Event) -> Explanation:
    """Decide ``event`` and explain. It counts in the engine's windows like any other event."""
    seen = engine.examine(event)
    policy = engine.snapshot.policy
    rollout, subject = engine.snapshot.rollout, seen.decision.subject

    def judge(evidence: Sequence[Evidence], *, protected: bool) -> Verdict:
        return policy.judge(evidence, protected=protected, acts=lambda rule: rollout.rule_acts(rule, subject))

    judged = judge([e for e in seen.evidence if e.code != ALLOWED], protected=False)
    following = [step for step in Action if step > Action[seen.decision.action.upper()]]
    codes = {reason.code for reason in seen.decision.reasons}
    return Explanation(
        decision=seen.decision,
        shares=tuple(policy.shares(judged.reasons)),
        score=judged.score,
        reached=policy.reached(judged.score).wire,
        ceiling=policy.ceiling(judged.reasons).wire,
        next_step=following[0].wire if following else "",
        points=round(max(0.0, policy.needed(following[0]) - judged.score), 3) if following else 0.0,
        override=next((code for code in (PROTECTED, ALLOWED) if code in codes), ""),
        near=seen.near,
        changes=_changes(policy, judge, seen),
    )


def _changes(policy: Policy, judge: Callable[..., Verdict], seen: Examination) -> tuple[Change, ...]:
    """Each sign whose absence alone changes the action; and the fewest of the strongest without which it passes."""
    decided, allow = seen.decision.action, Action.ALLOW.wire

    def without(codes: Collection[str], *, protected: bool = seen.protected) -> str:
        rest = [e for e in seen.evidence if e.code not in codes]
        return judge(rest, protected=protected).action.wire

    changes = []
    if seen.protected and (action := without((), protected=False)) != decided:
        changes.append(Change((PROTECTED,), action))
    strength: dict[str, float] = {}
    for e in seen.evidence:
        strength[e.code] = strength.get(e.code, 0.0) + policy.weigh(e)
    alone = ((code, without([code])) for code in strength)
    changes += [Change((code,), action) for code, action in alone if action != decided]
    if decided != allow and all(change.action != allow for change in changes):
        codes = sorted(strength, key=lambda code: -strength[code])
        sets = (tuple(codes[:n]) for n in range(2, len(codes) + 1))
        changes += [Change(codes, allow) for codes in sets if without(codes) == allow][:1]
    return tuple(changes)
