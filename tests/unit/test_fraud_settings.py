"""Strict settings: each mistake is one line that names its place."""

from __future__ import annotations

import pytest

from detectors.model.errors import LanjieError
from loadtest.fraud import PATTERNS

NAMES = {
    "police", "customer_service", "boss", "loan", "refund", "order_brushing", "gambling_sms", "fake_base_station",
    "wangiri", "sim_box", "goip", "bulk_cards", "many_cards", "woken_cards", "roaming", "account_rental", "sms_bombing",
}  # fmt: skip


def test_the_patterns_are_those_of_the_issue():
    assert set(PATTERNS) == NAMES


@pytest.mark.parametrize("pattern", sorted(NAMES))
@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("colour", "red", "unknown key"),
        ("numbers", 0, ">= 1, got 0"),
        ("numbers", "four", "Expected `int`, got `str`"),
        ("intensity", -1, "> 0.0, got -1"),
        ("intensity", float("nan"), "> 0.0"),
        ("start_after_minutes", -5, ">= 0.0, got -5"),
        ("adapt", ["hide"], "slow_down, rotate, rewrite"),
        ("adapt", "rotate", "expected a list"),
        ("ceiling_day", 1.5, "Expected `int`"),
        ("same_handset", "yes", "Expected `bool`"),
        ("rewrite_share", 0, "> 0.0, got 0"),
    ],
)
def test_a_mistake_names_its_place(pattern, key, value, told):
    with pytest.raises(LanjieError) as caught:
        PATTERNS[pattern](f"{pattern}-1", {key: value})
    text = str(caught.value)
    assert text.startswith(f"$.operations.{pattern}-1.{key}")
    assert told in text
    assert "\n" not in text


def test_a_number_where_none_belongs_is_masked():
    with pytest.raises(LanjieError) as caught:
        PATTERNS["police"]("police-1", {"numbers": "+8613800001234"})
    assert "13800001234" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "x" * 41])
def test_a_name_fits_into_event_ids(name):
    with pytest.raises(LanjieError, match="1 to 40 characters"):
        PATTERNS["police"](name, {})


@pytest.mark.parametrize("pattern", ["wangiri", "sim_box", "sms_bombing"])
def test_who_writes_nothing_cannot_rewrite(pattern):
    with pytest.raises(LanjieError, match=r"adapt: this pattern sends no text"):
        PATTERNS[pattern]("x", {"adapt": ["rewrite"]})


def test_the_ways_to_say_that_nothing_is_adapted():
    for nothing in ("none", ["none"], []):
        PATTERNS["police"]("p", {"adapt": nothing})
