"""The blast-radius brake: a rule or feed that does more than its cap is stopped before it does.

Windows are exact and slide. What is kept is bounded by the caps: the moments of the measures in the last minute, and
how many events there were in each second of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from detectors.rollout import Cap

WINDOW_MS: Final = 60_000
#: Events in the window from which a share of them means something.
ENOUGH: Final = 1000
_SECOND: Final = 1000


class Trip(NamedTuple):
    """A rule id, or ``feed:NAME``, that was stopped; ``serial`` is that of the stage in which it was."""

    name: str
    serial: int
    reason: str
    time: int


class Brake:
    """Counts for one engine.

    Args:
        caps: by name.
        part: of all the traffic that this engine sees: its part of each ``per_minute``, rounded down, but at least 1.
    """

    def __init__(self, caps: Mapping[str, Cap], part: float = 1.0) -> None:
        self._caps = dict(caps)
        self.part = part
        self._taken: dict[str, deque[int]] = {}
        self._seconds: deque[tuple[int, int]] = deque()
        self._events = 0
        self._now = 0

    @property
    def caps(self) -> Mapping[str, Cap]:
        """By name."""
        return self._caps

    def set_caps(self, caps: Mapping[str, Cap]) -> None:
        """Other caps. What was counted stays for the names that stay."""
        self._caps = dict(caps)
        self._taken = {name: taken for name, taken in self._taken.items() if name in caps}

    def forget(self, name: str) -> None:
        """Start to count anew."""
        self._taken.pop(name, None)

    def seen(self, count: int, now: int) -> None:
        """``count`` events are decided at ``now`` (ms; it never goes back)."""
        self._move(now)
        second = self._now // _SECOND
        if self._seconds and self._seconds[-1][0] == second:
            count, self._events = count + self._seconds[-1][1], self._events - self._seconds.pop()[1]
        self._seconds.append((second, count))
        self._events += count

    def take(self, name: str, now: int) -> str:
        """Count one measure against ``name``; "", or the reason why that is one too many. Then it is not counted."""
        self._move(now)
        cap = self._caps[name]
        taken = self._taken.setdefault(name, deque())
        while taken and taken[0] <= self._now - WINDOW_MS:
            taken.popleft()
        if cap.per_minute is not None and len(taken) >= (limit := max(1, int(cap.per_minute * self.part))):
            here = "" if limit == cap.per_minute else f", {limit:,} for this worker's part of the traffic"
            return f"one more than {len(taken):,} measures within 60 s; its cap is {cap.per_minute:,}{here}"
        if cap.share is not None and self._events >= ENOUGH and len(taken) + 1 > cap.share * self._events:
            return f"{len(taken) + 1:,} measures on {self._events:,} events within 60 s; its cap is {cap.share:.2%}"
        taken.append(self._now)
        return ""

    def _move(self, now: int) -> None:
        self._now = max(self._now, now)
        oldest = (self._now - WINDOW_MS) // _SECOND
        while self._seconds and self._seconds[0][0] <= oldest:
            self._events -= self._seconds.popleft()[1]
