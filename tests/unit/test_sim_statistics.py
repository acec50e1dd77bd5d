"""A simulated day against what its profile and the fitted constants promise.

The statistics are written out here. The seed is fixed, so a test gives the same result every time; its bound is the
one in ten thousand point of the statistic's distribution.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest

from detectors.model.events import CallEvent, CardEvent, SmsEvent
from loadtest.sim.fitted import ANSWERED, CALL_HOURS, CALL_SPREAD, SMS_HOURS, TALK, WEEK
from loadtest.sim.hard_benign import TRADES
from loadtest.sim.profile import profile_of
from loadtest.sim.simulate import simulate

Z = 3.719  # the normal distribution's point of one in ten thousand, one-sided
SUBSCRIBERS = 4_000
PER_DAY = 8.0
TUESDAY = 1
HOUR_MS = 3_600_000
TABLE = {
    "name": "a_day",
    "description": "One Tuesday without fraud.",
    "seed": 7,
    "start": "2026-03-03T00:00:00+08:00",
    "minutes": 24 * 60,
    "population": {"subscribers": SUBSCRIBERS, "represents": SUBSCRIBERS},
    "benign": {"calls_per_day": PER_DAY, "sms_per_day": PER_DAY, "cards_per_1000": 40.0},
}


def chi_square_bound(freedom):
    """Wilson and Hilferty's approximation of the same point."""
    return freedom * (1 - 2 / (9 * freedom) + Z * math.sqrt(2 / (9 * freedom))) ** 3


def chi_square(found, expected):
    return sum((f - e) ** 2 / e for f, e in zip(found, expected, strict=True))


def distance(values, below):
    """Kolmogorov-Smirnov; its bound for n values is sqrt(-ln(p / 2) / 2n)."""
    values = sorted(values)
    n = len(values)
    return max(max(abs((i + 1) / n - below(v)), abs(i / n - below(v))) for i, v in enumerate(values))


def distance_bound(n, p=1e-4):
    return math.sqrt(-math.log(p / 2) / 2 / n)


def normal(z):
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


@pytest.fixture(scope="module")
def profile():
    return profile_of(TABLE)


@pytest.fixture(scope="module")
def day(profile):
    return list(simulate(profile))


def attempts(day, cls=None):
    return [
        draft.event
        for draft in day
        if isinstance(draft.event, CallEvent) and draft.event.phase == "attempt" and cls in (None, draft.label.cls)
    ]


def hour(profile, event):
    return (event.time - profile.start_ms) // HOUR_MS


def test_everything_in_order_and_within(profile, day):
    times = [draft.event.time for draft in day]
    assert times == sorted(times)
    assert profile.start_ms <= times[0]
    assert times[-1] < profile.end_ms


@pytest.mark.parametrize("kind", ["call", "sms"])
def test_how_much_at_what_hour(profile, day, kind):
    """All benign calls (SMS but for the schools) of an hour are Poisson around 8 x subscribers x the hour's share."""
    hours, events = (
        (CALL_HOURS, attempts(day))
        if kind == "call"
        else (SMS_HOURS, [d.event for d in day if isinstance(d.event, SmsEvent) and d.label.cls != "school"])
    )
    of_day = SUBSCRIBERS * PER_DAY * WEEK[TUESDAY] / (sum(WEEK) / 7)
    expected = [of_day * share / sum(hours) for share in hours]
    found = Counter(hour(profile, event) for event in events)
    assert min(expected) > 2
    assert chi_square([found[h] for h in range(24)], expected) < chi_square_bound(24)


def test_how_much_by_whom(day):
    """Calls of a person: Poisson, its rate log-normal. Those who call are awake; the sleeping ones are left out."""
    counts = Counter(event.a_e164 for event in attempts(day, "person"))
    total, awake = sum(counts.values()), round(SUBSCRIBERS * 0.95)
    grid = np.linspace(-8, 8, 4_001)
    weights = np.exp(-(grid**2) / 2)
    rates = total / awake * np.exp(CALL_SPREAD * grid - CALL_SPREAD**2 / 2)
    edges = [0, 1, 2, 3, 4, 6, 8, 11, 15, 21, 30, 50]
    logs = [math.lgamma(k + 1) for k in range(edges[-1])]
    chances = [float((np.exp(k * np.log(rates) - rates - logs[k]) * weights).sum() / weights.sum()) for k in range(50)]
    expected = [awake * sum(chances[a:b]) for a, b in pairwise(edges)]
    values = [*counts.values(), *[0] * (awake - len(counts))]
    found = [sum(a <= v < b for v in values) for a, b in pairwise(edges)]
    rest = awake - sum(expected)
    assert chi_square([*found, awake - sum(found)], [*expected, rest]) < chi_square_bound(len(edges) - 1)


def test_how_long_people_talk(day):
    """The fitted mixture; a call that is cut by the end of the log is one in a thousand."""
    ended = [d.event for d in day if isinstance(d.event, CallEvent) and d.event.phase == "ended"]
    people = {id(d.event) for d in day if d.label.cls == "person"}
    seconds = [event.talk_ms / 1000 for event in ended if id(event) in people and event.talk_ms]

    def below(t):
        return sum(w * normal((math.log(t) - math.log(median)) / sigma) for w, median, sigma in TALK)

    assert len(seconds) > 10_000
    assert distance(seconds, below) < distance_bound(len(seconds))


def test_how_many_are_answered(profile, day):
    """Of acquaintances and services 74.1 %, of strangers 35 %; 85 % of the calls are to acquaintances and a fifth of
    the others to services. Who knows nobody at home calls a stranger there: at most the 10 % from outside.
    """
    calls = len(attempts(day, "person"))
    answered = sum(
        d.event.phase == "answered" for d in day if isinstance(d.event, CallEvent) and d.label.cls == "person"
    )
    known = profile.benign.known_calls
    at_most = known * ANSWERED + (1 - known) * (0.2 * ANSWERED + 0.8 * 0.35)
    at_least = at_most - 0.1 * known * (ANSWERED - 0.35)
    margin = Z * math.sqrt(0.25 / calls)
    assert at_least - margin < answered / calls < at_most + margin


@pytest.mark.parametrize("trade", ["courier", "takeaway", "property_agent"])
def test_trades_make_their_calls(day, trade):
    counts = Counter(event.a_e164 for event in attempts(day, trade))
    low, high = TRADES[trade].per_day
    per_1000 = {"courier": 3.2, "takeaway": 7.1, "property_agent": 1.0}[trade]
    assert len(counts) == round(SUBSCRIBERS * per_1000 / 1000)
    for made in counts.values():
        assert low - Z * math.sqrt(low) < made < high + Z * math.sqrt(high)


def test_a_courier_calls_briefly_and_mostly_strangers(day):
    called = defaultdict(set)
    for event in attempts(day, "courier"):
        called[event.a_e164].add(event.b_number.removeprefix("0086").removeprefix("+86"))
    assert min(len(others) for others in called.values()) > 40
    talk = [d.event.talk_ms / 1000 for d in day if d.label.cls == "courier" and getattr(d.event, "talk_ms", None)]
    median, sigma = TRADES["courier"].talk
    assert distance(talk, lambda t: normal(math.log(t / median) / sigma)) < distance_bound(len(talk))


def test_a_school_tells_all_parents_within_minutes(day):
    sent = defaultdict(list)
    for draft in day:
        if draft.label.cls == "school":
            sent[draft.event.a_number].append(draft.event.time)
    assert all(number.startswith("106") for number in sent)
    bursts = [np.split(times, np.flatnonzero(np.diff(times) > 10 * 60_000) + 1) for times in sent.values()]
    assert all(burst[-1] - burst[0] < 8 * 60_000 * len(burst) for found in bursts for burst in found)
    assert max(len(burst) for found in bursts for burst in found) >= 200


def test_number_forms(day):
    forms = Counter(
        "0086" if raw.startswith("0086") else "+86" if raw.startswith("+86") else ""
        for raw in (event.a_number for event in attempts(day, "person"))
    )
    total = sum(forms.values())
    expected = [total * share for share in (0.85, 0.12, 0.03)]
    assert chi_square([forms[form] for form in ("", "+86", "0086")], expected) < chi_square_bound(2)


def test_e164_is_the_number_as_signalled(day):
    for draft in day:
        raw, e164 = draft.event.a_number, draft.event.a_e164
        if raw[0] == "1" and len(raw) == 11 and not raw.startswith("106"):
            assert e164 == "+86" + raw
        elif raw.startswith(("+86", "0086")):
            assert e164.removeprefix("+") == raw.removeprefix("+").removeprefix("00")
        elif raw.startswith(("106", "95")):
            assert e164 is None


def test_phases_of_a_call(day):
    """As many ends as attempts, but for those that the end of the log cuts; talk only where there was an answer."""
    phases = Counter(d.event.phase for d in day if isinstance(d.event, CallEvent))
    assert 0 <= phases["attempt"] - phases["ended"] < 50
    for event in (d.event for d in day if isinstance(d.event, CallEvent)):
        assert (event.release_cause is not None) == (event.phase == "ended")
        assert bool(event.talk_ms) <= (event.release_cause == 16)


def test_texts_vary_and_fit_one_segment(day):
    texts = [d.event.text for d in day if isinstance(d.event, SmsEvent)]
    assert len(set(texts)) > 8_000
    assert max(map(len, texts)) <= 70


def test_emergencies_are_dialled(day):
    dialled = Counter(event.b_number for event in attempts(day, "person"))
    assert dialled["110"] + dialled["120"] + dialled["119"] > 0
    assert dialled["10086"] > dialled["110"]


def test_cards(day):
    """40 events for 1000 subscribers; a sale within the last hour may lack its activation."""
    phases = Counter(d.event.phase for d in day if isinstance(d.event, CardEvent))
    mean = SUBSCRIBERS * 40 / 1000 * WEEK[TUESDAY] / (sum(WEEK) / 7)
    assert abs(sum(phases.values()) - mean) < Z * math.sqrt(2 * mean)  # a sale counts twice: at most twice the variance
    assert phases.keys() == {"sold", "activated", "roamed", "dormant", "woke", "re-verified"}
    assert all((d.event.imei_hash is not None) == (d.event.phase in ("roamed", "woke"))
               for d in day if isinstance(d.event, CardEvent))  # fmt: skip
    assert all((d.event.visited_plmn is not None) == (d.event.phase == "roamed")
               for d in day if isinstance(d.event, CardEvent))  # fmt: skip
