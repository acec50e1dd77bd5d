"""Windows against a model that keeps every event; drawn as a time line above the data.

half windows    0      1      2      3
            |------|------|------|------|
newest event          x                      counts cover halves 0 and 1
"""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.behaviour import window
from detectors.behaviour.window import COUNTERS, FULL
from detectors.model.events import CallEvent, SmsEvent
from detectors.normalise.key import keys
from detectors.normalise.marks import marks
from tests.support.events import T0

WINDOW = 600_000
HALF = WINDOW // 2
START = T0 // HALF * HALF
callers = st.sampled_from(["+861", "+862", "+863"])
callees = st.integers(13800000000, 13800000060).map(lambda n: f"+86{n}")
places = st.none() | st.sampled_from(["x", "y"])
milliseconds = st.none() | st.sampled_from([0, 800, 1_999, 2_000, 2_001, 5_000, 5_001, 9_999, 10_000, 90_000, 700_000])
# mostly forward, sometimes back within and beyond the window
steps = st.integers(0, 40_000) | st.integers(-3 * HALF, 2 * HALF)


class CallerWindows(window.CallerWindows):
    """Takes the callee as a number."""

    def observe(self, caller, callee, event):
        (number,), (bit,) = marks(keys([callee]))
        return self.count(caller, number, bit, event)


@st.composite
def events(draw):
    common = {"id": "e", "time": 0, "a_number": "1", "b_number": "2", "cell": draw(places), "imei_hash": draw(places)}
    common["visited_plmn"] = draw(st.none() | st.sampled_from(["46000", "45606"]))
    if draw(st.booleans()):
        return SmsEvent(**common, text="")
    phase = draw(st.sampled_from(["attempt", "attempt", "answered", "ended"]))
    return CallEvent(**common, phase=phase, ring_ms=draw(milliseconds), talk_ms=draw(milliseconds))


def model(history):
    """The counts of ``history`` [(half, callee, event)], whose last event is the newest: two halves of it."""
    newest = max(half for half, _, _ in history)
    counts = dict.fromkeys(COUNTERS, 0) | {"ring": 0, "talk": 0}
    last, place = None, {}
    for half, callee, e in history:
        inside = half >= newest - 1
        add = dict.fromkeys(COUNTERS, 0) | {"ring": 0, "talk": 0, "events": 1}
        for name, counter in (("cell", "cell"), ("visited_plmn", "region"), ("imei_hash", "imei")):
            if (value := getattr(e, name)) is not None:
                add[f"{counter}_changes"] = int(place.get(name, value) != value)
                place[name] = value
        if isinstance(e, SmsEvent):
            add |= {"sms": 1, "voice_then_sms": int(callee == last)}
        elif e.phase == "attempt":
            near = last is not None and 0 < abs(int(callee) - int(last)) <= 10
            add |= {"attempts": 1, "sequential": int(near)}
            last = callee
        elif e.phase == "answered":
            add["answered"] = 1
        else:
            ring, talk = e.ring_ms, e.talk_ms or 0
            add |= {"ended": 1, "ring": min((ring or 0) // 1000, 60), "talk": min(talk // 1000, 600)}
            add |= {"talked": int(talk > 0), "short": int(0 < talk < 10_000), "silent": int(0 < talk <= 2_000)}
            add["one_ring"] = int(talk == 0 and ring is not None and ring <= 5_000)
        if inside:
            counts = {name: counts[name] + add[name] for name in counts}
    return counts


def found(view):
    return {n: view.count(n) for n in COUNTERS} | {"ring": view.ring_seconds(), "talk": view.talk_seconds()}


@given(st.lists(st.tuples(callers, callees, events(), st.integers(0, 60_000)), max_size=60))
@settings(max_examples=200)
def test_all_counts_equal_those_of_all_events_kept(log):
    windows, seen, time = CallerWindows(WINDOW), {}, START
    for caller, callee, event, step in log:
        time += step
        windows.observe(caller, callee, replaced(event, time))
        seen.setdefault(caller, []).append((time // HALF, callee, event))
        assert found(windows.view(caller)) == model(seen[caller])
    assert windows.late == windows.far == 0


@given(st.lists(st.tuples(callers, steps), max_size=80))
@settings(max_examples=300)
def test_late_events_count_in_their_half_or_are_named(log):
    windows, seen, time, late, newest_of_all = CallerWindows(WINDOW), {}, START + 10 * WINDOW, 0, 0
    for caller, step in log:
        time = max(START, time + step)
        newest_of_all = max(newest_of_all, time)
        history = seen.setdefault(caller, [])
        half = time // HALF
        newest = max([half, *history])
        events = windows.observe(caller, "+861380", call(time))
        if newest - half > 1:
            # Its caller's counts may have been evicted for idleness; then it counts alone, out of all later windows.
            assert events in (0, 1)
            late += events == 0
            if events:
                seen[caller] = [half]
            continue
        history.append(half)
        assert windows.view(caller).count("attempts") <= sum(h >= newest - 1 for h in history)
        assert windows.view(caller).count("attempts") >= sum(h == half for h in history if time == newest_of_all)
    assert windows.late == late


def call(time, **more):
    return CallEvent(id="e", time=time, a_number="1", b_number="2", **more)


def replaced(event, time):
    return type(event)(**{n: getattr(event, n) for n in event.__struct_fields__} | {"time": time})


@pytest.mark.parametrize(("true", "low", "high"), [(10, 7, 13), (30, 22, 39), (60, 44, 80)])
@pytest.mark.parametrize("step", [1, 7_919])
def test_distinct_callees_are_estimated(true, low, high, step):
    """Linear counting over 64 bits: a standard error of about a tenth; numbers in sequence must not look like more."""
    rng, counts = Random(7), []
    for _ in range(60):
        windows, first = CallerWindows(WINDOW), rng.randrange(10**9, 10**10)
        for i in range(true):
            windows.observe("+861", f"+86{first + i * step}", call(T0))
        counts.append(windows.view("+861").contacts())
    assert low <= min(counts)
    assert max(counts) <= high
    assert 0.93 * true <= sum(counts) / len(counts) <= 1.07 * true


def test_a_caller_without_end_overflows_nothing():
    windows = CallerWindows(WINDOW)
    for i in range(3 * FULL):
        windows.observe("+861", "+8613800000000", call(START, phase="ended", ring_ms=10**6, talk_ms=7 * 86_400_000))
        windows.observe("+861", "+8613800000000", call(START + HALF, phase="ended", ring_ms=0, talk_ms=i % 2))
    view = windows.view("+861")
    assert view.count("events") == view.count("ended") == 2 * FULL
    assert (view.count("attempts"), view.count("sms"), view.count("cell_changes")) == (0, 0, 0)
    assert (view.ring_seconds(), view.talk_seconds()) == (60 * FULL, 600 * FULL)
    assert view.contacts() == 1


def test_one_bad_clock_does_not_empty_the_tables():
    windows = CallerWindows(WINDOW)
    windows.observe("+861", "+862", call(T0))
    windows.observe("+863", "+862", call(T0 + 400 * 86_400_000))
    assert windows.observe("+861", "+862", call(T0 + 1)) == 2
    assert windows.far == 1


def test_a_log_that_goes_back_for_good_is_followed_and_a_bad_clock_after_it_is_named():
    windows, later = CallerWindows(WINDOW), T0 + 400 * 86_400_000
    windows.observe("+861", "+862", call(later))
    counted = [windows.observe("+863", "+862", call(T0 + i)) for i in range(20)]
    assert counted == [0] * 9 + list(range(1, 12))
    assert windows.observe("+861", "+862", call(later)) == 0
    assert windows.observe("+863", "+862", call(T0 + 20)) == 12
    assert windows.far == 10


def test_memory_is_bounded_by_count_and_by_time():
    windows = CallerWindows(WINDOW, max_callers=100)
    for i in range(1000):
        windows.observe(f"+86{i}", "+861", call(T0 + i % 7))  # out of order, and many at one time
        assert len(windows) <= 200
    assert windows.dropped_early > 0
    for i in range(3):
        windows.observe("+861", "+862", call(T0 + (i + 2) * WINDOW))
    assert len(windows) <= 2


def test_a_caller_takes_at_most_160_bytes():
    """Of counters: the packed integer, as the interpreter says."""
    windows = CallerWindows(WINDOW)
    for i in range(2 * FULL):
        windows.observe("+861", f"+8619{i:09}", call(START + i % 2 * HALF, cell=str(i), imei_hash=str(i)))
    assert windows._young["+861"].__sizeof__() <= 160
