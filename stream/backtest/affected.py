"""Whom a change concerns, masked, each with one event and why it is decided so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from detectors.engine import Snapshot
from detectors.lists import NumberLists
from detectors.model.decision import Action, Decision
from detectors.model.numbers import mask
from stream.backtest.found import SIDES, Backtest, Example, Rule, Subscriber, rule_of
from stream.backtest.rests import Rests
from stream.clock import iso

#: What may become of an event or of a subscriber. Each changed one is in one of them.
CHANGES: Final = ("newly_blocked", "released", "stronger", "weaker")
_NUMBER: Final = re.compile(r"\+?[0-9]{7,}")


class Sides(NamedTuple):
    """What was compared."""

    before: Snapshot
    after: Snapshot


class Shown(NamedTuple):
    """What the report is to say.

    Attributes:
        blocked_from: the weakest action that counts as blocked.
        examples: subscribers per kind of change, at most.
        labelled: whether there were labels.
    """

    blocked_from: Action
    examples: int
    labelled: bool


def kind_of(before: Action, after: Action, blocked_from: Action) -> str:
    """The kind of a change; "" if there is none."""
    if before == after:
        return ""
    if (before < blocked_from) != (after < blocked_from):
        return "newly_blocked" if after > before else "released"
    return "stronger" if after > before else "weaker"


def kind_of_subscriber(subscriber: Subscriber, blocked_from: Action) -> str:
    """By the strongest action; "other" where only events below it changed."""
    other = "other" if subscriber.stronger or subscriber.weaker else ""
    return kind_of(subscriber.before, subscriber.after, blocked_from) or other


def affected(found: Backtest, sides: Sides, shown: Shown) -> dict[str, list[dict[str, Any]]]:
    """Those to whom most happens first: the greatest step, then the most events, then the earliest."""
    groups: dict[str, list[tuple[Subscriber, Example]]] = {name: [] for name in CHANGES}
    for subscriber in found.subscribers.values():
        kind = kind_of_subscriber(subscriber, shown.blocked_from)
        example = subscriber.rise if kind in ("newly_blocked", "stronger") else subscriber.drop
        if kind in groups and example:
            groups[kind].append((subscriber, example))
    rests = Rests(sides.before), Rests(sides.after)
    return {
        kind: [
            _subscriber(subscriber, example, rests)
            for subscriber, example in sorted(group, key=_most_affected)[: shown.examples]
        ]
        for kind, group in groups.items()
    }


def _most_affected(row: tuple[Subscriber, Example]) -> tuple[int, int, int]:
    subscriber, example = row
    return -abs(subscriber.after - subscriber.before), -subscriber.stronger - subscriber.weaker, example.position


def _subscriber(subscriber: Subscriber, example: Example, rests: Sequence[Rests]) -> dict[str, Any]:
    decisions = example.before, example.after
    stated = zip(SIDES, decisions, rests, strict=True)
    return {
        "subscriber": mask(example.after.subject),
        "before": subscriber.before.wire,
        "after": subscriber.after.wire,
        "stronger_events": subscriber.stronger,
        "weaker_events": subscriber.weaker,
        "example": {
            "position": example.position,
            "event": _event_name(example),
            "kind": example.after.kind,
            "time": iso(example.after.time),
            "other": mask(example.b),
            **{side: _explained(decision, each.on(decision)) for side, decision, each in stated},
        },
    }


def _event_name(example: Example) -> str:
    """The event's id; "" if it holds a number of those who take part in it."""
    numbers = (number.removeprefix("+86") for number in (example.after.subject, example.b))
    name = example.after.event_id
    return "" if any(number and number in name for number in numbers) else name


def _explained(decision: Decision, rests: Iterable[Rule]) -> dict[str, Any]:
    """The reasons in words, without their details and places in the text."""
    return {
        "action": decision.action,
        "score": decision.score,
        "reasons": [
            {"code": r.code, "version": version(rule_of(r)), "weight": r.weight, "zh": r.zh, "en": r.en}
            for r in decision.reasons
        ],
        "rests_on": [rule.code for rule in rests],
    }


def version(rule: Rule) -> str:
    """Of a sign from a list the source, which is whatever the file says: every number in it is masked."""
    if rule.code not in NumberLists.CODES:
        return rule.version
    return _NUMBER.sub(lambda number: mask(number[0]), rule.version)
