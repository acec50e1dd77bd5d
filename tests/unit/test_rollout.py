"""Stages, by hand: who is acted on, what is recorded beside the decision, which content of a feed counts."""

from __future__ import annotations

import pytest

from detectors.explain import explain
from detectors.lists import ListKind
from detectors.rollout import NO_ROLLOUT, Cap, Rollout, Stage, acts
from detectors.snapshot import Snapshot
from tests.support.trials import AUTOMATON, AUTOMATON_BEFORE, call, decide, engine, index, layer, listed, sms

A, B = "13800000001", "13900000000"
BANK, LOAN = "工商银行积分", "贷款秒批"
SHADOW, EVERYBODY, NOBODY = Stage("shadow"), Stage("canary", 1.0), Stage("canary", 0.0)


@pytest.mark.parametrize(
    ("stage", "subject", "expected"),
    [
        (Stage("shadow", 1.0), "+8613800000001", False),
        (Stage("enforce"), "", True),
        (EVERYBODY, "+8613800000001", True),
        (EVERYBODY, "", False),
        (NOBODY, "+8613800000001", False),
    ],
)
def test_on_whom_a_stage_acts(stage, subject, expected):
    assert acts(stage, "TEXT_BANK", subject) is expected


def test_what_has_no_stage_is_enforced():
    assert NO_ROLLOUT.rule_acts("TEXT_BANK", "")
    assert NO_ROLLOUT.feed_acts("a", "")
    assert (NO_ROLLOUT.rules_tag(), NO_ROLLOUT.feeds_tag()) == ("", "")
    assert NO_ROLLOUT.serial("TEXT_BANK") is NO_ROLLOUT.serial("feed:a") is None


def test_a_demotion_keeps_what_else_the_stage_says():
    cap = Cap(5)
    stages = Rollout(
        {"TEXT_BANK": Stage("enforce", version="3", cap=cap, serial=4)}, {"a": Stage("canary", 0.5, cap=cap)}
    )
    down = stages.demoted("TEXT_BANK").demoted("feed:a").demoted("TEXT_NEW")
    assert down.rules == {"TEXT_BANK": Stage("shadow", version="3", cap=cap, serial=4), "TEXT_NEW": SHADOW}
    assert down.feeds == {"a": Stage("shadow", cap=cap)}
    assert down.caps() == {"TEXT_BANK": cap, "feed:a": cap}
    assert (stages.serial("TEXT_BANK"), stages.serial("feed:a")) == (4, 0)


def test_which_version_a_stage_is_about():
    stages = Rollout({"TEXT_BANK": Stage("shadow", version="3"), "TEXT_LOAN": SHADOW})
    assert stages.is_about("TEXT_BANK", "3")
    assert not stages.is_about("TEXT_BANK", "2")
    assert stages.is_about("TEXT_LOAN", "1")
    assert stages.is_about("TEXT_OTHER", "1")


def test_what_is_on_trial_is_recorded_beside_the_decision():
    (decision,) = engine(rules={"TEXT_BANK": SHADOW}).decide([sms(A, B, f"{BANK} {LOAN}")])
    assert (decision.action, [r.code for r in decision.reasons]) == ("warn", ["TEXT_LOAN"])
    shadow = decision.shadow
    assert (shadow.action, shadow.score, [r.code for r in shadow.reasons]) == ("delay", 90, ["TEXT_BANK"])


def test_a_rule_that_excuses_may_be_on_trial_too():
    (decision,) = engine(rules={"TEXT_NOTICE": SHADOW}).decide([sms(A, B, f"{BANK} 反诈中心")])
    assert (decision.action, decision.shadow.action) == ("challenge", "allow")


def test_a_list_may_be_on_trial_and_what_it_says_counts_once():
    """The feed's new content says grey where the old said block; LIST_BLOCK itself is in shadow."""
    index_ = index(
        layer([listed(f"+86{A}")], "a"), layer([listed(f"+86{A}", ListKind.GREY)], "a", staged=True)
    )  # fmt: skip
    (decision,) = engine(numbers=index_, rules={"LIST_BLOCK": SHADOW}, feeds={"a": SHADOW}).decide([sms(A, B, "")])
    assert (decision.action, decision.reasons) == ("allow", ())
    assert (decision.shadow.action, decision.shadow.score) == ("label", 35)
    assert [r.code for r in decision.shadow.reasons] == ["LIST_GREY"]


@pytest.mark.parametrize(
    ("stage", "reasons", "shadow"),
    [
        (SHADOW, [("LIST_BLOCK", "a", "old")], ("label", ["LIST_GREY"])),
        (NOBODY, [("LIST_BLOCK", "a", "old")], ("label", ["LIST_GREY"])),
        (EVERYBODY, [("LIST_GREY", "a", "new")], None),
        (Stage("enforce"), [("LIST_GREY", "a", "new")], None),
    ],
)
def test_the_old_content_of_a_feed_acts_where_the_new_does_not(stage, reasons, shadow):
    index_ = index(
        layer([listed(f"+86{A}")], "a"), layer([listed(f"+86{A}", ListKind.GREY)], "a", staged=True)
    )  # fmt: skip
    (decision,) = engine(numbers=index_, feeds={"a": stage}).decide([sms(A, B, "")])
    assert [(r.code, r.rule, r.version) for r in decision.reasons] == reasons
    found = decision.shadow
    assert (found and (found.action, [r.code for r in found.reasons])) == shadow


def test_an_event_about_which_only_a_shadow_has_something_to_say_is_as_if_nothing_was_said():
    """To the byte: no reason why a protected number is allowed, no integer where others have a float."""
    trial, free = engine(rules={"TEXT_BANK": SHADOW}), engine()
    for b, text in ((B, "明天见"), ("110", "明天见")):
        (expected,) = free.decide([sms(A, b, text)])
        (decision,) = trial.decide([sms(A, b, BANK)])
        assert (decision.score, decision.reasons) == (expected.score, expected.reasons) == (0.0, ())
        assert type(decision.score) is float


def test_a_rule_on_trial_does_not_decide_when_another_is_looked_at():
    """Two changes of the device are a sign until the window has passed, with a rule below it or without."""
    log = [call(A, B, n, imei_hash=imei) for n, imei in enumerate("abccc")]
    assert any("IMEI_CHANGE" in {r.code for r in d.reasons} for d in engine().decide(log))
    codes = [
        [[r.code for r in d.reasons] for d in engine(AUTOMATON_BEFORE, rules=rules).decide(log)]
        for rules in ({"CALL_ANY": NOBODY, "CALL_BURST": SHADOW}, {"CALL_ANY": SHADOW, "CALL_BURST": NOBODY})
    ]
    assert codes[0] == codes[1]


def test_an_explanation_is_of_what_acts():
    event = sms(A, B, "工商银行积分,加微信 loan8888888")
    found = explain(engine(rules={"COMP_TEXT_LINK": SHADOW}), event)
    assert (found.decision.score, found.score) == (85, 85)
    assert {share.group: share.counted for share in found.shares} == {"text": 60, "content": 25}
    assert explain(engine(), event).score == 90


def test_stages_concern_the_rules_of_the_pack():
    rules = {"TEXT_BANK": Stage("shadow", version="2"), "TEXT_GONE": SHADOW, "LIST_BLOCK": SHADOW, "CALL_ANY": SHADOW}
    stages = Snapshot.of(AUTOMATON, index(layer([])), rollout=Rollout(rules)).rollout
    assert stages.rules == {"LIST_BLOCK": SHADOW, "CALL_ANY": Stage("shadow", version="4")}
    stages = Snapshot.of(AUTOMATON_BEFORE, index(layer([])), rollout=Rollout(rules)).rollout
    assert stages.rules["TEXT_LOAN"] == Stage("enforce", version="2")  # it has a predecessor, which must not act
    assert stages.rules_tag() == Rollout({"LIST_BLOCK": SHADOW, "CALL_ANY": Stage("shadow", version="4")}).rules_tag()


def test_a_change_of_stages_copies_no_list():
    index_ = index(layer([listed(f"+86{A}")], "a"))
    snapshot = Snapshot.of(AUTOMATON, index_)
    assert snapshot.staged(Rollout({"TEXT_BANK": SHADOW})).lists is snapshot.lists
    other = snapshot.staged(Rollout({}, {"a": SHADOW})).lists
    assert other.layers is snapshot.lists.layers
    assert (snapshot.lists.on_trial, other.on_trial) == (set(), {"a"})


def test_victims_and_campaigns_remember_only_what_acts():
    text = "【工商银行】您的积分即将过期,请尽快兑换礼品"
    crowd = [f"1370000{n:04}" for n in range(12)]
    log = [*(sms(a, B, text, n) for n, a in enumerate(crowd)), call(B, crowd[-1], 20)]
    shadowed, acting = engine(rules={"TEXT_BANK": SHADOW}), engine()
    codes = [{r.code for d in decide(e, log, 4) for r in d.reasons} for e in (shadowed, acting)]
    assert codes[0] == {"CALL_ANY"}
    assert codes[1] == {"CALL_ANY", "TEXT_BANK", "CAMPAIGN_HIT", "VICTIM_CONTACTED", "VICTIM_CALLS_BACK"}
