"""Scores worked out by hand from tests/support/rules.py."""

import random

import pytest

from detectors.engine import Snapshot
from detectors.lists import NumberIndex
from detectors.model.decision import Evidence
from detectors.rulepack import load_rules
from tests.support.rules import files

POLICY = Snapshot.build(load_rules(files()), NumberIndex()).policy


def judge(*codes, protected=False, weights=()):
    given = dict(zip(codes, weights, strict=False))
    return POLICY.judge([Evidence(c, "rule", "1", weight=given.get(c)) for c in codes], protected=protected)


@pytest.mark.parametrize(
    ("codes", "score", "action"),
    [
        (["LIST_BLOCK"], 100, "block"),
        (["LIST_GREY"], 35, "label"),
        (["TEXT_BANK"], 60, "challenge"),
        (["TEXT_BANK", "TEXT_NOTICE"], 0, "allow"),  # 60 - 80
        (["LIST_BLOCK", "TEXT_NOTICE"], 100, "block"),  # a group's deficit excuses no other group
        (["CALL_BURST", "CALL_FANOUT"], 60, "challenge"),  # 100, but the group's cap is 60
        (["TEXT_BANK", "CALL_BURST"], 110, "delay"),  # score says block, the highest ceiling says delay
        (["LIST_GREY", "TEXT_BANK"], 125, "block"),  # 35 + 30 (composite) + 60; the composite's ceiling is block
        (["LIST_GREY", "TEXT_NOTICE"], 35, "label"),  # what exculpates is no sign of the group
        (["LIST_GREY", "TEXT_BANK", "TEXT_NOTICE"], 35, "label"),  # the text is excused: 60 - 80
        (["LIST_BLOCK_CALLEE"], 45, "warn"),
        (["LIST_ALLOW", "TEXT_BANK"], 0, "allow"),
        ([], 0, "allow"),
    ],
)
def test_score_and_action(codes, score, action):
    verdict = judge(*codes)
    assert (verdict.score, verdict.action.wire) == (score, action)


def test_a_list_entry_may_carry_its_own_weight():
    assert judge("LIST_BLOCK", weights=[70]).action.wire == "delay"


def test_protected_shows_what_nearly_fired():
    verdict = judge("LIST_BLOCK", "TEXT_BANK", protected=True)
    assert verdict.action.wire == "allow"
    assert [reason.code for reason in verdict.reasons] == ["PROTECTED", "LIST_BLOCK", "TEXT_BANK"]


def test_what_was_summed_before_amounts_to_the_same():
    rng = random.Random(1)
    codes = [
        "LIST_BLOCK",
        "LIST_GREY",
        "LIST_ALLOW",
        "TEXT_BANK",
        "TEXT_NOTICE",
        "CALL_BURST",
        "CALL_FANOUT",
        "UNKNOWN",
    ]
    for _ in range(2_000):
        evidence = [
            Evidence(code, "rule", "1", weight=rng.choice([None, None, 0.0, 5.0, 70.0]), detail=str(rng.random()))
            for code in rng.choices(codes, k=rng.randint(0, 4))
        ]
        anew = POLICY.judge(evidence, protected=False, acts=lambda _: True)
        assert POLICY.judge(evidence, protected=False) == anew
        assert [r.detail for r in anew.reasons if r.rule == "rule"] == [
            e.detail for e in evidence if e.code != "UNKNOWN"
        ]
