"""What rules cost, measured on the first events of the log.

A family of detectors is timed as a whole. A rule inside it is not: all text rules are one automaton that reads a
message once. So a rule's cost is that of its family with it less that without it, over the same events.

Time is the processor's, so that what else the machine does is not in it; but it shares caches, and shows in the spread.
Everything is measured ``ROUNDS`` times after a round that does not count, both sides in every round and in an order
that changes. Given are the median and the interval from the second lowest to the second highest of nine values, which
holds the true median, whatever the distribution, with 1 - 2 (1 + 9) / 2^9 = 96.1 %. Where it holds 0, the cost of the
rule is lost in the noise.
"""

from __future__ import annotations

import resource
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Final, NamedTuple

from msgspec.structs import replace

from detectors.behaviour import CallBehaviour
from detectors.contract import Batch, Detector
from detectors.engine import Snapshot
from detectors.keywords import Automaton, Keywords
from detectors.model.events import Event
from detectors.registry import Memory, build_detectors
from detectors.rulepack import BehaviourRule, RulePack, TextRule
from stream.backtest.found import SIDES, Side

ROUNDS: Final = 9
#: Events decided at once, as a worker does.
BATCH: Final = 500
#: In a window's memory: enough for the sample, and quick to make.
CALLERS: Final = 50_000
NORMALISE: Final = "normalise"  #: what all families build on: canonical numbers, normalised texts, tokens
POLICY: Final = "policy"  #: of the events about which something was seen


Timed = TextRule | BehaviourRule  #: what has a cost that can be measured; a composite is part of the policy's


Seconds = Callable[[], float]  #: a clock


class Spread(NamedTuple):
    """Microseconds per event that the family looks at."""

    median: float
    low: float
    high: float


class Cost(NamedTuple):
    """What was measured.

    Attributes:
        events: in the sample.
        families: by name and side.
        rules: marginal cost, by id; of what is only in the pack before, what it has cost there.
        left_out: rules that were not measured as they were too many.
    """

    events: int
    families: dict[tuple[str, Side], Spread]
    rules: dict[str, Spread]
    left_out: int


def processor_seconds() -> float:
    """That this process has had a processor."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(
    before: Snapshot, after: Snapshot, events: Sequence[Event], clock: Seconds, *, every: bool, most: int
) -> Cost:
    """Measure on some events.

    Args:
        every: all text and behaviour rules of the pack after, not only those that changed.
        most: rules, if not all.
    """
    chunks = [events[start : start + BATCH] for start in range(0, len(events), BATCH)]
    rules = _timed(after.rules) if every else changed(before.rules, after.rules)
    chosen = rules if every else rules[:most]
    there = {rule.id for rule in after.rules.rules}
    marginal = {
        rule.id: _marginal((after if rule.id in there else before).rules, rule, chunks, clock) for rule in chosen
    }
    return Cost(len(events), _families(before, after, chunks, clock), marginal, len(rules) - len(chosen))


def changed(before: RulePack, after: RulePack) -> list[Timed]:
    """Text and behaviour rules that are new, gone, or defined otherwise; the new definition."""
    old, new = ({rule.id: rule for rule in _timed(pack)} for pack in (before, after))
    both = old | new
    return [both[name] for name in sorted(both) if old.get(name) != new.get(name)]


def _timed(pack: RulePack) -> list[Timed]:
    return [*pack.text, *pack.behaviour]


def spread(values: Collection[float]) -> Spread:
    """Of ``ROUNDS`` values."""
    ordered = sorted(values)
    return Spread(median(ordered), ordered[1], ordered[-2])


def _families(
    before: Snapshot, after: Snapshot, chunks: Sequence[Sequence[Event]], clock: Seconds
) -> dict[tuple[str, Side], Spread]:
    sides: list[tuple[Side, Snapshot]] = list(zip(SIDES, (before, after), strict=True))
    found: dict[tuple[str, Side], list[float]] = defaultdict(list)
    for n in range(ROUNDS + 1):
        for side, snapshot in sides if n % 2 else reversed(sides):
            taken = _once(snapshot, chunks, clock)
            if n:
                for name, micros in taken.items():
                    found[name, side].append(micros)
    return {key: spread(values) for key, values in sorted(found.items())}


class _Watch:
    """Seconds by name, and of how many events."""

    def __init__(self, clock: Seconds) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = defaultdict(float)
        self.events: dict[str, int] = defaultdict(int)

    @contextmanager
    def over(self, name: str, events: int) -> Iterator[None]:
        started = self._clock()
        yield
        self.seconds[name] += self._clock() - started
        self.events[name] += events


def _once(snapshot: Snapshot, chunks: Sequence[Sequence[Event]], clock: Seconds) -> dict[str, float]:
    """Microseconds per event, by family."""
    memory = Memory.empty(snapshot.rules, max_callers=CALLERS)
    detectors = build_detectors(snapshot.rules, snapshot.lists, snapshot.automaton, memory, snapshot.model)
    watch, judge = _Watch(clock), snapshot.policy.judge
    for chunk in chunks:
        with watch.over(NORMALISE, len(chunk)):
            batch = Batch(chunk, rollout=snapshot.rollout)
        for detector in detectors:
            with watch.over(detector.name, _looked_at(detector, chunk)):
                detector.inspect(batch)
        with watch.over(POLICY, len(batch.hits)):
            for evidence in batch.hits.values():
                judge(evidence, protected=False)
    return {name: watch.seconds[name] / count * 1e6 for name, count in watch.events.items() if count}


def _looked_at(detector: Detector, events: Sequence[Event]) -> int:
    return sum(type(event) in detector.sees for event in events)


def _marginal(pack: RulePack, rule: Timed, chunks: Sequence[Sequence[Event]], clock: Seconds) -> Spread:
    """Of one rule: its family with it less its family without it."""
    batches = [Batch(chunk) for chunk in chunks]
    make = _text if isinstance(rule, TextRule) else _behaviour
    sides = make(pack, ""), make(pack, rule.id)
    looked = sum(_looked_at(next(sides[0]), chunk) for chunk in chunks)
    differences = []
    for n in range(ROUNDS + 1):
        taken = {i: _seconds(next(sides[i]), batches, clock) for i in ((0, 1) if n % 2 else (1, 0))}
        if n:
            differences.append((taken[0] - taken[1]) / max(1, looked) * 1e6)
    return spread(differences)


def _seconds(detector: Detector, batches: Sequence[Batch], clock: Seconds) -> float:
    for batch in batches:
        batch.hits.clear()
    started = clock()
    for batch in batches:
        detector.inspect(batch)
    return clock() - started


def _text(pack: RulePack, without: str) -> Iterator[Detector]:
    """The same detector for each round. The rules have been proven when the pack was built."""
    rules = tuple(replace(rule, positives=(), near_misses=()) for rule in pack.text if rule.id != without)
    detector = Keywords(Automaton(replace(pack, text=rules, before=())))
    while True:
        yield detector


def _behaviour(pack: RulePack, without: str) -> Iterator[Detector]:
    """A detector that has seen nothing for each round."""
    rules = [rule for rule in pack.behaviour if rule.id != without]
    while True:
        memory = Memory.empty(pack, max_callers=CALLERS)
        yield CallBehaviour(rules, memory.windows, memory.novelty)
