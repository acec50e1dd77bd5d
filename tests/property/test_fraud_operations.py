"""Whatever the settings: events are valid, in time and told apart, ceilings hold, texts can be read back."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.model.events import CallEvent, SmsEvent
from loadtest.fraud import PATTERNS, gambling_sms
from loadtest.fraud.evasion import FORMS, plain, rewrite
from loadtest.fraud.texts import fill
from stream.wire import decode_event, encode_event
from tests.support.sim_world import DAY_MS, SmallWorld, attempts

WITHOUT_TEXT = {"wangiri", "sim_box", "sms_bombing"}
BURSTS = {"fake_base_station": {"minutes": 3, "stop_minutes": 1}, "wangiri": {"minutes": 5}}


@st.composite
def operations(draw):
    pattern = draw(st.sampled_from(sorted(PATTERNS)))
    ways = ["slow_down", "rotate"] + ([] if pattern in WITHOUT_TEXT else ["rewrite"])
    table = {
        "numbers": draw(st.integers(1, 5)),
        "intensity": draw(st.floats(0.1, 1.5)),
        "adapt": draw(st.lists(st.sampled_from(ways), unique=True)),
        "start_after_minutes": draw(st.floats(0, 400)),
        "ceiling_10min": draw(st.integers(1, 6)),
        "ceiling_day": draw(st.integers(1, 30)),
        "rotate_after": draw(st.integers(1, 20)),
        "same_handset": draw(st.booleans()),
    }
    return pattern, table | BURSTS.get(pattern, {})


def most_in(times, span):
    return max(sum(first <= time < first + span for time in times) for first in times)


@settings(max_examples=60)
@given(operations(), st.integers(0, 2**32 - 1))
def test_an_operation_keeps_its_word(operation, seed):
    pattern, table = operation
    world = SmallWorld(days=0.25)
    drafts = list(PATTERNS[pattern]("op", table).drafts(world, np.random.default_rng(seed)))
    assert len({draft.event.id for draft in drafts}) == len(drafts)
    for draft in drafts:
        assert world.start + int(table["start_after_minutes"] * 60_000) <= draft.event.time < world.end
        assert decode_event(encode_event(draft.event)) == draft.event
    acts = {}
    for label in ("fraud", "illegal"):
        for event in attempts(drafts, CallEvent, label=label) + attempts(drafts, SmsEvent, label=label):
            acts.setdefault(event.a_number, []).append(event.time)
    if "slow_down" in table["adapt"]:
        assert all(most_in(times, 600_000) <= table["ceiling_10min"] for times in acts.values())
        assert all(most_in(times, DAY_MS) <= table["ceiling_day"] for times in acts.values())
    if "rotate" not in table["adapt"]:
        assert len(acts) <= table["numbers"]


@settings(max_examples=30)
@given(st.integers(1, 20), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_no_number_opens_more_often_than_it_may(after, numbers, seed):
    table = {"adapt": ["rotate"], "rotate_after": after, "numbers": numbers, "intensity": 0.2}
    drafts = PATTERNS["gambling_sms"]("op", table).drafts(SmallWorld(days=0.5), np.random.default_rng(seed))
    opened = Counter(event.a_number for event in attempts(drafts, SmsEvent, label="illegal"))
    assert all(times <= after for times in opened.values())
    assert sum(times < after for times in opened.values()) <= numbers


@given(st.sampled_from(gambling_sms.TEXTS), st.floats(0.01, 1), st.integers(0, 2**32 - 1))
def test_rewritten_and_read_back(template, share, seed):
    rng = np.random.default_rng(seed)
    text = fill(template, rng, number="+8619900010001", link="http://a.example/1", chat="QQ123456789")
    changed = rewrite(text, rng, share)
    assert changed != text
    assert plain(changed) == text


@given(
    st.lists(st.sampled_from([*FORMS, *"0123456789，的了"]), min_size=1).map("".join),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_every_form_can_be_read_back(text, share, seed):
    changed = rewrite(text, np.random.default_rng(seed), share)
    assert plain(changed) == text
    assert (changed != text) == (text.strip("，") != "")
