"""The period of a report: from when to when, in the days or hours of which time zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

ZONE: Final = "Asia/Shanghai"  #: whose days are meant if nobody says otherwise
PARTS: Final = ("day", "hour")
EXPECTED: Final = "expected a date such as 2026-03-01, or ISO 8601 such as 2026-03-01T08:00:00+08:00"
_QUARTER_MS: Final = 900_000  # since 2000 all zones are whole quarters of an hour from UTC
_HOUR_MS: Final = 3_600_000


class Period(NamedTuple):
    """From ``since`` on and before ``until``, ms UTC of event time; None: as far as there is anything."""

    since: int | None = None
    until: int | None = None
    zone: ZoneInfo = ZoneInfo(ZONE)
    by: str = "day"  #: one of ``PARTS``

    def has(self, ms: int) -> bool:
        """Whether it is in the period."""
        return (self.since is None or self.since <= ms) and (self.until is None or ms < self.until)

    def part(self, ms: int) -> str:
        """The day (``2026-03-01``) or hour (``2026-03-01T08:00+08:00``) of a moment."""
        return _part(ms // _QUARTER_MS, self.zone, self.by)

    def parts(self, first: int, last: int) -> Iterator[str]:
        """All from that of ``first`` to that of ``last``, both ms UTC."""
        return iter(dict.fromkeys(self.part(ms) for ms in (*range(first, last, _HOUR_MS), last)))

    @property
    def bounds(self) -> tuple[str, str]:
        """For people and programs: ISO 8601 with the zone's offset; "" where it is open."""
        since, until = (
            "" if ms is None else datetime.fromtimestamp(ms / 1000, self.zone).isoformat()
            for ms in (self.since, self.until)
        )
        return since, until


@lru_cache(maxsize=4096)
def _part(quarter: int, zone: ZoneInfo, by: str) -> str:
    moment = datetime.fromtimestamp(quarter * _QUARTER_MS / 1000, zone)
    return moment.replace(minute=0).isoformat(timespec="minutes") if by == "hour" else moment.date().isoformat()


def read_zone(text: str) -> ZoneInfo:
    """A zone by its IANA name.

    Raises:
        ValueError: there is none of that name here.
    """
    try:
        return ZoneInfo(text)
    except (KeyError, OSError):
        raise ValueError(text) from None


def read_moment(text: str, zone: ZoneInfo, *, end: bool) -> int:
    """A date or a time, ms UTC. ``end``: a date means the end of that day.

    Raises:
        ValueError: it is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
        if end and len(text) <= len("2026-03-01"):
            moment += timedelta(days=1)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000)
    except OverflowError:
        raise ValueError(text) from None
