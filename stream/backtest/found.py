"""What a back-test finds, in one process or in all. Everything in it adds up, so how shards were split over processes
changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from msgspec import Struct

from detectors.lists import NumberLists
from detectors.model.decision import ACTIONS, Action, Decision, Reason
from detectors.model.events import Event
from detectors.model.numbers import Canonical

Side = Literal["before", "after"]
SIDES: Final[tuple[Side, Side]] = ("before", "after")


class Truth(NamedTuple):
    """What an event really is, as the labels have it; "" where they say nothing."""

    label: str
    cls: str


UNKNOWN: Final = Truth("", "")


class Rule(NamedTuple):
    """A rule as it is counted.

    Attributes:
        version: of the rule; of a sign from a list the source that says so, as one more entry would be a new version.
    """

    code: str
    version: str


class Move(NamedTuple):
    """What became of an event: the action before and after."""

    kind: str
    before: str
    after: str
    truth: Truth


class Example(Struct, frozen=True):
    """An event whose decision changes.

    Attributes:
        position: of its line in the whole log, from 0, blank lines not counted.
        b: canonical other number; "" if there is none.
    """

    position: int
    before: Decision
    after: Decision
    b: Canonical


@dataclass(slots=True)
class Subscriber:
    """A subject of whom at least one decision is no allowance.

    Attributes:
        before, after: the strongest action.
        stronger, weaker: events whose action is that after the change.
        rise, drop: the example of each: strongest action, then greatest change, then earliest.
    """

    before: Action = Action.ALLOW
    after: Action = Action.ALLOW
    stronger: int = 0
    weaker: int = 0
    rise: Example | None = None
    drop: Example | None = None

    def add(self, other: Subscriber) -> None:
        """Take over what was found about the same subject."""
        self.before, self.after = max(self.before, other.before), max(self.after, other.after)
        self.stronger += other.stronger
        self.weaker += other.weaker
        self.rise = _better(self.rise, other.rise, _rise)
        self.drop = _better(self.drop, other.drop, _drop)


@dataclass
class Backtest:
    """Counts of events, unless something else is said.

    Attributes:
        fired: by side, rule and truth.
        alone: by side and rule: without it alone the action would be weaker.
        pushed: by rule, action before and action after: the rule is what changed.
        together: by side and two rules that fired on the same event.
        subscribers: by canonical number; whose number is withheld by ``?`` and the event's id.
        sample: the first events of the log, by position: for the cost.
    """

    moves: Counter[Move] = field(default_factory=Counter)
    fired: Counter[tuple[Side, Rule, Truth]] = field(default_factory=Counter)
    alone: Counter[tuple[Side, Rule]] = field(default_factory=Counter)
    pushed: Counter[tuple[Rule, str, str]] = field(default_factory=Counter)
    together: Counter[tuple[Side, Rule, Rule]] = field(default_factory=Counter)
    subscribers: dict[str, Subscriber] = field(default_factory=dict)
    sample: dict[int, Event] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """Decided by both sides."""
        return self.moves.total()


def merge(results: Iterable[Backtest]) -> Backtest:
    """What all processes have found."""
    total = Backtest()
    for found in results:
        for mine, others in (
            (total.moves, found.moves),
            (total.fired, found.fired),
            (total.alone, found.alone),
            (total.pushed, found.pushed),
            (total.together, found.together),
        ):
            mine.update(others)  # type: ignore[arg-type]  # both have the same kind of key
        for name, subscriber in found.subscribers.items():
            total.subscribers.setdefault(name, Subscriber()).add(subscriber)
        total.sample |= found.sample
    return total


def rule_of(reason: Reason) -> Rule:
    """The rule that a reason is counted under."""
    return Rule(reason.code, reason.rule if reason.code in NumberLists.CODES else reason.version)


def _rise(example: Example) -> tuple[int, int, int]:
    before, after = ACTIONS[example.before.action], ACTIONS[example.after.action]
    return -after, before - after, example.position


def _drop(example: Example) -> tuple[int, int, int]:
    before, after = ACTIONS[example.before.action], ACTIONS[example.after.action]
    return -before, after - before, example.position


def _better(one: Example | None, other: Example | None, order: Callable[[Example], Any]) -> Example | None:
    return min((each for each in (one, other) if each is not None), key=order, default=None)
