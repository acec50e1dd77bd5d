"""Which rules a change comes from, where it is not plain: lists that allow, ceilings, ladders."""

from __future__ import annotations

import pytest
from msgspec import structs

from detectors.engine import Snapshot
from detectors.lists import Entry, ListKind, NumberIndex
from detectors.lists.entry import Provenance
from detectors.model.decision import Action
from detectors.model.events import SmsEvent
from detectors.rulepack import load_rules
from stream.backtest.affected import kind_of
from stream.backtest.found import Rule
from stream.backtest.job import POLICY, Comparison
from tests.support import rules
from tests.support.events import T0

SENDER = "+8613800000001"
EVENT = SmsEvent(id="s", time=T0, a_number=SENDER, b_number="13900000000", text="工商银行积分")
BANK, COMPOSITE = Rule("TEXT_BANK", "3"), Rule("COMP_GREY_TEXT", "1")


def listed(*kinds):
    return NumberIndex([Entry(SENDER, Provenance(kind=kind, source="desk", added=0)) for kind in kinds])


def compared(before, after, lists=(), lists_after=None):
    """``before``, ``after``: texts of the policy and of the weights."""
    packs = [load_rules(rules.files(policy=policy, weights=weights)) for policy, weights in (before, after)]
    indexes = listed(*lists), listed(*(lists if lists_after is None else lists_after))
    sides = [Snapshot.build(pack, index) for pack, index in zip(packs, indexes, strict=True)]
    job = Comparison(*sides, {}, sample=0)
    assert job.decide(0, [EVENT], [0]) == b""
    return job.result()


def rising(found):
    return {rule: (before, after) for rule, before, after in found.pushed}


PLAIN = rules.POLICY, rules.WEIGHTS
LADDER = rules.POLICY.replace("challenge = 55", "challenge = 65")


@pytest.mark.parametrize(
    ("after", "lists_after", "expected"),
    [
        (PLAIN, [ListKind.ALLOW], {Rule("LIST_ALLOW", "desk"): ("challenge", "allow")}),
        (PLAIN, [ListKind.BLOCK], {Rule("LIST_BLOCK", "desk"): ("challenge", "block")}),
        ((rules.POLICY, rules.WEIGHTS.replace("delay", "warn")), [], {BANK: ("challenge", "warn")}),
        (
            (rules.POLICY.replace("challenge = 55", "challenge = 65"), rules.WEIGHTS),
            [],
            {POLICY: ("challenge", "warn")},
        ),
        (PLAIN, [], {}),
    ],
    ids=["allowed", "blocked", "ceiling", "ladder", "no change"],
)
def test_where_a_change_comes_from(after, lists_after, expected):
    assert rising(compared(PLAIN, after, [], lists_after)) == expected


def test_a_list_that_allows_taken_away_is_what_a_measure_comes_from():
    found = compared(PLAIN, PLAIN, [ListKind.ALLOW], [])
    assert rising(found) == {Rule("LIST_ALLOW", "desk"): ("allow", "challenge")}


def test_a_measure_rests_on_each_of_its_parts():
    """35 by the grey list, 80 by the text, 30 by both together: 145, blocked. Without the composite nothing may block:
    delay, the text's ceiling. Without the list no composite either: 80, delay. Without the text 35.
    """
    heavy = rules.POLICY, rules.WEIGHTS.replace("weight = 60", "weight = 80")
    found = compared(heavy, heavy, [ListKind.GREY])
    (move,) = found.moves
    assert (move.before, move.after) == ("block", "block")
    grey = Rule("LIST_GREY", "desk")
    assert {key: n for key, n in found.alone.items() if key[0] == "after"} == {
        ("after", grey): 1, ("after", BANK): 1, ("after", COMPOSITE): 1,
    }  # fmt: skip
    assert set(found.together) == {
        (side, *pair) for side in ("before", "after") for pair in ((COMPOSITE, grey), (COMPOSITE, BANK), (grey, BANK))
    }


def test_a_withheld_number_is_nobody_s_so_each_event_counts():
    sides = [Snapshot.build(load_rules(rules.files()), NumberIndex()) for _ in range(2)]
    job = Comparison(*sides, {}, sample=0)
    job.decide(0, [structs.replace(EVENT, id=name, a_number=a) for name, a in (("x", ""), ("y", "anonymous"))], [0, 1])
    assert job.result().subscribers.keys() == {"?x", "?y"}


def test_a_measure_below_the_limit_is_no_block():
    assert kind_of(Action.DELAY, Action.RESTRICT, Action.BLOCK) == "stronger"
    assert kind_of(Action.DELAY, Action.RESTRICT, Action.RESTRICT) == "newly_blocked"
    assert kind_of(Action.BLOCK, Action.RESTRICT, Action.RESTRICT) == "weaker"
    assert kind_of(Action.BLOCK, Action.ALLOW, Action.BLOCK) == "released"
    assert kind_of(Action.WARN, Action.WARN, Action.BLOCK) == ""
