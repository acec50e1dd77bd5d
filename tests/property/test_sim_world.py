"""Rhythm and contacts against naive models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.sim.contacts import NOBODY, Contacts
from loadtest.sim.fit import chances
from loadtest.sim.fitted import CALL_HOURS, CALL_REPEAT, WEEK
from loadtest.sim.rhythm import Rhythm, talk_below, talk_ms
from loadtest.sim.texts import written

HOUR = 3_600_000
MONDAY = 1_772_380_800_000  # 2026-03-02T00:00:00+08:00
OFFSET = 8 * HOUR
moments = st.integers(MONDAY, MONDAY + 21 * 24 * HOUR)
seeds = st.integers(0, 2**32)


def naive_share(since, until):
    """Minute by minute."""
    total = 0.0
    for minute in range(since, until, 60_000):
        local = (minute - MONDAY) // HOUR
        part = min(60_000, until - minute) / HOUR
        total += CALL_HOURS[local % 24] / sum(CALL_HOURS) * WEEK[local // 24 % 7] / (sum(WEEK) / 7) * part
    return total


@given(st.integers(0, 21 * 1440), st.integers(1, 3_000))
@settings(max_examples=50)
def test_share_is_the_sum_of_the_minutes(first, minutes):
    since = MONDAY + first * 60_000
    until = since + minutes * 60_000
    assert Rhythm.of_calls(OFFSET).share(since, until) == pytest.approx(naive_share(since, until), rel=1e-9)


@given(moments, moments, moments)
def test_shares_add_up(a, b, c):
    a, b, c = sorted((a, b, c))
    rhythm = Rhythm.of_sms(OFFSET)
    assert rhythm.share(a, b) + rhythm.share(b, c) == pytest.approx(rhythm.share(a, c), abs=1e-9)


@given(moments, st.integers(1, 10**9), st.integers(0, 50), seeds)
def test_moments_are_sorted_and_within(since, length, count, seed):
    found = Rhythm.of_calls(OFFSET).moments(np.random.default_rng(seed), count, since=since, until=since + length)
    assert len(found) == count
    assert found.dtype == np.int64
    assert (np.diff(found) >= 0).all()
    assert all(since <= moment < since + length for moment in found.tolist())


def test_the_busiest_hour_is_what_it_is_set_to():
    """On every day of the week."""
    rhythm = Rhythm.of_calls(OFFSET, busiest_hour=0.125)
    for day in range(7):
        start = MONDAY + day * 24 * HOUR
        shares = [rhythm.share(start + h * HOUR, start + (h + 1) * HOUR) for h in range(24)]
        assert max(shares) == pytest.approx(0.125)
        assert shares[3] / shares[17] == pytest.approx(CALL_HOURS[3] / CALL_HOURS[17])


@given(st.lists(st.lists(st.integers(2, 12), min_size=1, max_size=30), min_size=1, max_size=6), seeds)
def test_ties_go_both_ways(cities, seed):
    """Whatever the cities and degrees: the partner of my partner in a layer is I, in layers that both belong to."""
    degrees = np.array([d for city in cities for d in sorted(city, reverse=True)], dtype=np.uint8)
    starts = np.concatenate(([0], np.cumsum([len(city) for city in cities])))
    contacts = Contacts(np.random.default_rng(seed), degrees, starts)
    city = np.repeat(np.arange(len(cities)), [len(c) for c in cities])
    for layer in range(int(degrees.max())):
        members = np.flatnonzero(degrees > layer)
        partners = contacts.partner(members, np.full(len(members), layer))
        met = dict(zip(members.tolist(), partners.tolist(), strict=True))
        assert all(other == NOBODY or met[other] == person for person, other in met.items())
        assert all(other != person for person, other in met.items())
        if layer % 5 == 4:
            assert sum(other == NOBODY for other in met.values()) == len(members) % 2
        else:
            assert all(other == NOBODY or city[other] == city[person] for person, other in met.items())
            odd = [person for person, other in met.items() if other == NOBODY]
            assert len(odd) == len(set(city[odd].tolist()))  # at most one in a city


@given(st.integers(2, 60), st.floats(1.1, 3.5), seeds)
@settings(max_examples=40)
def test_drawn_acquaintances_are_acquaintances(size, exponent, seed):
    rng = np.random.default_rng(seed)
    degrees = np.sort(rng.integers(2, 20, size=size).astype(np.uint8))[::-1]
    contacts = Contacts(rng, degrees, np.array([0, size]))
    people = rng.integers(size, size=200)
    for person, other in zip(people.tolist(), contacts.drawn(rng, people, exponent).tolist(), strict=True):
        assert other == NOBODY or other in contacts.of(person)


def test_the_closest_are_called_most():
    """Eight acquaintances each: 40,000 calls over the layers, chi-square with 7 degrees of freedom at 1 in 10,000."""
    rng = np.random.default_rng(9)
    contacts = Contacts(rng, np.full(2_000, 8, dtype=np.uint8), np.array([0, 2_000]))
    people = rng.integers(2_000, size=40_000)
    drawn = contacts.drawn(rng, people, CALL_REPEAT)
    layers = np.array([contacts.partner(people, np.full(len(people), layer)) for layer in range(8)])
    found = np.bincount((layers == drawn).argmax(axis=0), minlength=8)
    expected = chances(8, CALL_REPEAT) * len(people)
    assert ((found - expected) ** 2 / expected).sum() < 29.9


@given(st.floats(0.1, 7_000))
def test_talk_below_is_a_distribution_function(seconds):
    assert 0 <= talk_below(seconds) <= talk_below(seconds * 1.01) <= 1


def test_talk_follows_it():
    """20,000 calls; the Kolmogorov-Smirnov bound of one in ten thousand. Those cut at two hours are 2 in 10,000."""
    seconds = np.sort(talk_ms(np.random.default_rng(5), 20_000)) / 1000
    expected = np.array([talk_below(s) for s in seconds.tolist()])
    steps = np.arange(1, 20_001) / 20_000
    far = max((steps - expected).max(), (expected - steps + 1 / 20_000).max())
    assert far < np.sqrt(-np.log(0.5e-4) / 2 / 20_000)


@given(st.sampled_from(["personal", "codes", "school", "greetings"]), seeds)
def test_texts_have_no_slot_left_and_fit_one_segment(kind, seed):
    for text in written(np.random.default_rng(seed), kind, 20):
        assert "{" not in text
        assert 0 < len(text) <= 70
