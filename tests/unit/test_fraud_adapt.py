"""Slowing down, changing numbers, writing otherwise: each is what it says, and nothing else changes."""

from __future__ import annotations

import importlib
import re
from collections import Counter

import numpy as np
import pytest

from detectors.model.events import CallEvent, SmsEvent
from loadtest.fraud import PATTERNS, gambling_sms, texts
from loadtest.fraud.adapt import Throttle
from loadtest.fraud.evasion import BETWEEN, FORMS, plain, rewrite
from tests.support.sim_world import DAY_MS, acted, attempts

TEMPLATES = [*texts.CODES, *texts.REPLIES] + [
    template
    for pattern in sorted(PATTERNS)
    for attribute in ("TEXTS", "OPENERS")
    for template in getattr(importlib.import_module(f"loadtest.fraud.{pattern}"), attribute, ())
]


BURSTS = {"fake_base_station": {"minutes": 5}, "wangiri": {"minutes": 10}}  # the naive count is quadratic


def most_in(times, span):
    """The naive way: from every act on, all that follow within the span."""
    return max(sum(first <= time < first + span for time in times) for first in times)


def by_number(drafts):
    """Times of all calls and messages of the operation, by acting number."""
    found = {}
    for event in attempts(drafts, CallEvent, label="fraud") + attempts(drafts, SmsEvent, label="fraud"):
        found.setdefault(event.a_number, []).append(event.time)
    return found


def test_throttle_time_line():
    # t:       0  1  2 .. 10  11 ..            2 in 10; 3 in 100
    # acts:    x  x       x                    the fourth waits for the first of three to be 100 old
    throttle = Throttle((2, 10), (3, 100))
    for at, then in [(0, 0), (1, 10), (10, 100)]:
        throttle.acted("a", at)
        assert throttle.earliest("a") == then
    assert throttle.earliest("b") == 0


def test_no_ceiling_no_wait():
    throttle = Throttle()
    throttle.acted("a", 5)
    assert throttle.earliest("a") == 0


@pytest.mark.parametrize("pattern", ["loan", "customer_service", "fake_base_station", "bulk_cards", "wangiri", "goip"])
def test_who_slows_down_never_exceeds_the_ceiling(pattern):
    table = {"intensity": 2.0} | BURSTS.get(pattern, {})
    slow = by_number(acted(pattern, days=1.5, adapt=["slow_down"], ceiling_10min=3, ceiling_day=20, **table))
    fast = by_number(acted(pattern, days=1.5, **table))
    assert max(most_in(times, 600_000) for times in slow.values()) <= 3
    assert max(most_in(times, DAY_MS) for times in slow.values()) <= 20
    assert max(most_in(times, DAY_MS) for times in fast.values()) > 20  # it had to hold back
    assert sum(map(len, slow.values())) > 0


def test_a_number_is_thrown_away_after_so_many_openings():
    sent = Counter(
        e.a_number for e in attempts(acted("gambling_sms", adapt=["rotate"], rotate_after=7), SmsEvent, label="illegal")
    )
    kept = Counter(e.a_number for e in attempts(acted("gambling_sms"), SmsEvent, label="illegal"))
    assert len(kept) == 3
    assert max(sent.values()) == 7
    assert sorted(sent.values())[3:] == [7] * (len(sent) - 3)  # but for the three in use at the end


@pytest.mark.parametrize(("same", "handsets"), [(True, {2 * 6}), (False, range(2 * 6 + 2, 10_000))])
def test_the_handset_stays_or_not(same, handsets):
    drafts = acted("police", adapt=["rotate"], rotate_after=10, same_handset=same, hooked=0)
    calls = attempts(drafts, CallEvent, label="fraud")
    assert len({call.a_number for call in calls}) > 6
    assert len({call.imei_hash for call in calls}) in handsets


def test_each_card_advertises_one_link():
    links = {}
    for event in attempts(acted("gambling_sms", adapt=["rotate"], rotate_after=9), SmsEvent, label="illegal"):
        links.setdefault(event.a_number, set()).update(re.findall(r"http://\S+", event.text))
    assert {len(found) for found in links.values()} <= {0, 1}
    assert len(set().union(*links.values())) > 10


def pattern_of(template):
    """What texts of a template look like, as an expression of our own."""
    slots = {
        "n": "[0-9]{4}", "money": "[0-9]+", "code": "[0-9]{6}", "surname": f"[{texts.SURNAMES}]",
        "link": r"http://[a-z0-9.-]+\.example/[0-9a-f]{4}", "chat": "(?:QQ|VX)[0-9]{9}", "number": r"1[0-9]{10}",
    }  # fmt: skip
    out = ""
    for part in re.split(r"(\[[^\[\]]*\]|\{\w+\})", template):
        if part.startswith("["):
            out += "(?:" + "|".join(map(re.escape, part[1:-1].split("|"))) + ")"
        elif part.startswith("{"):
            out += slots[part[1:-1]]
        else:
            out += re.escape(part)
    return re.compile(out)


def test_rewritten_texts_differ_and_mean_the_same():
    known = [pattern_of(template) for template in gambling_sms.TEXTS]
    events = attempts(acted("gambling_sms", adapt=["rewrite"], rewrite_share=0.5), SmsEvent, label="illegal")
    assert len(events) > 1000
    for event in events:
        assert not any(shape.fullmatch(event.text) for shape in known)
        assert any(shape.fullmatch(plain(event.text)) for shape in known)
    originals = attempts(acted("gambling_sms"), SmsEvent, label="illegal")
    assert all(any(shape.fullmatch(event.text) for shape in known) for event in originals)


def test_all_kinds_of_forms_occur():
    events = attempts(acted("gambling_sms", adapt=["rewrite"]), SmsEvent, label="illegal")
    seen = "".join(event.text for event in events)
    assert all(mark in seen for mark in BETWEEN)
    assert any(chr(0xFF10 + digit) in seen for digit in range(10))
    assert sum(form in seen for forms in FORMS.values() for form in forms) > 10


def test_no_form_is_shared_or_means_itself():
    forms = [form for forms in FORMS.values() for form in forms]
    assert len(forms) == len(set(forms))
    assert not set(forms) & set(FORMS)


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_template_contains_a_form(template):
    assert plain(template) == template


def test_nothing_to_rewrite_stays():
    assert rewrite("！？", np.random.default_rng(1), 1.0) == "！？"


def test_links_still_work():
    text = "点 http://h5.0a1b2c.example/9f3e 领取彩金123元"
    changed = rewrite(text, np.random.default_rng(1), 1.0)
    assert "http://h5.0a1b2c.example/9f3e" in changed
    assert "123" not in changed
