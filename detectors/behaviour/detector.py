"""Signs from what a caller does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from detectors.behaviour.novelty import Novelty
from detectors.behaviour.window import COUNTER_AT, COUNTERS, FIELD, CallerWindows, View
from detectors.contract import Batch, Detector, NearMiss
from detectors.model.decision import Evidence
from detectors.model.events import CallEvent, CardEvent, SmsEvent
from detectors.model.numbers import Canonical
from detectors.rulepack import BehaviourRule

_NEWNESS: Final = ("new_number", "woken_number")
_CHANGES: Final = ("cell_changes", "region_changes", "imei_changes")
_DERIVED: Final[dict[str, Callable[[View], int]]] = {
    "distinct_callees": View.contacts,
    "unanswered_percent": View.unanswered_percent,
    "short_percent": View.short_percent,
    "silent_percent": View.silent_percent,
    "ring_seconds": View.ring_seconds,
    "talk_seconds": View.talk_seconds,
}
#: Events of a caller from which rules about a change are looked at also with events that bring none. A constant, so
#: that what one rule finds does not depend on which others there are: they may be in shadow.
_SETTLED: Final = 6
_NEVER: Final = 1 << 30
_MOST_JUDGED: Final = 20_000  #: callers of a shard of whom is kept when they are to be judged again: 3 MB
_NEAR: Final = 0.7  #: part of a threshold that is told as "nearly"


class CallBehaviour(Detector):
    """Counts what a caller does and says when the thresholds of a rule are reached; the code is the rule's id."""

    name = "behaviour"
    counts = True

    def __init__(self, rules: Sequence[BehaviourRule], windows: CallerWindows, novelty: Novelty) -> None:
        self._rules = sorted(map(_compiled, rules), key=lambda each: each.base)
        self._windows, self._novelty = windows, novelty
        # Below so many events no rule can fire, but those about a change, which is told apart.
        self._lowest = min((_looked_at(each.base, each.rule) for each in self._rules), default=1 << 62)
        self._no_change = [each for each in self._rules if each.rule.measure not in _CHANGES]
        self._gates = _gates(self._rules)
        self._gates_of_known = _gates([each for each in self._rules if not _is_about_new(each)])
        # Of a caller that was judged: at which further event the next rule can fire at the soonest. None before that.
        self._next: dict[Canonical, int] = {}

    @property
    def codes(self) -> frozenset[str]:
        """The ids of its rules."""
        return frozenset(each.rule.id for each in self._rules)

    def inspect(self, batch: Batch) -> None:
        count, novelty, a, lowest, repeated = self._windows.count, self._novelty, batch.a, self._lowest, batch.repeated
        if len(self._next) > _MOST_JUDGED:
            self._next.clear()
        soonest = self._next
        numbers, bits = batch.dialled
        # In the order of the events, calls and SMS mixed: a sign must not depend on how they fell into batches.
        for i, (event, caller, number, bit) in enumerate(zip(batch.events, a, numbers, bits, strict=True)):
            try:
                kind = type(event)
                if not caller or (kind is CallEvent and event.direction != "originating"):  # type: ignore[union-attr]
                    continue
                if kind is SmsEvent:  # once a message, and not the ports of enterprises, which send in bulk
                    if event.segment != 1 or event.route == "port" or caller[0] != "+":  # type: ignore[union-attr]
                        continue
                elif kind is CardEvent and not self._was_used(caller, event):  # type: ignore[arg-type]
                    continue
                if i in repeated:  # judged by what was counted when it came first
                    self._judge(batch, i, caller, event.time, -self._windows.view(caller).count("events"))
                    continue
                events = count(caller, number, bit, event)
                if events == 1:
                    novelty.heard(caller, event.time)
                # Whoever comes from below to the lowest is judged anew: what came before that is not in ``soonest``.
                if events > lowest and (left := soonest.get(caller, 0)) > 1:
                    soonest[caller] = left - 1
                elif events < 0 or events >= lowest:
                    soonest[caller] = self._judge(batch, i, caller, event.time, events)
            except Exception as error:  # noqa: BLE001 - raised again where nobody guards
                batch.failed(i, error)

    def _was_used(self, caller: Canonical, event: CardEvent) -> bool:
        """Whether somebody did something; a count is told later, with a time of up to 30 days ago."""
        if event.phase in ("activated", "woke"):
            self._novelty.woke(caller, event.time)
            self._next.pop(caller, None)
        return event.phase != "counted"

    def near(self, batch: Batch) -> Iterator[NearMiss]:
        """Rules whose every measure is most of the way to its threshold."""
        event, caller = batch.events[0], batch.a[0]
        view = self._windows.view(caller)
        for _, rule, needed, _, _ in self._rules:
            found = [(n, self._measure(n, view, caller, event.time), t) for n, t in needed]
            if all(value >= _NEAR * t for _, value, t in found) and any(value < t for _, value, t in found):
                lacks = ", ".join(f"{name} {value} of {t}" for name, value, t in found)
                yield NearMiss(rule.id, rule.id, str(rule.version), lacks)

    def _judge(self, batch: Batch, i: int, caller: Canonical, time: int, events: int) -> int:
        """``events`` of the caller; negative where something may have changed with this one.

        Returns:
            At which further event of the caller a rule can fire at the soonest, but for events that bring a change: an
            event adds at most one to each counter.
        """
        view = self._windows.view(caller)
        before, now = view.halves
        if events > 0 and (soonest := self._soonest(caller, before, now)) > 0:
            return min(soonest, _SETTLED - events) if events < _SETTLED else soonest
        soonest = _NEVER
        for base, rule, needed, counters, others in self._no_change if 0 < events < _SETTLED else self._rules:
            if base > abs(events):
                soonest = min(soonest, base - abs(events))
                break
            for at, threshold, changes in counters:  # what costs least first; nearly every rule ends here
                lacks = threshold - (before >> at & FIELD) - (now >> at & FIELD)
                if lacks > 0:
                    if lacks < soonest and not changes:
                        soonest = lacks
                    break
            else:
                lacking = next((n for n, t in others if self._measure(n, view, caller, time) < t), None)
                if lacking not in _NEWNESS or self._novelty.remembers(caller):
                    soonest = 0
                if lacking is None:
                    detail = " ".join(f"{name}={self._measure(name, view, caller, time)}" for name, _ in needed)
                    batch.add(i, Evidence(rule.id, rule.id, str(rule.version), detail=detail))
        return min(soonest, _SETTLED - events) if 0 < events < _SETTLED else soonest

    def _soonest(self, caller: Canonical, before: int, now: int) -> int:
        """At which further event a rule can fire at the soonest; 0 or less: maybe with this one. By one counter of
        each rule only: many rules share few counters, and for nearly all callers this is the whole judgement.
        """
        soonest = _NEVER
        for at, threshold, changes in self._gates if self._novelty.remembers(caller) else self._gates_of_known:
            lacks = threshold - (before >> at & FIELD) - (now >> at & FIELD)
            if lacks < soonest and (lacks <= 0 or not changes):
                soonest = lacks
        return soonest

    def _measure(self, name: str, view: View, caller: Canonical, time: int) -> int:
        if name in COUNTERS:
            return view.count(name)
        if name == "new_number":
            return int(self._novelty.is_new(caller, time))
        if name == "woken_number":
            return int(self._novelty.is_woken(caller, time))
        return _DERIVED[name](view)


class _Compiled(NamedTuple):
    """A rule with what it needs: a measure and its threshold each.

    Attributes:
        base: events below which it cannot fire.
        counters: those that are counters, by their place in ``View.halves``, and whether they count changes.
        others: the rest, what costs least first.
    """

    base: int
    rule: BehaviourRule
    needed: list[tuple[str, int]]
    counters: list[tuple[int, int, bool]]
    others: list[tuple[str, int]]


def _compiled(rule: BehaviourRule) -> _Compiled:
    needed = _needed(rule)
    counters = [(COUNTER_AT[name], threshold, name in _CHANGES) for name, threshold in needed if name in COUNTER_AT]
    others = [(name, threshold) for name, threshold in needed if name not in COUNTER_AT]
    others.sort(key=lambda each: each[0] not in _NEWNESS)
    return _Compiled(_base(rule), rule, needed, counters, others)


def _gates(rules: Sequence[_Compiled]) -> list[tuple[int, int, bool]]:
    """Of each rule one counter without which it cannot fire, and of each counter the lowest threshold: where it is, the
    threshold, and whether it counts changes. A rule without counters needs events.
    """
    lowest: dict[tuple[int, bool], int] = {}
    for base, _, _, counters, _ in rules:
        at, threshold, changes = min(counters, key=lambda each: each[2], default=(COUNTER_AT["events"], base, False))
        lowest[at, changes] = min(threshold, lowest.get((at, changes), threshold))
    return [(at, threshold, changes) for (at, changes), threshold in sorted(lowest.items())]


def _is_about_new(compiled: _Compiled) -> bool:
    return any(name in _NEWNESS for name, _ in compiled.others)


def _needed(rule: BehaviourRule) -> list[tuple[str, int]]:
    return [(rule.measure, rule.threshold), *rule.also.items()]


def _looked_at(base: int, rule: BehaviourRule) -> int:
    return max(base, _SETTLED) if rule.measure in _CHANGES else base


def _base(rule: BehaviourRule) -> int:
    """Events that a caller must have for the rule to fire. Callees are estimated: maybe from fewer than they seem."""
    counts = [t for name, t in _needed(rule) if name in COUNTERS and name not in _CHANGES]
    return max([*counts, *(t // 2 for name, t in _needed(rule) if name == "distinct_callees"), 1])
