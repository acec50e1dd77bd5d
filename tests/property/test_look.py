"""Batches that are looked at together are decided as one after the other: against an engine that does just that."""

from dataclasses import replace
from functools import partial
from itertools import count, repeat
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.contract import Batch
from detectors.engine import Engine
from detectors.registry import Memory, build_detectors
from detectors.rollout import Cap, Stage
from tests.property.test_faults import CLOSED, EAGER, _poison_counting, detectors_of, is_poison, mixed, names
from tests.property.test_rollout import numbers, stages
from tests.support import events as shapes
from tests.support.events import T0
from tests.support.faults import FaultError, Open, failing
from tests.support.trials import (
    AUTOMATON_BEFORE,
    PEOPLE,
    RULES,
    call,
    contents,
    index,
    layer,
    listed,
    memory,
    snapshot,
    streams,
)

SHARDS = 3
caps = st.builds(Stage, st.just("enforce"), cap=st.builds(Cap, st.integers(1, 3)), serial=st.just(5))
rules = st.dictionaries(st.sampled_from(RULES), stages, max_size=6)
feeds = st.dictionaries(st.sampled_from(["base", "trial"]), stages)


class Part(NamedTuple):
    """Events of a shard that are one batch."""

    events: list
    shard: int


#: Of each part: how many events, of which shard, and whether it is the last that is looked at with those before it.
plans = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, SHARDS - 1), st.sampled_from([False, False, False, True])), max_size=12
)
#: Some of it comes again.
repetitive = st.builds(lambda stream, again: stream + stream[:again], streams, st.sampled_from([0, 0, 3, 1000]))
odd = st.lists(shapes.events(), max_size=30)


#: What the time is when a part is decided: what its events say, or so much later than with the one before.
nobodys, halves, minutes = partial(repeat, None), partial(count, T0, 30_000), partial(count, T0, 60_001)


def planned(stream, plan):
    """What is looked at together, a list of parts each; all that the plan leaves is one part more."""
    rounds, at = [[]], 0
    for size, shard, last in [*plan, (len(stream), 0, False)]:
        rounds[-1].append(Part(stream[at : at + size], shard))
        rounds += [[]] if last else []
        at += size
    return rounds


def look(deciding, parts):
    return deciding.look([part.events for part in parts], [part.shard for part in parts])


def together(deciding, rounds, clock=nobodys):
    found, times = [], clock()
    for parts in rounds:
        seen = look(deciding, parts)
        for part, its in zip(parts, seen, strict=True):
            found.append(deciding.decide_seen(its, next(times), shard=part.shard))
    return found


def one_by_one(deciding, rounds, clock=nobodys):
    times = clock()
    return [deciding.decide(part.events, next(times), shard=part.shard) for parts in rounds for part in parts]


def left(deciding):
    """What is remembered, and what is in force by now."""
    held = [deciding.memory(shard) for shard in range(SHARDS)]
    counted = [(m.windows._young, m.windows._old, m.recent._young, m.recent.duplicates, m.texts._young) for m in held]
    return counted, memory(deciding), deciding.trips, deciding.rules_version, deciding.lists_version


def engine(content=(), trial=(), *, rules=None, feeds=None, staged=False, **more):
    shot = snapshot(AUTOMATON_BEFORE, numbers(content, trial, staged=staged), rules=rules, feeds=feeds)
    return Engine(replace(shot, model=EAGER), max_callers=10_000, **more)


@given(repetitive | odd, plans, contents)
@settings(max_examples=150)
def test_what_is_looked_at_together_is_decided_as_one_by_one(stream, plan, content):
    rounds, deciding, plain = planned(stream, plan), engine(content), engine(content)
    assert together(deciding, rounds) == one_by_one(plain, rounds)
    assert left(deciding) == left(plain)


on_trial = st.builds(
    partial, st.just(engine), contents, contents, rules=rules, feeds=feeds, staged=st.booleans()
)  # fmt: skip


@given(repetitive, plans, on_trial)
@settings(max_examples=150)
def test_whatever_is_on_trial(stream, plan, make):
    rounds, deciding, plain = planned(stream, plan), make(), make()
    assert together(deciding, rounds) == one_by_one(plain, rounds)
    assert left(deciding) == left(plain)


everybody = [listed(f"+86{number}", weight=150.0) for number in PEOPLE]
with_caps = st.builds(
    partial,
    st.just(engine),
    contents | st.just(everybody),
    contents,
    rules=st.dictionaries(st.sampled_from(RULES), st.one_of(caps, caps, stages), min_size=6),
    feeds=st.fixed_dictionaries({"base": caps}),
    staged=st.booleans(),
    guard=st.sampled_from([None, Open()]),
    capped=st.sampled_from([True, True, True, False]),
)


@given(repetitive, plans, with_caps, st.sampled_from([nobodys, halves]))
@settings(max_examples=150)
def test_whatever_the_brake_stops_on_the_way(stream, plan, make, clock):
    rounds, deciding, plain = planned(stream, plan), make(), make()
    assert together(deciding, rounds, clock) == one_by_one(plain, rounds, clock)
    assert left(deciding) == left(plain)


BLOCKED = index(layer([listed(f"+86{number}", source="a", weight=150.0) for number in PEOPLE], "a"))


@pytest.mark.parametrize("name", ["LIST_BLOCK", "feed:a"])
def test_a_trip_between_two_parts_that_were_looked_at_together(name):
    """The third measure is one too many: from there on nobody is blocked, in the next parts neither."""
    kind, key = ("feeds", "a") if name == "feed:a" else ("rules", name)
    deciding = Engine(snapshot(numbers=BLOCKED, **{kind: {key: Stage("enforce", cap=Cap(2))}}))
    calls = [call(number, f"1350000000{n}", n) for n, number in enumerate(PEOPLE)]
    found = together(deciding, [[Part(calls[:2], 0), Part(calls[2:4], 1), Part(calls[4:6], 0), Part(calls[6:], 2)]])
    assert [[d.action for d in each] for each in found] == [["block"] * 2, *([["allow"] * 2] * 3)]
    assert [d.shadow.action for each in found[1:] for d in each] == ["block"] * 6
    assert [trip.name for trip in deciding.trips] == [name]
    assert len({(d.rules, d.lists) for each in found[1:] for d in each}) == 1
    assert (found[0][0].rules, found[0][0].lists) != (found[1][0].rules, found[1][0].lists)


def test_after_a_trip_the_time_is_still_that_which_is_told():
    """One measure a minute: feed a trips within the first part, feed b never, as each part is a minute later."""
    feed_a, feed_b = ([listed(f"+86{n}", source=name, weight=150.0) for n in PEOPLE] for name in "ab")
    numbers_ = index(layer(feed_a[:2], "a"), layer(feed_b[2:], "b"))
    stage = Stage("enforce", cap=Cap(1))
    deciding = Engine(snapshot(numbers=numbers_, feeds={"a": stage, "b": stage}))
    calls = [call(number, f"1350000000{n}", n) for n, number in enumerate(PEOPLE)]
    found = together(deciding, [[Part(calls[:2], 0), *(Part([each], 0) for each in calls[2:])]], minutes)
    assert [d.action for each in found for d in each] == ["block", "allow", *["block"] * 6]
    assert [(trip.name, trip.time) for trip in deciding.trips] == [("feed:a", T0)]


@given(repetitive, plans, contents, st.lists(st.none() | st.integers(0, 2), max_size=12))
@settings(max_examples=100)
def test_whoever_swaps_between_two_parts_need_not_know_that_they_were_looked_at(stream, plan, content, swaps):
    others = engine(content), engine(), engine(content, rules={"CALL_ANY": Stage("shadow")})
    deciding, plain = engine(content), engine(content)
    for parts in planned(stream, plan):
        for part, its in zip(parts, look(deciding, parts), strict=True):
            if swaps and (other := swaps.pop()) is not None:
                deciding.swap(others[other].snapshot)
                plain.swap(others[other].snapshot)
            assert deciding.decide_seen(its, shard=part.shard) == plain.decide(part.events, shard=part.shard)


#: With events on which a detector raises.
poisoned = st.builds(mixed, streams, st.lists(st.integers(0, 500), min_size=1, max_size=9))


@given(poisoned, plans, contents, names, st.sampled_from([{}, CLOSED]))
@settings(max_examples=100)
def test_the_events_on_which_a_detector_raises_are_the_same(stream, plan, content, name, on_fault):
    counts = next(d.counts for d in detectors_of() if d.name == name)
    guards, rounds = (Open(), Open()), planned(stream, plan)

    def raises(asked, batch):
        return not counts and asked == name and any(is_poison(e) for e in batch.events)

    with failing(raises), pytest.MonkeyPatch.context() as patched:
        if counts:
            _poison_counting(patched, name)
        deciding, plain = (engine(content, guard=guard, on_fault=on_fault) for guard in guards)
        found = together(deciding, rounds)
        assert found == one_by_one(plain, rounds)
    assert left(deciding) == left(plain)
    told = {name for each in found for d in each for name in d.degraded}
    assert told == {name for guard in guards for name, _ in guard.heard}
    assert told <= {name}


@given(repetitive, plans, contents, st.sets(names, min_size=1))
@settings(max_examples=60)
def test_what_is_off_is_lacking_all_the_same(stream, plan, content, off):
    guard = Open(frozenset(off))
    rounds, deciding, plain = planned(stream, plan), engine(content, guard=guard), engine(content, guard=guard)
    found = together(deciding, rounds)
    assert found == one_by_one(plain, rounds)
    assert {name for each in found for d in each for name in d.degraded} <= off


@given(poisoned, plans, contents, st.sampled_from([d.name for d in detectors_of() if not d.counts]))
@settings(max_examples=60)
def test_a_look_that_raises_has_counted_nothing(stream, plan, content, name):
    """Nobody guards here: the parts may be decided as if nobody had looked."""
    rounds, raising = planned(stream, plan), [name]
    with failing(lambda asked, batch: asked in raising and any(is_poison(e) for e in batch.events)):
        deciding, plain = engine(content), engine(content)
        for parts in rounds:
            if any(is_poison(e) for part in parts for e in part.events):
                with pytest.raises(FaultError):
                    look(deciding, parts)
        raising.clear()
        assert one_by_one(deciding, rounds) == one_by_one(plain, rounds)


def test_nothing_is_looked_at_in_no_parts():
    assert engine().look([], []) == []
    assert [each.batch.events for each in engine().look([[], []], [0, 1])] == [[], []]


def looked_at(events, shot, lacking):
    """By all who count nothing."""
    batch, nothing = Batch(events, rollout=shot.rollout), Memory.empty(shot.rules, max_callers=1_000)
    for detector in build_detectors(shot.rules, shot.lists, shot.automaton, nothing, shot.model):
        if not detector.counts:
            detector.inspect(batch)
    for i in lacking.intersection(range(len(events))):
        batch.lack(i, "score")
    return batch


@given(repetitive | odd, plans, on_trial, st.frozensets(st.integers(0, 40)))
@settings(max_examples=150)
def test_a_batch_in_parts_holds_what_batches_of_them_would(stream, plan, make, lacking):
    parts, shot, start = [part.events for parts in planned(stream, plan) for part in parts], make().snapshot, 0
    cut = looked_at(stream, shot, lacking).cut(map(len, parts))
    assert len(cut) == len(parts)
    for found, events in zip(cut, parts, strict=True):
        alone = looked_at(events, shot, {i - start for i in lacking})
        start += len(events)
        assert found.keys.tolist() == alone.keys.tolist()
        assert (found.texts.normalised, found.texts.haystack) == (alone.texts.normalised, alone.texts.haystack)
        assert found.dialled == alone.dialled
        for name in set(Batch.__slots__) - {"_texts", "_dialled", "keys"}:
            assert getattr(found, name) == getattr(alone, name), name
