"""Latency and rates of a load test, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.driver import Published
from stream.cli.loadtest_figures import MAX_STEPS, Driven, figures, over_time
from stream.cli.loadtest_kafka import Outcomes

T = 1_790_000_000_000


def report(*, paced=True):
    """Four events at 0, 500, 1000 and 2500 ms: decided after 10, 30 and 20 ms; the fourth is a dead letter."""
    ids, due = ["a", "b", "c", "d"], [T, T + 500, T + 1000, T + 2500]
    outcomes = Outcomes(
        actions={"a": "allow", "b": "block", "c": "allow"},
        times={"a": T + 10, "b": T + 530, "c": T + 1020},
        dead={"d": "engine_error"},
    )
    return figures(Driven(ids, due, Published(records=4), "a word", paced), outcomes, {})


def test_counts_add_up():
    counts = report()["counts"]
    assert (counts["published"], counts["decided"], counts["dead_lettered"], counts["lost"]) == (4, 3, 1, 0)
    assert counts["dead_lettered_by_code"] == {"engine_error": 1}


def test_an_event_with_a_decision_and_a_dead_letter_is_not_lost_twice():
    outcomes = Outcomes(actions={"a": "allow"}, times={"a": T}, dead={"a": "engine_error"})
    found = figures(Driven(["a", "b"], [T, T], Published(records=2), "", paced=True), outcomes, {})
    assert found["counts"]["lost"] == 1


def test_latency_is_from_the_scheduled_time():
    latency = report()["latency_ms"]
    assert (latency["p50"], latency["p90"], latency["max"]) == (20, 30, 30)  # of 10, 20, 30: nearest rank
    assert latency["curve"][0] == [1, 10]
    assert latency["curve"][-1] == [100, 30]


def test_three_decisions_from_10_to_1020_ms():
    assert report()["decided_per_second"] == round(3 / 1.01)


def test_over_time():
    over = report()["over_time"]
    assert over["step_seconds"] == 1
    assert over["due_per_second"] == [2, 1, 1]
    assert over["decided_per_second"] == [2, 1, 0]
    assert over["p50"] == [10, 20, None]
    assert over["p99"] == [30, 20, None]


def test_at_full_speed_there_is_no_latency():
    found = report(paced=False)
    assert found["latency_ms"] is None
    assert found["over_time"]["p50"] == []


def test_nothing_sent_and_nothing_decided():
    found = figures(Driven([], [], Published(), "", paced=True), Outcomes(), {})
    assert found["decided_per_second"] is None
    assert found["latency_ms"]["p50"] is None
    assert found["over_time"]["due_per_second"] == []


events = st.lists(st.tuples(st.integers(0, 2_000_000), st.none() | st.integers(0, 90_000)), min_size=1, max_size=60)


@given(events)
def test_steps_hold_every_event_once_and_its_latency(rows):
    due = np.array([T + at for at, _ in rows], np.int64)
    decided = np.array([-1 if late is None else T + at + late for at, late in rows], np.int64)
    over = over_time(due, decided, paced=True)
    step, steps = over["step_seconds"], len(over["due_per_second"])
    assert steps <= MAX_STEPS
    assert {len(over[name]) for name in ("decided_per_second", "p50", "p99")} == {steps}
    assert sum(over["due_per_second"]) * step == pytest.approx(len(rows))
    assert sum(over["decided_per_second"]) * step == pytest.approx(sum(late is not None for _, late in rows))
    first = min(at for at, _ in rows)
    for n in range(steps):
        latencies = sorted(late for at, late in rows if late is not None and (at - first) // (1000 * step) == n)
        # nearest rank: the least value that half of them do not exceed
        assert over["p50"][n] == (latencies[(len(latencies) - 1) // 2] if latencies else None)
        assert over["p99"][n] == (latencies[-1] if latencies else None)  # of at most 60, 99 % is all of them
