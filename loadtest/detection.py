"""What was caught of the fraud in a log, how late, and whom it troubled: per pattern, from the truth and the decisions.

A measure is a decision of warn or more. A pattern is the class of fraudulent events (label fraud or illegal). An event
belongs to the number that acts in it, as the log has it (``a_e164``, else ``a_number``). One without a decision is one
without a measure.

    recall             by event: those with a measure. By number, by operation: those with at least one
    precision          of what has a measure in this pattern and in all that is not fraudulent, the pattern's part: what
                       the precision would be were this the only fraud. Measures do not say which pattern they are for
    contacts before    call attempts and SMS of a number before its first measure; 0: measured at once. Percentiles are
                       over all numbers, one that is never measured counts as infinite (None): leaving those out would
                       make what catches little look quick
    victims before     those (truth: ``victim``) who answered a call, or were sent an SMS, of a number that had no
                       measure yet. Each counts once in a pattern
    wrongly measured   innocent numbers with a measure for what is no fraud, by what they are, so that hard benign
                       callers (couriers, banks, schools) show. Innocent is whom the subjects have as such, a bank whose
                       number others pretend included; of all others, who acts in no fraud

Rates come with Wilson's interval, 95 %.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from detectors.model.events import CallEvent, CardEvent, Event, SmsEvent
from loadtest.score import Score, percentile, predicted_positive, rounded, wilson
from loadtest.truth import FRAUDULENT

UNDECIDED: Final = "undecided"  #: in place of an action
ORDINARY: Final = "ordinary"  #: class of a number that is not among the subjects


class Truth(Protocol):
    """What an event really is, and who is behind it."""

    @property
    def label(self) -> str:
        """fraud, illegal, ad, ham or other."""

    @property
    def cls(self) -> str:
        """The finer class."""

    @property
    def operation(self) -> str:
        """Name of the fraud operation; "" for benign traffic."""

    @property
    def victim(self) -> bool:
        """Whether the other side is somebody whom the operation tries to cheat."""


class Subject(Protocol):
    """What a number really is."""

    @property
    def label(self) -> str:
        """As for events."""

    @property
    def cls(self) -> str:
        """The finer class: subscriber, courier, ..."""


@dataclass
class _Number:
    """A number in a pattern, in the order of the log."""

    contacts: int = 0  #: before the first measure
    measured: bool = False


@dataclass
class _Pattern:
    score: Score = field(default_factory=Score)
    actions: Counter[str] = field(default_factory=Counter)
    numbers: defaultdict[str, _Number] = field(default_factory=lambda: defaultdict(_Number))
    operations: dict[str, bool] = field(default_factory=dict)  #: name -> found
    victims: dict[str, bool] = field(default_factory=dict)  #: number -> reached before the first measure

    def add(self, event: Event, truth: Truth, action: str) -> None:
        measured, number = _measured(action), self.numbers[_acting(event)]
        self.score.count(positive=True, predicted=measured)
        self.actions[action] += 1
        if truth.operation:
            self.operations[truth.operation] = measured or self.operations.get(truth.operation, False)
        number.measured |= measured
        number.contacts += not number.measured and _makes_contact(event)
        if truth.victim and (other := _reached(event)):
            self.victims[other] = self.victims.get(other, False) or not number.measured


class Detection:
    """Everything that a log's decisions amount to. Feed it with ``add`` in the order of the log.

    Args:
        subjects: number -> what it is.
    """

    def __init__(self, subjects: Mapping[str, Subject]) -> None:
        self._subjects = subjects
        self._patterns: defaultdict[str, _Pattern] = defaultdict(_Pattern)
        self._benign: defaultdict[str, bool] = defaultdict(bool)  # number -> measured in an event that is no fraud
        self._classes: defaultdict[str, Score] = defaultdict(Score)  # of events that are no fraud, by the number's
        self._actions: Counter[str] = Counter()

    def add(self, event: Event, truth: Truth, action: str) -> None:
        """The next event, and what was done about it; ``UNDECIDED`` if there is no decision."""
        self._actions[action] += 1
        if truth.label in FRAUDULENT:
            self._patterns[truth.cls].add(event, truth, action)
            return
        number, measured = _acting(event), _measured(action)
        self._benign[number] |= measured
        self._classes[self._class(number)].count(positive=False, predicted=measured)

    def report(self) -> dict[str, Any]:
        """For JSON: ``overall``, ``patterns`` by name, ``benign`` by class, ``by_action``."""
        benign = Score(fp=sum(part.fp for part in self._classes.values()), tn=sum(p.tn for p in self._classes.values()))
        fraud = [pattern.score for pattern in self._patterns.values()]
        everything = Score(sum(s.tp for s in fraud), benign.fp, sum(s.fn for s in fraud), benign.tn)
        return {
            "overall": everything.report() | self._people(),
            "patterns": {name: _pattern(part, benign.fp) for name, part in sorted(self._patterns.items())},
            "benign": self._by_class(),
            "by_action": dict(self._actions),
        }

    def _class(self, number: str) -> str:
        return subject.cls if (subject := self._subjects.get(number)) else ORDINARY

    def _innocent(self) -> dict[str, bool]:
        """Number -> measured in what is no fraud."""
        used = {number for pattern in self._patterns.values() for number in pattern.numbers}
        subjects = self._subjects
        return {
            number: measured
            for number, measured in self._benign.items()
            if (subjects[number].label not in FRAUDULENT if number in subjects else number not in used)
        }

    def _people(self) -> dict[str, Any]:
        innocent = self._innocent()
        wrong, numbers = sum(innocent.values()), [n for p in self._patterns.values() for n in p.numbers.items()]
        found = len({number for number, seen in numbers if seen.measured})
        return {
            "fraud_numbers": _share(found, len({number for number, _ in numbers})),
            "benign_numbers_measured": _share(wrong, len(innocent)),
            "precision_by_number": _share(found, found + wrong),
        }

    def _by_class(self) -> dict[str, Any]:
        people: defaultdict[str, list[bool]] = defaultdict(list)
        for number, measured in self._innocent().items():
            people[self._class(number)].append(measured)
        return {
            name: {
                "events": score.fp + score.tn,
                "events_measured": score.fp,
                "numbers_measured": _share(sum(people[name]), len(people[name])),
            }
            for name, score in sorted(self._classes.items())
        }


def detect(
    events: Iterable[Event],
    actions: Mapping[str, str],
    truth: Mapping[str, Truth],
    subjects: Mapping[str, Subject],
) -> dict[str, Any]:
    """The report on a log. Events without a known truth do not count.

    Args:
        events: in the order of the log.
        actions: event id -> action, of those that were decided.
        truth: by event id.
        subjects: by number, E.164.
    """
    found = Detection(subjects)
    for event in events:
        if known := truth.get(event.id):
            found.add(event, known, actions.get(event.id, UNDECIDED))
    return found.report()


def _pattern(pattern: _Pattern, false_alarms: int) -> dict[str, Any]:
    score, numbers = pattern.score, pattern.numbers.values()
    before = sorted(number.contacts if number.measured else math.inf for number in numbers)
    return {
        "events": _share(score.tp, score.tp + score.fn),
        "numbers": _share(sum(number.measured for number in numbers), len(numbers)),
        "operations": _share(sum(pattern.operations.values()), len(pattern.operations)),
        "precision": _share(score.tp, score.tp + false_alarms),
        "contacts_before_measure": {name: _finite(percentile(before, at)) for name, at in (("p50", 50), ("p90", 90))},
        "victims": {"reached": len(pattern.victims), "before_measure": sum(pattern.victims.values())},
        "by_action": dict(pattern.actions),
    }


def _share(hits: int, total: int) -> dict[str, Any]:
    return {
        "of": total,
        "hits": hits,
        "share": rounded(hits / total if total else None),
        "share_95": wilson(hits, total),
    }


def _finite(value: float | None) -> int | None:
    return None if value is None or math.isinf(value) else int(value)


def _measured(action: str) -> bool:
    return action != UNDECIDED and predicted_positive(action)


def _acting(event: Event) -> str:
    return event.a_e164 or event.a_number


def _makes_contact(event: Event) -> bool:
    """A call attempt or an SMS; a long one counts once."""
    if isinstance(event, CallEvent):
        return event.phase == "attempt"
    return isinstance(event, SmsEvent) and event.segment == 1


def _reached(event: Event) -> str:
    """Whom the event reaches; "" if nobody yet."""
    if isinstance(event, CardEvent) or (isinstance(event, CallEvent) and event.phase != "answered"):
        return ""
    return event.b_e164 or event.b_number
