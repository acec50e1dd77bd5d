"""Long messages: what comes in segments is found as in one piece; against a model that keeps all that came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.model.events import MAX_TEXT, CallEvent, SmsEvent
from detectors.rulepack import load_rules
from detectors.segments import Segments
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
    lambda n, text, ref, after: SmsEvent(
        id="s", time=T0 + after, a_number=A, b_number=B, text=text, segment=n, segments=3, concat_ref=ref
    ),
    st.integers(1, 3), st.text("甲乙丙", min_size=1, max_size=2), st.sampled_from([None, 7]), st.integers(0, SPAN - 1),
)  # fmt: skip


@given(st.lists(numbered, max_size=12))
def test_what_a_segment_is_laid_to(events):
    """The model: of each reference, what came since a segment came with another text, in the order of numbers."""
    events.sort(key=lambda event: event.time)
    segments, came = Segments(SPAN), {None: [], 7: []}
    for event in events:
        known = came[event.concat_ref]
        before = [each for each in known if each.segment == event.segment]
        if before and before[0].text != event.text:
            known.clear()
            before = []
        if not before:
            known.append(event)
        upto = sorted(known[: known.index(before[0] if before else event) + 1], key=lambda each: each.segment)
        text, start = "".join(e.text for e in upto), sum(len(e.text) for e in upto if e.segment < event.segment)
        events_, own = segments.whole([event])
        assert events_[0].text == text
        assert own.get(0, (0, len(text))) == (start, start + len(event.text))


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


def test_it_is_bounded():
    segments = Segments(SPAN, max_messages=10)
    for n in range(1000):
        segments.whole(pieces("甲乙", 1, a=str(n)))
    assert len(segments) <= 20
    long = "甲" * (MAX_TEXT // 2)
    for event in pieces(long * 3, len(long), 2 * len(long), a="1"):
        assert len(segments.whole([event]).events[0].text) <= MAX_TEXT
