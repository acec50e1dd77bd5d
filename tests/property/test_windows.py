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
        attempts, distinct = windows.observe(caller, callee, time)
        if newest - lane >= 10:
            late += 1
            assert (attempts, distinct) == (0, 0)
            continue
        history.append((lane, callee))
        window = [c for at, c in history if newest - 10 < at]
        # A caller idle for more than a window may have been evicted; what it did before is out of the window then.
        assert attempts == len(window)
        assert distinct <= attempts
    assert windows.late == late


@given(st.sets(st.integers(0, 10**9), min_size=1, max_size=40))
def test_distinct_callees_never_exceed_the_truth_and_come_close(numbers):
    windows = CallerWindows(WINDOW)
    for i, number in enumerate(sorted(numbers)):
        _, distinct = windows.observe("+861", f"+86{number}", T0 + i)
    assert len(numbers) * 0.6 <= distinct <= len(numbers)


def test_repeated_calls_to_one_callee_are_one_distinct():
    windows = CallerWindows(WINDOW)
    assert [windows.observe("+861", "+862", T0 + i) for i in range(3)] == [(1, 1), (2, 1), (3, 1)]


def test_memory_is_bounded_by_count_and_by_time():
    windows = CallerWindows(WINDOW, max_callers=100)
    for i in range(1000):
        windows.observe(f"+86{i}", "+861", T0 + i)
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
    assert windows.observe("+861", "+862", T0 + 40)[0] == 31


def test_a_busy_caller_saturates_instead_of_overflowing():
    windows = CallerWindows(WINDOW)
    for _ in range(70_000):
        attempts, _ = windows.observe("+861", "+862", T0)
    assert attempts == 60_000
    assert windows.observe("+861", "+862", T0 + WINDOW)[0] == 1
