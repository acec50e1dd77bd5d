"""Deadlines, their shares, the hurry of a backlog, and the settings of what happens when something fails."""

import pytest

from detectors.model.decision import Action
from stream.deadlines import SHARES, WAITING, Hurry, misses, overruns
from stream.metrics import STAGES
from stream.settings import Settings, SettingsError


def test_the_shares_are_of_all_stages_and_make_one_with_the_waiting():
    assert tuple(SHARES) == STAGES
    assert sum(SHARES.values()) + WAITING == pytest.approx(1)


def test_a_stage_overruns_when_it_takes_more_than_its_share():
    deadline = Settings().deadlines["call"]
    assert overruns(deadline, {stage: share * deadline for stage, share in SHARES.items()}) == []
    assert overruns(deadline, {"decode": 0.0026, "decide": 0.0125, "deliver": 0.0126}) == ["decode", "deliver"]
    assert overruns(Settings().deadlines["sms"], {"decode": 0.0026, "deliver": 0.0126}) == []


def test_a_decision_that_comes_in_time_to_the_moment_misses_nothing():
    assert misses(0.05, [0, 50, 51, 1000]) == 2


def test_the_hurry_ends_when_half_of_the_backlog_is_left():
    hurry = Hurry(60.0)
    ages = [0.1, 60.0, 60.1, 45.0, 30.1, 30.0, 45.0, 60.0, 61.0, 0.0, 31.0]
    assert [hurry.at(age) for age in ages] == [
        False, False, True, True, True, False, False, False, True, False, False,
    ]  # fmt: skip
    never = Hurry(0)
    assert not any(never.at(age) for age in (0.0, 1.0, 1e9))


def test_what_fails_is_let_pass_unless_settings_say_otherwise():
    assert Settings().on_fault == {}
    given = {"LANJIE_CALL_ON_FAULT": "closed", "LANJIE_CARD_ON_FAULT": "closed", "LANJIE_SMS_ON_FAULT": "open"}
    assert Settings.from_env(given).on_fault == {"call": Action.CHALLENGE, "card": Action.DELAY}
    assert Settings.from_env({"LANJIE_SMS_ON_FAULT": "closed"}).on_fault == {"sms": Action.DELAY}


def test_deadlines_are_told_in_milliseconds_and_used_in_seconds():
    assert Settings().deadlines == {"call": 0.05, "sms": 0.5, "card": 5.0}
    assert Settings.from_env({"LANJIE_CALL_DEADLINE_MS": "80"}).deadlines["call"] == 0.08
    assert Settings.from_env({"LANJIE_LISTS_ONLY_AFTER": "0"}).lists_only_after == 0


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("LANJIE_CALL_ON_FAULT", "shut", "open or closed"),
        ("LANJIE_SMS_ON_FAULT", "Open", "open or closed"),
        ("LANJIE_LISTS_ONLY_AFTER", "nan", "seconds from 0 to 86400"),
        ("LANJIE_LISTS_ONLY_AFTER", "-1", "seconds from 0 to 86400"),
        ("LANJIE_SMS_DEADLINE_MS", "0", "a whole number from 1 to 600000"),
        ("LANJIE_CARD_DEADLINE_MS", "5s", "a whole number from 1 to 600000"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(name, text, expected):
    with pytest.raises(SettingsError) as error:
        Settings.from_env({name: text})
    assert str(error.value) == f"{name}={text!r}: expected {expected}"
