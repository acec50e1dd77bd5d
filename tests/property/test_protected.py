"""No rule, list, model, fault, degraded mode, kill switch or brake blocks a protected number, in either direction.

What is thrown at it: block and immutable entries and prefixes over the protected numbers, in files and in feeds of
every stage; rules of every kind in every stage, with caps so small that the brake trips; a model that finds every text
fraudulent; detectors that raise at random or are off; a protection that raises at random; faults that block; decisions
in a hurry; the kill switch, thrown in the middle.

The last two tests show that each of these does harm to somebody else, and to 110 if the protection is taken away. By
hand, each of these changes to ``judge.py`` made the first one fail too: ``touches`` that always says no; one that
raises taken for a no; ``_at_least``, or the brake's second verdict, also for those that are protected.
"""

from __future__ import annotations

import random
from contextlib import ExitStack
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.engine import Engine
from detectors.keywords import Automaton
from detectors.lists import Entry, ListKind, NumberLists
from detectors.lists.entry import Provenance
from detectors.lists.protected import CORE, Protected, dials_core
from detectors.model.decision import Action
from detectors.model.events import CallEvent, CardEvent, SmsEvent
from detectors.registry import NAMES
from detectors.rollout import Cap, Stage
from detectors.rulepack import load_rules
from stream.rule_files import pack_files
from tests.property.test_score import model
from tests.support.events import T0
from tests.support.faults import FaultError, Open, failing
from tests.support.trials import FILES, PEOPLE, TEXTS, index, layer, listed, snapshot

OWN = "13800009999"  #: protected by an entry
MARKET = "generic"
RULES = Automaton(load_rules(FILES | {"responses.toml": pack_files(None)["responses.toml"]}))
SYMBOLS = (
    "TEXT_BANK", "TEXT_LOAN", "CALL_BURST", "CALL_ANY", "COMP_GREY_TEXT", "COMP_TEXT_LINK", "LIST_BLOCK", "LIST_GREY",
    "LIST_IMMUTABLE", "LIST_BLOCK_CALLEE", "CAMPAIGN_BULK", "MESSAGE_SCORE",
)  # fmt: skip
BLOCK = {"call": Action.BLOCK, "sms": Action.BLOCK, "card": Action.BLOCK}
EAGER = model(12, threshold=0.0, shortest=1)
WIDE = {ord("0") + i: 0xFF10 + i for i in range(10)}
ARABIC = {ord("0") + i: 0x0660 + i for i in range(10)}

spellings = st.builds(
    lambda head, code, digits, tail: head + code.translate(digits) + tail,
    st.sampled_from(["", "+86", "0086", "86", "tel:", "sip:", " ", "#31#", "0731", "+86731", "17951", "0"]),
    st.sampled_from(sorted(CORE)),
    st.sampled_from([{}, WIDE, ARABIC]),
    st.sampled_from(["", "F", "p1", ";phone-context=+86", "@ims.example", "\n"]),
) | st.sampled_from(
    ["urn:service:sos", OWN, f"+86{OWN}", f"0086 {OWN}", OWN.translate(WIDE), f"+86-{OWN[:3]}-{OWN[3:]}"]
)
people = st.sampled_from(PEOPLE)
claims = st.none() | st.just("+8613800000003")  # a normalised field that contradicts the raw one


@st.composite
def events(draw):
    """Of a few people; every other one or so touches a protected number: its id says so."""
    found = []
    for n in range(draw(st.integers(1, 25))):
        side = draw(st.sampled_from(["", "", "a", "b"]))
        odd = draw(spellings) if side else ""
        a, b = odd if side == "a" else draw(people), odd if side == "b" else draw(people)
        kind = draw(st.sampled_from([CallEvent, SmsEvent, CardEvent] if side != "b" else [CallEvent, SmsEvent]))
        ends = {"a_number": a, "a_e164": draw(claims) if side == "a" else None}
        if kind is not CardEvent:
            ends |= {"b_number": b, "b_e164": draw(claims) if side == "b" else None}
        more = {SmsEvent: {"text": draw(st.sampled_from(TEXTS))}, CardEvent: {"phase": "woke"}, CallEvent: {}}[kind]
        found.append(kind(id=f"{'protected' if side else 'other'}{n}", time=T0 + n * 500, **ends, **more))
    return found


def against(number, prefix=False, kind=ListKind.BLOCK):
    return Entry(number, Provenance(kind, "s", weight=200.0), prefix=prefix)


hostile = st.lists(
    st.builds(
        against,
        st.sampled_from(
            [*sorted(CORE), "1", "11", "100", "+861", "+8613800", f"+86{OWN}", *(f"+86{p}" for p in PEOPLE)]
        ),
        st.booleans(),
        st.sampled_from([ListKind.BLOCK, ListKind.IMMUTABLE, ListKind.GREY]),
    ),
    max_size=10,
)
caps = st.none() | st.builds(Cap, st.integers(1, 3))
stages = st.builds(
    lambda mode, share, cap: Stage(mode, share if mode == "canary" else 0.0, cap=cap),
    st.sampled_from(["shadow", "canary", "enforce"]), st.sampled_from([0.1, 0.5, 0.9]), caps,
)  # fmt: skip
worlds = st.fixed_dictionaries(
    {
        "entries": hostile,
        "feeds": st.dictionaries(st.sampled_from("ab"), st.tuples(hostile, stages, st.booleans())),
        "rules": st.dictionaries(st.sampled_from(SYMBOLS), stages),
        "model": st.booleans(),
        "guarded": st.booleans(),
        "off": st.sets(st.sampled_from(NAMES)),
        "closed": st.booleans(),
        "raises": st.sampled_from([0.0, 0.1, 0.5, 1.0]),
        "protection_raises": st.sampled_from([0.0, 0.3]),
        "own_in_feed": st.booleans(),
    }
)


def engine(world):
    """What decides in this world."""
    own = [listed(f"+86{OWN}", ListKind.PROTECTED)]
    layers = [layer(world["entries"])]
    feeds = {name: stage for name, (_, stage, _) in world["feeds"].items()}
    for name, (entries, _, renewed) in world["feeds"].items():
        layers.append(layer(entries, name))
        if renewed:
            layers.append(layer([*entries, against("+8613800000001")], name, staged=True))
    if world["own_in_feed"]:
        layers.append(layer(own, "p"))
        feeds["p"] = Stage("shadow")  # what is protected is so in every stage
    else:
        layers.append(layer(own))
    shot = replace(snapshot(RULES, index(*layers), rules=world["rules"], feeds=feeds), model=None)
    guard = Open(frozenset(world["off"])) if world["guarded"] else None
    shot = replace(shot, model=EAGER) if world["model"] else shot
    return Engine(shot, max_callers=5000, market=MARKET, guard=guard, on_fault=BLOCK if world["closed"] else {})


def faults(world, seed, stack):
    """Detectors, and what tells protected numbers, that raise at random: only where a guard is, as in a worker."""
    rng = random.Random(seed)
    if not world["guarded"]:
        return
    stack.enter_context(failing(lambda *_: rng.random() < world["raises"]))
    covers, number = Protected.covers, NumberLists._number

    def sometimes(self, *args):
        if rng.random() < world["protection_raises"]:
            raise FaultError
        return covers(self, *args)

    def now_and_then(self, *args, **more):
        if rng.random() < world["raises"] / 10:
            raise FaultError
        return number(self, *args, **more)

    stack.enter_context(patch.object(Protected, "covers", sometimes))
    stack.enter_context(patch.object(NumberLists, "_number", now_and_then))  # also where the brake looks again


def check(found, decisions):
    """What must hold of those that touch a protected number."""
    for event, decision in zip(found, decisions, strict=True):
        if event.id.startswith("protected"):
            assert decision.action == "allow"
            assert decision.response is None or decision.response.do in ("pass", "deliver")
            assert decision.appeal == ""


modes = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=8)  # in a hurry, enforcement on


@given(worlds, events(), modes, st.sampled_from([1, 4, 1000]), st.integers(0, 1 << 16))
@settings(max_examples=400)
def test_nothing_at_all_blocks_a_protected_number(world, found, how, size, seed):
    with ExitStack() as stack:
        faults(world, seed, stack)
        deciding = engine(world)
        for n, at in enumerate(range(0, len(found), size)):
            hurry, acts = how[n % len(how)]
            deciding.swap(deciding.snapshot.staged(deciding.snapshot.rollout.switched(enforcement=acts)))
            some = found[at : at + size]
            check(some, deciding.decide(some, lists_only=hurry))


QUIET = {
    "entries": [], "feeds": {}, "rules": {}, "model": False, "guarded": False, "off": set(), "closed": False,
    "raises": 0.0, "protection_raises": 0.0, "own_in_feed": False,
}  # fmt: skip
FEED = ([against("+861", prefix=True), against("1", prefix=True)], Stage("enforce"), False)
#: What blocks or holds somebody, and in what mode.
THREATS = {
    "an entry": ({"entries": [against(f"+86{PEOPLE[0]}"), against("110")]}, False),
    "a prefix": ({"entries": [against("+861", prefix=True), against("1", prefix=True)]}, False),
    "a regulator's prefix": ({"entries": [against("+861", True, ListKind.IMMUTABLE), against("1", True)]}, False),
    "a feed": ({"feeds": {"a": FEED}}, False),
    "a list in a hurry": ({"feeds": {"a": FEED}}, True),
    "rules": ({}, False),
    "a model": ({"model": True}, False),
    "a detector that is off": ({"guarded": True, "off": {"behaviour"}, "closed": True}, False),
    "detectors that raise": ({"guarded": True, "raises": 1.0, "closed": True}, False),
    "lists that are off in a hurry": ({"guarded": True, "off": {"lists"}, "closed": True}, True),
}


def threatened(threat, *, protect):
    """A text and a call of somebody else, and the same to and from 110, under one threat. Which were not allowed?"""
    world, hurry = THREATS[threat]
    ends = [(PEOPLE[0], PEOPLE[1]), ("110", PEOPLE[1]), (PEOPLE[1], "110")]
    found = [CallEvent(id=f"c{n}", time=T0 + n, a_number=a, b_number=b) for n, (a, b) in enumerate(ends)]
    found += [SmsEvent(id=f"s{n}", time=T0 + n, a_number=a, b_number=b, text=TEXTS[0]) for n, (a, b) in enumerate(ends)]
    with ExitStack() as stack:
        faults(QUIET | world, 0, stack)
        if not protect:
            stack.enter_context(patch.object(Protected, "touches", lambda *_: False))
        decisions = engine(QUIET | world).decide(found, lists_only=hurry)
    return {d.event_id for d in decisions if d.action != "allow"}


@pytest.mark.parametrize("threat", THREATS)
def test_each_threat_is_one_to_others(threat):
    assert threatened(threat, protect=True) & {"c0", "s0"}
    assert not threatened(threat, protect=True) - {"c0", "s0"}


@pytest.mark.parametrize("threat", THREATS)
def test_without_the_protection_each_threat_is_carried_out(threat):
    assert threatened(threat, protect=False) - {"c0", "s0"}


@given(
    st.lists(
        st.sampled_from([*sorted(CORE), "0", "86", "+", "17901", "731", "10", "138", "1", "2"]), min_size=1, max_size=6
    )
)
def test_plain_digits_are_read_as_full_width_ones(parts):
    """Plain digits go a shorter way; full-width ones, which mean the same, the long one."""
    raw = "".join(parts)
    assert dials_core(raw) == dials_core(raw.translate(WIDE))
