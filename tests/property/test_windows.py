from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.behaviour import CallerWindows
from tests.support.events import T0

WINDOW = 600_000
LANE = WINDOW // 10
callers = st.sampled_from(["+861", "+862", "+863"])
callees = st.integers(0, 60).map(str)
#        lane:   0    1    2  ...  9   10
# steps drawn: mostly forward, sometimes back within and beyond the window
steps = st.integers(-12 * LANE, 3 * LANE) | st.integers(0, LANE)


@given(st.lists(st.tuples(callers, callees, steps), max_size=120))
@settings(max_examples=300)
def test_attempts_equal_a_brute_force_window(calls):
    windows = CallerWindows(WINDOW)
    seen: dict[str, list[tuple[int, str]]] = {}
    time, late = T0, 0
    newest_of_all = 0
    for caller, callee, step in calls:
        time = max(T0 - 3 * WINDOW, min(time + step, newest_of_all + WINDOW // 2 if newest_of_all else time + step))
        newest_of_all = max(newest_of_all, time)
        history = seen.setdefault(caller, [])
        lane = time // LANE
        newest = max((lane, *(at for at, _ in history)))
        attempts = windows.observe(caller, callee, time)
        if newest - lane >= 10:
            late += 1
            assert attempts == 0
            continue
        history.append((lane, callee))
        window = [c for at, c in history if newest - 10 < at]
        # A caller idle for more than a window may have been evicted; what it did before is out of the window then.
        assert attempts == len(window)
        truth = len(set(window))
        assert min(truth, 1) <= windows.distinct_callees(caller) <= truth
    assert windows.late == late


def test_distinct_callees_at_30_are_short_by_about_a_tenth():
    rng = Random(7)
    counts = []
    for _ in range(200):
        windows = CallerWindows(WINDOW)
        for callee in rng.sample(range(10**9), 30):
            windows.observe("+861", f"+86{callee}", T0)
        counts.append(windows.distinct_callees("+861"))
    assert max(counts) <= 30
    assert 26 <= sum(counts) / len(counts) <= 27.5  # 128 * (1 - (1 - 1/128) ** 30) = 26.8


def test_repeated_calls_to_one_callee_are_one_distinct():
    windows = CallerWindows(WINDOW)
    assert [windows.observe("+861", "+862", T0 + i) for i in range(3)] == [1, 2, 3]
    assert windows.distinct_callees("+861") == 1


def test_redialling_the_same_list_window_after_window_stays_visible():
    windows = CallerWindows(WINDOW)
    for turn in range(4):
        for i in range(30):
            windows.observe("+861", f"+86{i}", T0 + turn * WINDOW + i)
        assert 20 <= windows.distinct_callees("+861") <= 30


def test_memory_is_bounded_by_count_and_by_time():
    windows = CallerWindows(WINDOW, max_callers=100)
    for i in range(1000):
        windows.observe(f"+86{i}", "+861", T0 + i % 7)  # out of order, and many at one time
        assert len(windows) <= 200
    assert windows.dropped_early > 0
    for i in range(3):
        windows.observe("+861", "+862", T0 + (i + 2) * WINDOW)
    assert len(windows) <= 2


def test_one_event_from_the_future_does_not_empty_the_table():
    windows = CallerWindows(WINDOW)
    for i in range(30):
        windows.observe("+861", "+862", T0 + i)
    windows.observe("+869", "+862", T0 + 10**10)
    assert windows.observe("+861", "+862", T0 + 40) == 31
    assert windows.observe("+861", "+862", T0 + 10**10) == 0  # nor does its own clock gone wrong for once
    assert windows.observe("+861", "+862", T0 + 41) == 32
    assert windows.far == 2


def test_a_first_event_from_the_future_is_overcome():
    windows = CallerWindows(WINDOW)
    windows.observe("+861", "+862", T0 + 10**12)
    counts = [windows.observe("+861", "+862", T0 + i) for i in range(30)]
    assert counts[-1] == 30 - windows.far
    assert windows.far < 10


def test_a_busy_caller_saturates_instead_of_overflowing():
    windows = CallerWindows(WINDOW)
    for _ in range(70_000):
        attempts = windows.observe("+861", "+862", T0)
    assert attempts == 60_000
    assert windows.observe("+861", "+862", T0 + WINDOW) == 1
