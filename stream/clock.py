"""Time as an argument. The only module that reads the clock; everything else is given one."""

from __future__ import annotations

import time  # noqa: TID251 - this is the one place
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where time comes from."""

    def wall_ms(self) -> int:
        """Milliseconds UTC since 1970, as Kafka stamps its records."""

    def monotonic(self) -> float:
        """Seconds that never go backwards, for durations."""


class SystemClock:
    """The machine's clocks."""

    def wall_ms(self) -> int:
        """Milliseconds UTC since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds since some moment in the past."""
        return time.perf_counter()


def iso(ms: int, timespec: str = "seconds") -> str:
    """A moment, ms UTC since 1970, as people read it: ISO 8601 with a Z."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
