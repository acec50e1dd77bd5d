"""What a failing detector, a hurry and the kill switch change of a decision, and that they change nothing else."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import detectors.engine
from detectors.behaviour import CallerWindows, Received
from detectors.behaviour.victims import CODES as VICTIM_CODES
from detectors.campaign import TextCounts
from detectors.contract import Batch
from detectors.engine import Engine
from detectors.judge import Judge
from detectors.keywords import Automaton
from detectors.lists import ListKind, NumberIndex, NumberLists
from detectors.model.decision import ACTIONS, Action
from detectors.model.events import CallEvent, CardEvent, SmsEvent
from detectors.registry import NAMES, Memory, build_detectors
from detectors.rollout import Cap, Rollout, Stage
from detectors.rulepack import load_rules
from detectors.simcard import CardFacts
from tests.property.test_score import model
from tests.support.events import T0
from tests.support.faults import FaultError, Open, failing
from tests.support.trials import (
    AUTOMATON,
    FILES,
    PACK,
    PEOPLE,
    call,
    contents,
    decide,
    index,
    layer,
    listed,
    memory,
    sms,
    snapshot,
    streams,
)

POISON = "poison"
KINDS = {CallEvent: "call", SmsEvent: "sms", CardEvent: "card"}
CLOSED = {"call": Action.CHALLENGE, "sms": Action.DELAY, "card": Action.DELAY}
EAGER = model(12, threshold=0.4, shortest=1)
sizes = st.sampled_from([1, 3, 1000])
names = st.sampled_from(NAMES)


def engine(entries=(), *, rollout=None, with_model=True, **more):
    shot = snapshot(numbers=index(layer(entries)))
    shot = shot if rollout is None else shot.staged(rollout)
    return Engine(replace(shot, model=EAGER if with_model else None), max_callers=10_000, **more)


def detectors_of():
    return build_detectors(PACK, NumberIndex(), AUTOMATON, Memory.empty(PACK, max_callers=1000), EAGER)


def test_what_every_detector_says_of_itself():
    found = detectors_of()
    assert tuple(d.name for d in found) == NAMES
    assert found[0].name == "lists"  # alone in a hurry
    counts = [d.counts for d in found]
    assert counts == sorted(counts), "what counts comes last: it reads what the others left"
    assert {d.name for d in found if d.counts} == {"behaviour", "campaign", "flood", "simcard"}
    owners = [code for d in found for code in d.codes]
    assert len(owners) == len(set(owners)), "a code is one detector's, or its evidence could not be told from others'"
    assert all(d.codes >= d.CODES and d.codes and d.sees for d in found)


@given(streams, contents)
@settings(max_examples=60)
def test_evidence_is_of_the_codes_that_its_detector_names_on_kinds_that_it_sees(events, entries):
    for detector in build_detectors(
        PACK, index(layer(entries)), AUTOMATON, Memory.empty(PACK, max_callers=1000), EAGER
    ):
        batch = Batch(events)
        detector.inspect(batch)
        for i, found in batch.hits.items():
            assert {e.code for e in found} <= set(detector.codes)
            assert type(events[i]) in detector.sees


@given(streams, contents, sizes)
@settings(max_examples=60)
def test_a_guard_over_what_does_not_fail_changes_nothing(events, entries, size):
    guard = Open()
    plain, guarded = engine(entries), engine(entries, guard=guard, on_fault=CLOSED)
    assert decide(guarded, events, size) == decide(plain, events, size)
    assert memory(guarded) == memory(plain)
    assert guard.heard == []


def poisons(places, length):
    """Messages and calls of numbers that nobody else has; alone they mean nothing."""
    made = []
    for n, place in enumerate(places):
        a, b = f"1360000{n:04}", f"1350000{n:04}"
        kind = (SmsEvent, CallEvent, CardEvent, SmsEvent)[n % 4]
        more = {"phase": "sold"} if kind is CardEvent else {}
        if kind is SmsEvent:
            more = {"text": "你好", "route": "port" if n % 4 else "p2p"}
        ends = {} if kind is CardEvent else {"b_number": b}
        made.append((place % (length + 1), kind(id=f"{POISON}{n}", time=T0, a_number=a, **ends, **more)))
    return made


def mixed(events, places):
    found = list(events)
    for place, poison in sorted(poisons(places, len(events)), key=lambda each: -each[0]):
        time = found[place - 1].time if place else T0
        found.insert(place, msgspec.structs.replace(poison, time=time))
    return found


def is_poison(event):
    return event.id.startswith(POISON)


@given(streams, contents, names, st.lists(st.integers(0, 500), min_size=1, max_size=9), sizes)
@settings(max_examples=100)
def test_an_event_on_which_a_detector_raises_costs_itself_only(events, entries, name, places, size):
    """Whatever a detector had left about it, and about others, before it raised."""
    found = mixed(events, places)
    stateless = not next(d for d in detectors_of() if d.name == name).counts

    def raises(asked, batch):
        return stateless and asked == name and any(is_poison(e) for e in batch.events)

    sees = next(d.sees for d in detectors_of() if d.name == name)
    healthy = decide(engine(entries), found, size)
    guard = Open()
    with failing(raises), pytest.MonkeyPatch.context() as patched:
        if not stateless:
            _poison_counting(patched, name)
        hurt = decide(engine(entries, guard=guard), found, size)
    for event, before, after in zip(found, healthy, hurt, strict=True):
        if is_poison(event) and type(event) in sees and (stateless or _counted(name, event)):
            assert after.degraded == (name,)
        else:
            assert after == before
    assert all(each == name for each, _ in guard.heard)


def _counted(name, event):
    """Whether the patched counter below is reached."""
    if isinstance(event, SmsEvent):
        return name in (("flood",) if event.route == "port" else ("behaviour", "campaign"))
    return name == "behaviour" or (name == "simcard" and isinstance(event, CardEvent))


def _poison_counting(patched, name):
    """What is counted raises in the middle, for the numbers of the poison."""
    count, add, learn, receive = CallerWindows.count, TextCounts.add, CardFacts.learn, Received.add

    def counts(self, caller, *rest):
        if caller.startswith("+861360000"):
            raise FaultError
        return count(self, caller, *rest)

    def adds(self, hashed, sender, time):
        if sender.startswith("+861360000"):
            raise FaultError
        return add(self, hashed, sender, time)

    def learns(self, card, event, least):
        if card.startswith("+861360000"):
            raise FaultError
        learn(self, card, event, least)

    def receives(self, receiver, sender, time):
        if receiver.startswith("+861350000"):
            raise FaultError
        return receive(self, receiver, sender, time)

    if name == "behaviour":
        patched.setattr(CallerWindows, "count", counts)
    elif name == "simcard":
        patched.setattr(CardFacts, "learn", learns)
    elif name == "flood":
        patched.setattr(Received, "add", receives)
    else:
        patched.setattr(TextCounts, "add", adds)
        patched.setattr("detectors.campaign.detector.SHORTEST", 0)


@given(streams, contents, st.sets(names, min_size=1), sizes)
@settings(max_examples=60)
def test_a_detector_that_is_off_is_as_one_that_is_not_there_and_the_decisions_say_so(events, entries, off, size):
    def build(*parts):
        return tuple(d for d in build_detectors(*parts) if d.name not in off)

    guarded = decide(engine(entries, guard=Open(frozenset(off))), events, size)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(detectors.engine, "build_detectors", build)
        without = decide(engine(entries), events, size)
    sees = {d.name: d.sees for d in detectors_of()}
    for event, found, expected in zip(events, guarded, without, strict=True):
        lacks = [name for name in NAMES if name in off and type(event) in sees[name]]
        if getattr(event, "route", "") != "port":
            lacks = [name for name in lacks if name != "flood"]
        # Of calls and SMS this one looks at those that something speaks against.
        looked = "simcard" in found.degraded if type(event) is not CardEvent else bool(expected.subject)
        lacks = [name for name in lacks if name != "simcard" or looked]
        assert found.degraded == tuple(lacks)
        early = {r.code for r in expected.reasons} - VICTIM_CODES - {"PROTECTED"}  # found before this one looked
        if "simcard" in off and expected.subject and any(not code.startswith("COMP_") for code in early):
            assert "simcard" in found.degraded
        assert msgspec.structs.replace(found, degraded=()) == expected


@given(streams, contents, st.sets(names), sizes)
@settings(max_examples=80)
def test_what_fails_closed_is_at_least_that_and_only_where_something_failed(events, entries, off, size):
    entries = [*entries, listed(f"+86{PEOPLE[0]}", ListKind.PROTECTED)]
    guard = Open(frozenset(off))
    opened = decide(engine(entries, guard=guard), events, size)
    closed = decide(engine(entries, guard=guard, on_fault=CLOSED), events, size)
    for event, before, after in zip(events, opened, closed, strict=True):
        ends = {event.a_number, getattr(event, "b_number", "")}
        excused = {"110", PEOPLE[0]} & ends or "LIST_ALLOW" in {r.code for r in before.reasons}
        least = CLOSED[KINDS[type(event)]]
        if before.degraded and not excused and ACTIONS[before.action] < least:
            assert (after.action, after.score, after.degraded) == (least.wire, before.score, before.degraded)
            assert after.reasons[:-1] == before.reasons
            assert (after.reasons[-1].code, after.reasons[-1].weight) == ("FAILED_CLOSED", 0.0)
            assert after.appeal
            assert after.reasons[-1].zh
        else:
            assert after == before


@given(streams, contents, sizes)
@settings(max_examples=80)
def test_in_a_hurry_a_decision_is_that_of_an_engine_that_has_only_lists(events, entries, size):
    """But for what messages name: their texts are not read."""
    events = [msgspec.structs.replace(e, text="") if isinstance(e, SmsEvent) else e for e in events]

    def build(*parts):
        return (NumberLists(parts[1]),)

    hurried = engine(entries)
    before, counted = memory(hurried), hurried.active_callers
    fast = [d for at in range(0, len(events), size) for d in hurried.decide(events[at : at + size], lists_only=True)]
    assert (memory(hurried), hurried.active_callers, hurried.duplicate_events) == (before, counted, 0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(detectors.engine, "build_detectors", build)
        patched.setattr(Judge, "_is_risky", lambda *_: False)  # victims are remembered by the full path only
        full = decide(engine(entries), events, size)
    assert [msgspec.structs.replace(d, degraded=()) for d in fast] == full
    assert {d.degraded for d in fast} == {("lists_only",)}
    assert decide(hurried, events, size) == decide(engine(entries), events, size)  # nothing was taken for repeated


@given(streams, contents, st.sampled_from([1, 2, 5, None]), sizes)
@settings(max_examples=100)
@example([call(PEOPLE[0], PEOPLE[1])], [listed(f"+86{PEOPLE[0]}")], 1, 1)
def test_while_enforcement_is_off_all_pass_nothing_is_forgotten_and_no_brake_counts(events, entries, cap, size):
    stages = (
        {}
        if cap is None
        else {"LIST_BLOCK": Stage("enforce", cap=Cap(cap)), "TEXT_LOAN": Stage("enforce", cap=Cap(cap))}
    )
    on, off = engine(entries), engine(entries, rollout=Rollout(stages, enforcement=False), on_fault=CLOSED)
    acting, passing = decide(on, events, size), decide(off, events, size)
    for would, done in zip(acting, passing, strict=True):
        assert (done.action, done.score, done.appeal) == ("allow", 0.0, "")
        assert done.response is None
        assert done.reasons == would.reasons
        assert done.rules.endswith("+off")
        shadow = (done.shadow.action, done.shadow.score) if done.shadow else ("allow", 0.0)
        assert shadow == (would.action, would.score if would.action != "allow" else 0.0)
    assert memory(off) == memory(on)
    assert off.active_callers == on.active_callers
    assert off.trips == []
    if cap:  # nothing was taken, so all of the cap is left
        off.swap(off.snapshot.staged(off.snapshot.rollout.switched(enforcement=True)))
        assert all(off._judge.brake.over(name, events[-1].time) == "" for name in off._judge.brake.caps)
        assert not off.rules_version.endswith("+off")


def test_a_switch_that_is_thrown_between_two_batches_counts_from_the_next_event_on():
    entries = [listed(f"+86{PEOPLE[0]}", weight=150.0)]
    deciding = engine(entries)
    found = []
    for n, acts in enumerate((True, False, True)):
        deciding.swap(deciding.snapshot.staged(deciding.snapshot.rollout.switched(enforcement=acts)))
        found += deciding.decide([call(PEOPLE[0], PEOPLE[1], n)])
    assert [d.action for d in found] == ["block", "allow", "block"]
    assert [d.shadow.action if d.shadow else None for d in found] == [None, "block", None]
    assert found[0].rules == found[2].rules != found[1].rules


def test_a_list_that_fails_while_the_brake_looks_again_stops_nothing():
    """The brake has the lists look again, and that may raise too."""
    stages = Rollout({}, {"a": Stage("enforce", cap=Cap(1))})
    numbers = index(layer([listed(f"+86{a}", source="a", weight=150.0) for a in PEOPLE], "a"))
    guard = Open()
    deciding = Engine(snapshot(numbers=numbers).staged(stages), guard=guard)
    looked = NumberLists.inspect

    def once(self, batch):
        if deciding.trips:
            raise FaultError
        looked(self, batch)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(NumberLists, "inspect", once)
        found = deciding.decide([call(a, "13500000000", n) for n, a in enumerate(PEOPLE)])
    assert [d.action for d in found] == ["block"] + ["allow"] * (len(PEOPLE) - 1)
    assert [d.degraded for d in found] == [()] + [("lists",)] * (len(PEOPLE) - 1)
    assert guard.heard[0] == ("lists", False)


def test_a_pack_may_say_how_far_a_fault_leads():
    entry = 'FAILED_CLOSED = {weight = 0, group = "list", ceiling = "warn"}\n'
    policy = FILES["policy.toml"].replace(b"[symbols]\n", b"[symbols]\n" + entry.encode())
    pack = load_rules(FILES | {"policy.toml": policy})
    shot = replace(snapshot(Automaton(pack)), model=None)
    deciding = Engine(shot, guard=Open(frozenset({"behaviour"})), on_fault=CLOSED)
    assert [d.action for d in deciding.decide([sms("13500000001", "13500000002", "你好")])] == ["warn"]
