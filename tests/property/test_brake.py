"""The brake against models that keep every measure and every event."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.brake import ENOUGH, Brake
from detectors.engine import Engine
from detectors.keywords import Automaton
from detectors.lists import ListKind
from detectors.model.decision import Action
from detectors.model.events import SmsEvent
from detectors.rollout import Cap, Stage
from detectors.rulepack import load_rules
from tests.support import rules
from tests.support.events import T0
from tests.support.trials import (
    AUTOMATON_BEFORE,
    LOAN,
    RULES,
    contents,
    decide,
    engine,
    index,
    layer,
    listed,
    snapshot,
    streams,
    without,
)

MINUTE = 60_000
steps = st.one_of(st.integers(0, 2_000), st.sampled_from([0, 0, 0, 999, 1_000, 59_999, 60_000, 61_000, -5_000]))
parts = st.sampled_from([1.0, 0.5, 1 / 3, 0.1])
caps = st.builds(Cap, st.none() | st.integers(1, 12), st.none() | st.sampled_from([0.002, 0.01, 0.5, 1.0]))


class Model:
    """Everything is kept."""

    def __init__(self, caps, part):
        self.caps, self.part, self.now = caps, part, 0
        self.events, self.taken = [], {name: [] for name in caps}

    def seen(self, count, now):
        self.now = max(self.now, now)
        self.events.append((self.now, count))

    def take(self, name, now):
        self.now = max(self.now, now)
        cap = self.caps[name]
        lately = [(at, part) for at, part in self.taken[name] if at > self.now - MINUTE]
        # Of events only the second is known: all of one that reaches into the window count.
        events = sum(count for at, count in self.events if at // 1000 * 1000 + 999 > self.now - MINUTE)
        weight = sum(min(1, self.part / part) for _, part in lately)
        refused = cap.per_minute is not None and weight + 1 > max(1, int(cap.per_minute * self.part + 1e-9)) + 1e-9
        refused |= cap.share is not None and events >= ENOUGH and len(lately) + 1 > cap.share * events
        if not refused:
            self.taken[name].append((self.now, self.part))
        return not refused


operations = st.lists(
    st.one_of(
        st.tuples(st.just("seen"), st.sampled_from([1, 3, 400, 999, 1000]), steps),
        st.tuples(st.just("take"), st.sampled_from("ab"), steps),
        st.tuples(st.just("take"), st.sampled_from("ab"), steps),
        st.tuples(st.just("part"), parts, st.just(0)),
        st.tuples(st.just("forget"), st.sampled_from("ab"), st.just(0)),
    ),
    max_size=120,
)


@given(st.fixed_dictionaries({"a": caps, "b": caps}), parts, operations)
@settings(max_examples=400)
def test_a_brake_equals_one_that_keeps_all(caps_, part, log):
    brake, model, now = Brake(caps_, part), Model(caps_, part), T0
    for what, value, step in log:
        now += step
        if what == "seen":
            brake.seen(value, now)
            model.seen(value, now)
        elif what == "part":
            brake.part = model.part = value
        elif what == "forget":
            brake.forget(value)
            model.taken[value] = []
        else:
            asked = brake.over(value, now)
            assert brake.take(value, now) == asked  # asking counts nothing
            assert (asked == "") == model.take(value, now)


@given(st.integers(1, 30), parts, st.lists(st.integers(0, 20_000), max_size=80))
def test_no_60_seconds_have_more_measures_than_the_cap(per_minute, part, gaps):
    brake, now, taken = Brake({"a": Cap(per_minute)}, part), T0, []
    for gap in gaps:
        now += gap
        if not brake.take("a", now):
            taken.append(now)
    limit = max(1, int(per_minute * part + 1e-9))
    assert all(sum(at <= each < at + MINUTE for each in taken) <= limit for at in taken)


# The engine: what fires is drawn, what is decided is worked out by hand


FILES = rules.files(
    rules.TEXT + LOAN, weights=rules.WEIGHTS + 'TEXT_LOAN = {weight = 45, group = "text", ceiling = "challenge"}\n'
)
AUTOMATON = Automaton(load_rules(FILES))
WORDS = {"TEXT_BANK": "工商银行积分", "TEXT_LOAN": "贷款秒批"}
WEIGHT = {"TEXT_BANK": (60, "delay"), "TEXT_LOAN": (45, "challenge")}  # of the group text, whose cap is 90
LISTED = (100, "block")
LADDER = {"label": 20, "warn": 40, "challenge": 55, "delay": 70, "restrict": 85, "block": 100}
FEEDS = ("feed:a", "feed:b")  # of equal entries that of a counts
NAMES = (*WORDS, *FEEDS)


class Fires(NamedTuple):
    """What is drawn: the names that fire on an event, and when it comes."""

    names: frozenset[str]
    step: int


def outcome(names) -> Action:
    texts = [WEIGHT[n] for n in names if n in WEIGHT]
    lists = [LISTED] if any(n in FEEDS for n in names) else []
    score = min(90, sum(w for w, _ in texts)) + sum(w for w, _ in lists)
    reached = max((Action[s.upper()] for s, least in LADDER.items() if score >= least), default=Action.ALLOW)
    return min(reached, max((Action[c.upper()] for _, c in (*texts, *lists)), default=Action.ALLOW))


def expected(log, limits, part) -> tuple[list[tuple[str, set[str]]], list[str]]:
    """Actions with the codes that led to them, and trips, from lists of all measures."""
    taken, tripped, now = {name: [] for name in limits}, [], T0
    actions = []
    for event in log:
        now += event.step
        while True:
            acting = {n for n in event.names if n not in tripped}
            action = outcome(acting)
            spoken = acting - {"feed:b"} if "feed:a" in acting else acting
            led = (spoken & limits.keys()) if outcome(acting - limits.keys()) < action else set()
            over = {
                n
                for n in led
                if sum(at > now - MINUTE for at in taken[n]) >= max(1, int(limits[n] * part + 1e-9))
            }  # fmt: skip
            if not over:
                break
            tripped += sorted(over)
        for name in led:
            taken[name].append(now)
        actions.append((action.wire, {"LIST_BLOCK" if name in FEEDS else name for name in acting}))
    return actions, tripped


def built(log, limits, part) -> tuple[Engine, list[SmsEvent]]:
    now, events, entries = T0, [], {feed: [] for feed in FEEDS}
    for n, event in enumerate(log):
        now += event.step
        number = f"138{n:08}"
        text = " ".join(WORDS[name] for name in WORDS if name in event.names)
        events.append(SmsEvent(id=f"e{n}", time=now, a_number=number, b_number=f"139{n:08}", text=text))
        for feed in FEEDS:
            if feed in event.names:
                entries[feed].append(listed(f"+86{number}", source=feed))
    stages = {name: Stage("enforce", cap=Cap(limit), serial=7) for name, limit in limits.items()}
    deciding = engine(
        AUTOMATON,
        index(*(layer(each, feed.removeprefix("feed:")) for feed, each in entries.items())),
        rules={n: s for n, s in stages.items() if n not in FEEDS},
        feeds={n.removeprefix("feed:"): s for n, s in stages.items() if n in FEEDS},
        part=part,
    )
    return deciding, events


logs = st.lists(
    st.builds(Fires, st.frozensets(st.sampled_from(NAMES)), st.sampled_from([0, 10, 3_000, 20_000, 60_000])),
    max_size=40,
)


@given(logs, st.dictionaries(st.sampled_from(NAMES), st.integers(1, 6)), parts, st.sampled_from([1, 4, 1000]))
@settings(max_examples=400)
def test_what_is_stopped_and_when_equals_a_model_that_keeps_all(log, limits, part, size):
    """In batches of any size, as nothing here is a sign for what comes after."""
    deciding, events = built(log, limits, part)
    actions, tripped = expected(log, limits, part)
    decisions = decide(deciding, events, size)
    assert [(d.action, {reason.code for reason in d.reasons}) for d in decisions] == actions
    assert [trip.name for trip in deciding.trips] == tripped
    assert {trip.serial for trip in deciding.trips} <= {7}


@given(streams, contents, contents, st.data())
@settings(max_examples=100)
def test_caps_that_nothing_reaches_change_nothing(stream, content, trial, data):
    free_stages = {name: Stage("enforce") for name in data.draw(st.lists(st.sampled_from(RULES), max_size=6))}
    capped = {name: Stage("enforce", cap=Cap(10_000, 1.0), serial=1) for name in free_stages}
    index_, cap = index(layer(content, "base"), layer(trial, "trial")), Stage("enforce", cap=Cap(10_000))
    with_caps = engine(AUTOMATON_BEFORE, index_, rules=capped, feeds={"trial": cap, "base": cap})
    with_none = engine(AUTOMATON_BEFORE, index_, rules=free_stages)
    assert decide(with_caps, stream, data.draw(st.sampled_from([1, 5, 1000]))) == decide(with_none, stream)
    assert with_caps.trips == []


@given(streams, contents, st.sampled_from([*RULES, "feed:base"]))
@settings(max_examples=200)
def test_a_trip_is_as_if_a_person_had_put_it_into_shadow_before_that_event(stream, content, name):
    index_, key = index(layer(content, "base")), name.removeprefix("feed:")
    kind = "rules" if key == name else "feeds"
    with without("CAMPAIGN_HIT"):  # the campaigns have heard of the event before it is decided
        deciding = engine(AUTOMATON_BEFORE, index_, **{kind: {key: Stage("enforce", cap=Cap(1), serial=3)}})
        decisions = decide(deciding, stream, 1)
        if not deciding.trips:
            return
        (trip,) = deciding.trips
        assert (trip.name, trip.serial) == (name, 3)
        at = next(i for i, d in enumerate(decisions) if d.time == trip.time)
        told = engine(AUTOMATON_BEFORE, index_, **{kind: {key: Stage("enforce")}})
        decide(told, stream[:at], 1)
        told.swap(snapshot(AUTOMATON_BEFORE, index_, **{kind: {key: Stage("shadow")}}))
        assert decisions[at:] == decide(told, stream[at:], 1)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_protected_numbers_count_against_no_cap(size):
    log = [
        SmsEvent(id=f"e{n}", time=T0 + n, a_number=f"138{n:08}", b_number="110", text=WORDS["TEXT_BANK"])
        for n in range(50)
    ]
    index_ = index(layer([listed("+86139", ListKind.PROTECTED)], "a"))
    deciding = engine(AUTOMATON, index_, rules={"TEXT_BANK": Stage("enforce", cap=Cap(1))})
    assert {d.action for d in decide(deciding, log, size)} == {"allow"}
    assert deciding.trips == []
