"""Predecessors, worked out by hand: TEXT_LOAN 2 weighs 45 up to a challenge, 1 weighed 60 up to a delay and needed only
one of its words; CALL_ANY 4 weighs 5, 2 weighed 30 from the second call on; COMP_TEXT_LINK 2 adds 25, 1 added 10.
"""

from __future__ import annotations

import msgspec
import pytest

from detectors.keywords import Automaton
from detectors.lists import ListKind
from detectors.model.errors import RuleError
from detectors.rollout import Stage
from detectors.rulepack import load_rules
from detectors.rulepack.before import BEFORE, read_before, write_before
from detectors.rulepack.schema import SymbolPolicy
from tests.support.trials import (
    AUTOMATON,
    AUTOMATON_BEFORE,
    FILES,
    PACK,
    call,
    engine,
    index,
    layer,
    listed,
    predecessors,
    sms,
)

A, B = "13800000001", "13900000000"
SHADOW, ENFORCE = Stage("shadow"), Stage("enforce")
EVERYBODY, NOBODY = Stage("canary", 1.0), Stage("canary", 0.0)
BOTH, OLD_ONLY, NEITHER = "贷款当天放款", "无抵押贷款", "今天放款"
LINK, MESSENGER = "贷款放款 http://t.cn/A6abcde", "贷款放款,加微信 loan8888888"


def decided(event, **rules):
    (decision,) = engine(AUTOMATON_BEFORE, rules=rules).decide([event])
    return decision


def told(decision):
    return [(r.code, r.version, r.weight, r.en) for r in decision.reasons]


NEW = ("TEXT_LOAN", "2", 45, "Loan without security")
OLD = ("TEXT_LOAN", "1", 60, "The old loan rule")


@pytest.mark.parametrize(
    ("text", "stage", "action", "reasons", "shadow"),
    [
        (BOTH, None, "warn", [NEW], None),  # promoted: no stage is left
        (BOTH, ENFORCE, "warn", [NEW], None),
        (BOTH, EVERYBODY, "warn", [NEW], None),
        (BOTH, SHADOW, "challenge", [OLD], ("warn", 45, [NEW[:2]])),
        (BOTH, NOBODY, "challenge", [OLD], ("warn", 45, [NEW[:2]])),
        (OLD_ONLY, None, "allow", [], None),
        (OLD_ONLY, EVERYBODY, "allow", [], None),
        (OLD_ONLY, SHADOW, "challenge", [OLD], ("allow", 0, [])),
        (OLD_ONLY, NOBODY, "challenge", [OLD], ("allow", 0, [])),
        (NEITHER, SHADOW, "allow", [], None),
    ],
)
def test_a_text_rule_acts_as_it_was_wherever_the_new_one_does_not(text, stage, action, reasons, shadow):
    decision = decided(sms(A, B, text), **({"TEXT_LOAN": stage} if stage else {}))
    assert (decision.action, told(decision)) == (action, reasons)
    found = decision.shadow
    assert (found and (found.action, found.score, [(r.code, r.version) for r in found.reasons])) == shadow


@pytest.mark.parametrize(
    ("stage", "codes"),
    [
        (None, [("4", 5), ("4", 5), ("4", 5)]),
        (ENFORCE, [("4", 5), ("4", 5), ("4", 5)]),
        (EVERYBODY, [("4", 5), ("4", 5), ("4", 5)]),
        (SHADOW, [None, ("2", 30), ("2", 30)]),
        (NOBODY, [None, ("2", 30), ("2", 30)]),
    ],
)
def test_a_behaviour_rule_too(stage, codes):
    deciding = engine(AUTOMATON_BEFORE, rules={"CALL_ANY": stage} if stage else {})
    decisions = deciding.decide([call(A, B, n) for n in range(3)])
    assert [next(((r.version, r.weight) for r in d.reasons), None) for d in decisions] == codes


@pytest.mark.parametrize(
    ("text", "stage", "score", "action"),
    [
        (LINK, None, 75, "delay"),  # 45, and 10 and 25, of which the group's cap leaves 30
        (LINK, SHADOW, 55, "challenge"),  # the old one is no sign here: 45 and 10
        (MESSENGER, None, 75, "delay"),  # 45, and 25 and 25, of which the cap leaves 30
        (MESSENGER, EVERYBODY, 75, "delay"),
        (MESSENGER, SHADOW, 80, "delay"),  # 45 and 10 in its group of old, and 25; its ceiling was a block
        (MESSENGER, NOBODY, 80, "delay"),
    ],
)
def test_a_composite_too_in_the_group_and_with_the_ceiling_that_it_had(text, stage, score, action):
    decision = decided(sms(A, B, text), **({"COMP_TEXT_LINK": stage} if stage else {}))
    old = [10] if stage in (SHADOW, NOBODY) and text is MESSENGER else []
    assert (decision.score, decision.action) == (score, action)
    assert [r.weight for r in decision.reasons if (r.code, r.version) == ("COMP_TEXT_LINK", "1")] == old


def test_a_stage_of_another_version_says_nothing():
    decision = decided(sms(A, B, BOTH), TEXT_LOAN=Stage("shadow", version="1"))
    assert told(decision) == [NEW]
    assert decision.shadow is None


def test_without_a_predecessor_nothing_acts_in_the_place_of_a_rule_in_shadow():
    (decision,) = engine(AUTOMATON, rules={"TEXT_LOAN": SHADOW}).decide([sms(A, B, BOTH)])
    assert (decision.action, decision.reasons, decision.shadow.action) == ("allow", (), "warn")


def test_what_is_written_is_read():
    found = predecessors(PACK)
    assert read_before(write_before(found)) == found
    assert read_before(write_before(())) == ()
    assert load_rules(FILES | {BEFORE: write_before(())}).before == ()


def changed(n, **more):
    found = list(predecessors(PACK))
    found[n] = msgspec.structs.replace(found[n], **more)
    return found


def older(n, **more):
    return changed(n, rule=msgspec.structs.replace(predecessors(PACK)[n].rule, **more))


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (older(0, version=2), r"\$\[0\].rule.version: 2; expected one rule, below 2"),
        (older(0, id="TEXT_GONE"), r"\$\[0\].rule.id: TEXT_GONE is no such rule of this pack"),
        (older(0, id="CALL_ANY"), r"\$\[0\].rule.id: CALL_ANY is no such rule of this pack"),
        ([*predecessors(PACK), predecessors(PACK)[0]], r"\$\[4\].rule.version: 1; expected one rule, below 2"),
        (changed(0, symbol=SymbolPolicy(1, "gone")), r"\$\[0\].symbol.group: 'gone' is no group"),
        (
            changed(0, symbol=SymbolPolicy(1, "text", "jail")),
            r"\$\[0\].symbol.ceiling: 'jail' is no step of the ladder",
        ),
        (older(2, group="gone"), r"\$\[2\].rule.group: 'gone' is no group"),
        (older(2, ceiling="jail"), r"\$\[2\].rule.ceiling: 'jail' is no step of the ladder"),
        (changed(0, symbol=None), r"\$\[0\].symbol: expected one, but none for a composite"),
        (changed(2, symbol=SymbolPolicy(1, "text")), r"\$\[2\].symbol: expected one, but none for a composite"),
    ],
)
def test_what_cannot_be_used_is_refused_and_named(before, message):
    with pytest.raises(RuleError, match=rf"^before\.json: {message}"):
        load_rules(FILES | {BEFORE: write_before(before)})


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[1]", b"\xff", b'[{"kind": "text", "rule": {}}]', b'[{"kind": "none", "rule": {}}]']
)
def test_what_is_no_file_of_predecessors_is_refused(data):
    with pytest.raises(RuleError, match=r"^before\.json: .*`lanjie rules publish`"):
        read_before(data)


def test_a_predecessor_brings_its_proofs():
    bad = older(0, positives=("没有", "什么"))
    with pytest.raises(RuleError, match=r"TEXT_LOAN.*positives"):
        Automaton(load_rules(FILES | {BEFORE: write_before(bad)}))


def test_predecessors_enter_composites_as_what_they_are_now():
    """LIST_GREY and CALL_ANY make COMP_GREY_CALL, whichever CALL_ANY it is."""
    grey = index(layer([listed(f"+86{A}", ListKind.GREY)]))
    deciding = engine(AUTOMATON_BEFORE, grey, rules={"CALL_ANY": SHADOW})
    first, second = deciding.decide([call(A, B, n) for n in range(2)])
    assert [{r.code for r in d.reasons} for d in (first, second)] == [
        {"LIST_GREY"},
        {"LIST_GREY", "CALL_ANY", "COMP_GREY_CALL"},
    ]
    assert {r.code for r in first.shadow.reasons} == {"CALL_ANY", "COMP_GREY_CALL"}
