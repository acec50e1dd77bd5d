"""Periods: what dates mean where, and that days and hours are those of the zone's clocks."""

from calendar import timegm
from zoneinfo import ZoneInfo

import pytest

from stream.reports.period import Period, read_moment, read_zone

SHANGHAI, BERLIN, KOLKATA, UTC = (ZoneInfo(name) for name in ("Asia/Shanghai", "Europe/Berlin", "Asia/Kolkata", "UTC"))
HOUR = 3_600_000


def utc(*parts):
    return timegm((*parts, 0, 0, 0)[:6]) * 1000


@pytest.mark.parametrize(
    ("text", "zone", "end", "expected"),
    [
        ("2026-03-01", SHANGHAI, False, utc(2026, 2, 28, 16)),
        ("2026-03-01", SHANGHAI, True, utc(2026, 3, 1, 16)),
        ("2026-03-01", UTC, True, utc(2026, 3, 2, 0)),
        ("20260301", UTC, True, utc(2026, 3, 2, 0)),
        ("2026-03-29", BERLIN, True, utc(2026, 3, 29, 22)),  # 23 hours long
        ("2026-03-01T08:00", SHANGHAI, True, utc(2026, 3, 1, 0)),
        ("2026-03-01T08:00:00Z", SHANGHAI, False, utc(2026, 3, 1, 8)),
        ("2026-03-01T08:00:00.250+01:00", SHANGHAI, True, utc(2026, 3, 1, 7) + 250),
    ],
)
def test_moments(text, zone, end, expected):
    assert read_moment(text, zone, end=end) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "13812345678", "2026-02-30", "2026-13-01", "9999-12-31"])
def test_what_is_no_moment(text):
    """The last day of the calendar too: there is none after it."""
    with pytest.raises(ValueError):
        read_moment(text, SHANGHAI, end=True)


@pytest.mark.parametrize("name", ["Moon/Base", "", "../etc/passwd", "Asia", "/etc/passwd"])
def test_what_is_no_zone(name):
    with pytest.raises(ValueError):
        read_zone(name)


def test_a_period_has_its_start_and_not_its_end():
    period = Period(1000, 2000)
    assert [period.has(ms) for ms in (999, 1000, 1999, 2000)] == [False, True, True, False]
    assert Period().has(0)


@pytest.mark.parametrize(
    ("zone", "day", "hours"), [(BERLIN, "2026-03-29", 23), (BERLIN, "2026-10-25", 25), (SHANGHAI, "2026-10-25", 24)]
)
def test_a_day_has_as_many_hours_as_its_clocks_show(zone, day, hours):
    first, end = read_moment(day, zone, end=False), read_moment(day, zone, end=True)
    parts = list(Period(zone=zone, by="hour").parts(first, end - 1))
    assert len(parts) == len(set(parts)) == hours == (end - first) / HOUR
    assert all(part.startswith(day) for part in parts)
    assert list(Period(zone=zone).parts(first, end)) == [day, Period(zone=zone).part(end)]


def test_hours_of_a_zone_that_is_half_an_hour_off():
    """Time line, UTC: 18:00  18:29 | 18:30 is midnight there."""
    period = Period(zone=KOLKATA, by="hour")
    at = utc(2026, 3, 1, 18)
    assert [period.part(at + minutes * 60_000) for minutes in (0, 29, 30, 89, 90)] == [
        "2026-03-01T23:00+05:30",
        "2026-03-01T23:00+05:30",
        "2026-03-02T00:00+05:30",
        "2026-03-02T00:00+05:30",
        "2026-03-02T01:00+05:30",
    ]


def test_days_without_anything_are_there_too():
    first, last = utc(2026, 2, 27, 15, 59), utc(2026, 3, 1, 16)
    assert list(Period().parts(first, last)) == ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]
    assert list(Period().parts(first, first)) == ["2026-02-27"]


def test_bounds_are_told_as_the_zone_has_them():
    assert Period(utc(2026, 2, 28, 16), utc(2026, 3, 1)).bounds == (
        "2026-03-01T00:00:00+08:00",
        "2026-03-01T08:00:00+08:00",
    )
    assert Period().bounds == ("", "")
