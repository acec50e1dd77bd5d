"""Long messages: what comes in segments is found as in one piece; against a model that keeps all that came."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from detectors.contract import Batch
from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.model.decision import Evidence
from detectors.model.events import CallEvent, SmsEvent
from detectors.registry import Memory
from detectors.rulepack import load_rules
from detectors.segments import KEPT, Segments
from tests.support.events import T0

SNAPSHOT = Snapshot.build(load_rules(), NumberIndex())
RULE = next(rule for rule in SNAPSHOT.rules.text if rule.id == "TEXT_BANK_POINTS")
FRAUD = "【工商银行】尊敬的客户,您的账户积分即将过期,请尽快登录 http://icbc.example/x 兑换现金,逾期作废"
SPAN = 300_000
A, B = "13800000001", "13900000001"


def pieces(text, *cuts, ref=None, a=A, b=B, time=T0, name="s"):
    ends = [*sorted(cuts), len(text)]
    parts = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return [
        SmsEvent(
            id=f"{name}{n}", time=time + n, a_number=a, b_number=b, text=part, segment=n, segments=len(parts),
            concat_ref=ref,
        )
        for n, part in enumerate(parts, 1)
    ]  # fmt: skip


def text_codes(decision):
    return {reason.code for reason in decision.reasons if reason.code.startswith(("TEXT_", "CONTENT_"))}


def decide(events):
    return Engine(SNAPSHOT).decide(events)


@given(st.sampled_from([FRAUD, *RULE.positives]), st.data())
def test_the_segment_that_comes_last_is_found_to_be_what_the_whole_message_is(text, data):
    cuts = data.draw(st.sets(st.integers(1, len(text) - 1), min_size=1, max_size=4))
    events = data.draw(st.permutations(pieces(text, *cuts)))
    (whole,) = decide([SmsEvent(id="w", time=T0, a_number=A, b_number=B, text=text)])
    assert text_codes(whole)
    assert text_codes(decide(events)[-1]) == text_codes(whole)


def test_a_rule_whose_words_are_in_different_segments():
    first, last = decide(pieces(FRAUD, 18))
    assert ("TEXT_BANK_POINTS" in text_codes(first), "TEXT_BANK_POINTS" in text_codes(last)) == (False, True)


@given(st.integers(1, len(FRAUD) - 1))
def test_a_span_is_in_the_segment_s_own_text_or_there_is_none(cut):
    (whole,) = decide([SmsEvent(id="w", time=T0, a_number=A, b_number=B, text=FRAUD)])
    spans = {(r.code, r.rule): r.span for r in whole.reasons}
    last = decide(pieces(FRAUD, cut))[1]
    for reason in last.reasons:
        start, end = spans[reason.code, reason.rule]
        own = (max(start, cut) - cut, end - cut)
        assert reason.span == (own if end > cut else None)


numbered = st.builds(
    lambda n, text, ref, after, name: SmsEvent(
        id=f"s{name}", time=T0 + after, a_number=A, b_number=B, text=text, segment=n, segments=3, concat_ref=ref
    ),
    st.integers(1, 3), st.text("甲乙丙", min_size=1, max_size=2), st.sampled_from([None, 7]), st.integers(0, SPAN - 1),
    st.integers(0, 1000),
)  # fmt: skip


@given(st.lists(numbered, max_size=12, unique_by=lambda event: event.id))
def test_what_a_segment_is_laid_to(events):
    """The model: of each reference, what came since all three were there, the newest of each number, up to this one."""
    events.sort(key=lambda event: event.time)
    segments, came = Segments(SPAN), {None: [], 7: []}
    for event in events:
        known = came[event.concat_ref]
        if len(known) == 3 and any(each.segment == event.segment for each in known):
            known.clear()
        known[:] = [each for each in known if each.segment != event.segment] + [event]
        there = sorted(known, key=lambda each: each.segment)
        text, start = "".join(e.text for e in there), sum(len(e.text) for e in there if e.segment < event.segment)
        events_, own = segments.whole([event])
        assert events_[0].text == text
        assert own.get(0, (0, len(text))) == (start, start + len(event.text))
        assert segments.whole([event]).events[0].text == text  # a producer that retries


def test_all_else_is_left_as_it_is():
    events = [
        SmsEvent(id="s", time=T0, a_number=A, b_number=B, text="甲"),
        CallEvent(id="c", time=T0, a_number=A, b_number=B),
    ]
    whole = Segments().whole(events)
    assert whole.events is events
    assert not whole.own


@pytest.mark.parametrize(
    "other", [{"a": "13800000002"}, {"b": "13900000002"}, {"ref": 2}, {"time": T0 + 3 * SPAN}], ids=str
)
def test_segments_of_another_message(other):
    events = [pieces(FRAUD, 18, ref=1)[0], pieces(FRAUD, 18, **{"ref": 1, **other})[1]]
    assert "TEXT_BANK_POINTS" not in text_codes(decide(events)[1])


FIRST, LAST = pieces(FRAUD, 18)


@pytest.mark.parametrize(
    ("before", "last"),
    [
        ([replace(FIRST, b_number="+86" + B)], LAST),
        ([FIRST], replace(LAST, a_e164="+86" + A)),
        ([FIRST, replace(LAST, id="x", text="谢谢"), replace(FIRST, id="y")], LAST),
        ([replace(each, concat_ref=7) for each in (FIRST, replace(LAST, id="x", text="谢谢"), replace(FIRST, id="y"))],
         replace(LAST, concat_ref=7)),
    ],
    ids=["receiver in another form", "sender in another form", "after a harmless one", "the same, by its reference"],
)  # fmt: skip
def test_what_a_sender_may_try(before, last):
    assert "TEXT_BANK_POINTS" in text_codes(decide([*before, last])[-1])


def test_what_says_to_be_a_segment_and_is_too_long_for_one_is_a_message():
    long = replace(FIRST, text=FRAUD * 4)
    assert not Segments().whole([long, replace(LAST, text="谢谢")]).own


def test_it_is_bounded_in_messages_and_a_message_in_what_is_kept_and_judged():
    """255 segments of one message cost what ten times as many characters cost, and not the square of them."""
    segments = Segments(SPAN, max_messages=10)
    for n in range(1000):
        segments.whole(pieces("甲乙", 1, a=str(n)))
    assert len(segments) <= 20
    many = pieces("甲" * 255 * 67, *range(67, 255 * 67, 67))
    assert len(many) == 255
    judged = segments.whole([*many, *many]).events
    assert max(len(event.text) for event in judged) == KEPT * 67
    assert {len(parts) for parts in segments._young.values()} <= {1, 2, KEPT}


def test_what_is_on_trial_replaces_the_very_evidence_that_acts():
    """A list's old content acts, its new one is on trial: judged by what is the same object."""
    whole = Segments().whole([FIRST, LAST])
    batch = Batch(whole.events, own=whole.own)
    old, new = Evidence("LIST_IN_TEXT", "r", "1", span=(10, 25)), Evidence("LIST_IN_TEXT", "r", "2", span=(10, 25))
    batch.add(1, old)
    batch.hold(1, new, old)
    assert batch.hits[1][0].span == batch.shadow[1][0].span == (0, 7)
    assert batch.replaced[1][0] is batch.hits[1][0]


def test_texts_of_people_are_in_no_checkpoint():
    memory = Memory.empty(SNAPSHOT.rules, max_callers=1_000)
    memory.segments.whole([FIRST])
    stored = pickle.dumps(memory)
    assert FIRST.text.encode() not in stored
    assert len(pickle.loads(stored).segments) == 0  # noqa: S301 - our own
