"""The blast-radius brake: a rule or feed that does more than its cap is stopped before it does.

Windows slide. What is kept is bounded by the caps: the moments of the measures in the last minute, and how many events
there were in each second of it. Measures are told apart to the millisecond, events to the second: of a share at most
a second more of events is counted than of measures.
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
_ROUNDING: Final = 1e-9  # 1/49 of 98 is 2


class Trip(NamedTuple):
    """A rule id, or ``feed:NAME``, that was stopped; ``serial`` is that of the stage in which it was."""

    name: str
    serial: int
    reason: str
    time: int


class _Taken:
    """The measures against one name in the window, and in which part of the traffic they were taken."""

    def __init__(self) -> None:
        self._moments: deque[tuple[int, float]] = deque()
        self._parts: dict[float, int] = {}

    def __len__(self) -> int:
        return len(self._moments)

    def add(self, now: int, part: float) -> None:
        self._moments.append((now, part))
        self._parts[part] = self._parts.get(part, 0) + 1

    def expire(self, until: int) -> None:
        while self._moments and self._moments[0][0] <= until:
            _, part = self._moments.popleft()
            self._parts[part] -= 1
            if not self._parts[part]:
                del self._parts[part]

    def weight(self, part: float) -> float:
        """How much of the limit of a part they use up: what was taken in a greater one is now others' too."""
        return sum(count * min(1.0, part / then) for then, count in self._parts.items())


class Brake:
    """Counts for one engine.

    Args:
        caps: by name.
        part: of all the traffic that this engine sees, above 0: its part of each ``per_minute``, rounded down, but at
            least 1. If it changes, more than a cap may be done for the minute until all workers have come to know.
    """

    def __init__(self, caps: Mapping[str, Cap], part: float = 1.0) -> None:
        self._caps = dict(caps)
        self.part = part
        self._taken: dict[str, _Taken] = {}
        self._seconds: deque[list[int]] = deque()  # which, and events in it
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
        """``count`` events are decided at ``now`` (ms); time that goes back stands still."""
        self._move(now)
        second = self._now // _SECOND
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0])
        self._seconds[-1][1] += count
        self._events += count

    def over(self, name: str, now: int) -> str:
        """Why one more measure against ``name`` would be one too many; "" if it would not."""
        self._move(now)
        cap, taken = self._caps[name], self._lately(name)
        if cap.per_minute is not None:
            limit = max(1, int(cap.per_minute * self.part + _ROUNDING))
            if taken.weight(self.part) + 1 > limit + _ROUNDING:
                here = "" if limit == cap.per_minute else f", {limit:,} for this worker's part of the traffic"
                return f"one more than {len(taken):,} measures within 60 s; its cap is {cap.per_minute:,}{here}"
        if cap.share is not None and self._events >= ENOUGH and len(taken) + 1 > cap.share * self._events:
            return f"{len(taken) + 1:,} measures on {self._events:,} events within 60 s; its cap is {cap.share:.2%}"
        return ""

    def take(self, name: str, now: int) -> str:
        """Count one measure against ``name``; "", or the reason why that is one too many. Then it is not counted."""
        reason = self.over(name, now)
        if not reason:
            self._lately(name).add(self._now, self.part)
        return reason

    def _lately(self, name: str) -> _Taken:
        taken = self._taken.setdefault(name, _Taken())
        taken.expire(self._now - WINDOW_MS)
        return taken

    def _move(self, now: int) -> None:
        self._now = max(self._now, now)
        while self._seconds and (self._seconds[0][0] + 1) * _SECOND <= self._now - WINDOW_MS + 1:
            self._events -= self._seconds.popleft()[1]
