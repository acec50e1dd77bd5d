"""A process that stood still must not decide by what it knew before."""

import pytest

from stream.progress import SESSION_TIMEOUT, Progress, StoodStill


def test_who_runs_several_times_within_a_session_goes_on():
    progress = Progress()
    progress.check(0.0)  # nothing is known yet
    for now in (5.0, 5.5, 5.5 + SESSION_TIMEOUT):
        progress.runs(now)
    progress.check(5.5 + 2 * SESSION_TIMEOUT)


@pytest.mark.parametrize("ask", [Progress.check, Progress.runs])
def test_who_stood_still_for_longer_than_a_session_is_told_before_it_decides(ask):
    progress = Progress()
    progress.runs(5.0)
    with pytest.raises(StoodStill, match="for 11 s"):
        ask(progress, 5.0 + SESSION_TIMEOUT + 0.6)
    with pytest.raises(StoodStill):  # and again: nobody goes on after that
        ask(progress, 5.0 + SESSION_TIMEOUT + 0.7)


def test_a_shard_is_forgotten_alone():
    progress = Progress()
    progress.decided = {("calls", 0): 7, ("sms", 0): 8, ("calls", 1): 9}
    assert progress.of(0) == {"calls": 7, "sms": 8}
    progress.forget(0)
    assert progress.decided == {("calls", 1): 9}
