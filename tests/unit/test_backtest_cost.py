"""What rules cost: by a clock that ticks once a look, and once by the processor's."""

from __future__ import annotations

import pytest

from detectors.engine import Snapshot
from detectors.lists import NumberIndex
from detectors.model.events import CallEvent, SmsEvent
from detectors.rulepack import load_rules
from stream.backtest.cost import ROUNDS, changed, measure, processor_seconds, spread
from tests.support import rules
from tests.support.events import T0

SMALL = rules.files()
OTHER = rules.files(
    text=rules.TEXT.replace('"积分商城"', '"积分商场"'),
    behaviour=rules.BEHAVIOUR.replace("CALL_FANOUT", "SMS_FANOUT"),
    policy=rules.POLICY.replace("CALL_FANOUT", "SMS_FANOUT"),
)
MATCHING = "工商银行积分"


class Ticks:
    """A millisecond later every time somebody looks."""

    def __init__(self):
        self.looks = 0

    def __call__(self):
        self.looks += 1
        return self.looks / 1000


def snapshot(files):
    return Snapshot.build(load_rules(files), NumberIndex())


def messages(count, text):
    return [
        SmsEvent(id=f"s{n}", time=T0 + n, a_number=f"138000{n:05}", b_number="13900000000", text=text)
        for n in range(count)
    ]


def test_microseconds_are_per_event_that_a_family_looks_at():
    """One chunk, so every family takes one tick, 1,000 us, in every round. Something is seen about the four messages
    and, from the fifth on, the calls.
    """
    events = [
        *messages(4, MATCHING),
        *(CallEvent(id=f"c{n}", time=T0, a_number="13800000000", b_number="13900000001") for n in range(6)),
    ]
    found = measure(snapshot(SMALL), snapshot(SMALL), events, Ticks(), every=True, most=0)
    for side in ("before", "after"):
        for family, looked_at in (("normalise", 10), ("lists", 10), ("keywords", 4), ("behaviour", 10), ("policy", 6)):
            assert found.families[family, side] == pytest.approx([1000 / looked_at] * 3), family
    assert found.rules.keys() == {"TEXT_BANK", "TEXT_NOTICE", "CALL_BURST", "CALL_FANOUT"}
    for marginal in found.rules.values():
        assert marginal == pytest.approx([0, 0, 0], abs=1e-6), "with it one tick, and without it too"
    assert (found.events, found.left_out) == (10, 0)


def test_only_what_changed_is_measured_and_the_rest_told():
    before, after = snapshot(SMALL), snapshot(OTHER)
    assert [rule.id for rule in changed(before.rules, after.rules)] == ["CALL_FANOUT", "SMS_FANOUT", "TEXT_BANK"]
    assert changed(before.rules, before.rules) == []
    found = measure(before, after, messages(3, MATCHING), Ticks(), every=False, most=2)
    assert (found.rules.keys(), found.left_out) == ({"CALL_FANOUT", "SMS_FANOUT"}, 1)


def test_a_rule_that_every_message_satisfies_has_a_cost_and_one_that_none_has_little():
    """By the processor's time: what is matched costs many times what is only looked through."""
    found = measure(
        snapshot(SMALL), snapshot(SMALL), messages(1500, MATCHING), processor_seconds, every=True, most=0
    ).rules
    assert found["TEXT_BANK"].low > 0
    assert abs(found["TEXT_NOTICE"].median) < found["TEXT_BANK"].median


def test_the_interval_of_a_median_leaves_one_out_on_each_side():
    assert ROUNDS == 9
    assert spread([9, 1, 8, 2, 7, 3, 6, 4, 5]) == (5, 2, 8)
