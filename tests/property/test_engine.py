"""What must hold of every decision, whatever the events, lists and order of arrival."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.engine import Engine, Snapshot
from detectors.lists import Entry, ListKind, NumberIndex
from detectors.lists.entry import Provenance
from detectors.lists.protected import CORE
from detectors.model.decision import ACTIONS, Action
from detectors.model.events import CallEvent, SmsEvent
from detectors.normalise.phone import canonical
from detectors.rulepack import load_rules
from tests.support.events import T0, entries, events, mobiles
from tests.support.rules import files

RULES = load_rules(files())
lists = st.lists(entries, max_size=12)
WIDE = {ord("0") + i: 0xFF10 + i for i in range(10)}  # full-width digits
FRAUD = "【工商银行】积分"


def engine(all_entries=()):
    return Engine(Snapshot.build(RULES, NumberIndex(all_entries)))


@given(st.lists(events(), max_size=30), lists, st.integers(1, 7))
@settings(max_examples=150)
def test_batch_size_changes_nothing(all_events, all_entries, size):
    whole = engine(all_entries).decide(all_events)
    parts = engine(all_entries)
    pieces = [d for i in range(0, len(all_events), size) for d in parts.decide(all_events[i : i + size])]
    assert pieces == whole
    assert [d.event_id for d in whole] == [e.id for e in all_events]


spelled = st.builds(
    lambda head, code, wide, a164: (head + (code.translate(WIDE) if wide else code), a164),
    st.sampled_from(["", "+86", "0086", "86", "+86-", " ", "tel:"]),
    st.sampled_from(sorted(CORE)),
    st.booleans(),
    st.none() | st.just("+8613800001234"),
)


@given(spelled, mobiles, lists, st.booleans())
@settings(max_examples=300)
def test_nothing_blocks_a_protected_number(protected, mobile, all_entries, as_caller):
    """In either direction, in any spelling, even where the normalised field contradicts the raw one."""
    raw, claimed = protected
    deciding = engine(all_entries)
    ends = {"a_number": raw, "a_e164": claimed, "b_number": mobile} if as_caller else None
    ends = ends or {"a_number": mobile, "b_number": raw, "b_e164": claimed}
    burst = [CallEvent(id=str(i), time=T0 + i, **ends) for i in range(12)]
    sms = SmsEvent(id="s", time=T0 + 20, text=FRAUD, **ends)
    assert {d.action for d in deciding.decide([*burst, sms])} == {"allow"}


@given(st.lists(events(), max_size=30), lists)
@settings(max_examples=150)
def test_a_measure_is_always_explained(all_events, all_entries):
    for decision in engine(all_entries).decide(all_events):
        if decision.action != "allow":
            assert decision.appeal
            assert any(reason.weight > 0 for reason in decision.reasons)
        assert all(reason.zh and reason.en for reason in decision.reasons)
        assert decision.lists
        assert decision.rules == RULES.version


@given(mobiles, st.integers(1, 200))
@settings(max_examples=30)
def test_behaviour_alone_never_goes_past_its_ceiling(mobile, count):
    calls = [CallEvent(id=str(i), time=T0 + i, a_number=mobile, b_number=f"1390000{i:04}") for i in range(count)]
    actions = [ACTIONS[d.action] for d in engine().decide(calls)]
    assert max(actions) <= Action.CHALLENGE
    assert actions == sorted(actions)  # the window only fills here, so the measure only climbs
    assert (max(actions) is Action.CHALLENGE) == (count >= 5)


@given(mobiles, st.text(max_size=20), st.text(max_size=20))
def test_span_points_into_the_original_text(mobile, before, after):
    sms = SmsEvent(id="1", time=T0, a_number=mobile, b_number="13900005678", text=f"{before}【工 商銀行】積分{after}")
    (decision,) = engine().decide([sms])
    span = next(r.span for r in decision.reasons if r.code == "TEXT_BANK")
    assert sms.text[slice(*span)] in ("工 商銀行", *(t for t in ("工商银行", "建设银行", "积分") if t in sms.text))


@pytest.mark.parametrize(
    "raw",
    [
        "#31#110", "*31#110", "110;phone-context=+86", "sip:110@ims.example", "sips:119", "urn:service:sos", "0110",
        "+110", "+860110", "086110", "17951110", "110\n", "1\u200b10", "1\u201010", "\u0661\u0661\u0660",
        "110F", "110w", "110p1",
        "8673112381", "86 073196110", "86-10-10086", "112", "1-1-0",
    ],
)  # fmt: skip
def test_no_way_to_write_a_protected_number_hides_it(raw):
    blocked = engine([Entry("+8613800001234", Provenance(ListKind.BLOCK, "s"))])
    call = CallEvent(id="1", time=T0, a_number="13800001234", b_number=raw)
    other = CallEvent(id="2", time=T0, a_number="13800001234", b_number="13900005678")
    assert [d.action for d in blocked.decide([call, other])] == ["allow", "block"]


def test_the_same_number_in_every_spelling_is_one_subject():
    calls = [
        CallEvent(id=str(i), time=T0, a_number=raw, b_number="110")
        for i, raw in enumerate(("13800001234", "+8613800001234", "008613800001234", "+86 138 0000 1234"))
    ]
    assert {d.subject for d in engine().decide(calls)} == {canonical("13800001234")}
