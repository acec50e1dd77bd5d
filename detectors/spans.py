"""Memory for what came of late: two generations by event time, each of bounded size."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Spans(Generic[K, V]):
    """What came in the last one to two spans of event time; less where there is no room for as much.

    Args:
        span_ms: that a generation lasts.
        most: bound of one generation.
    """

    def __init__(self, span_ms: int, most: int) -> None:
        self._span, self._max = span_ms, most
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._since = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def _turn(self, time: int) -> None:
        """Something comes at ``time``: begin another generation if it is due."""
        if time < self._since - 2 * self._span:
            self._since = time  # it was set by a clock that is ahead
        if time - self._since >= self._span or len(self._young) >= self._max:
            kept = self._young if time - self._since < 2 * self._span else {}  # after a silence all is old
            self._young, self._old, self._since = {}, kept, max(time, self._since)
