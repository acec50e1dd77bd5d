"""Sliding windows of event time per caller, in bounded memory.

    lanes (window / 10 each)   | 3 | 0 | 1 | 7 | ... | 2 |     attempts, 16 bits a lane, one integer
    event time            ------------------------------->     newest lane = lowest bits

A count covers the ten lanes that end with the caller's newest event: exact to a tenth of the window.
The sum of the 16-bit lanes of ``x`` is ``x % 65535`` as long as it is below 65535.
"""

from __future__ import annotations

from zlib import crc32

from msgspec import Struct

from detectors.model.numbers import Canonical

LANES = 10
_BITS = 16
_MOD = (1 << _BITS) - 1
_MASK = (1 << LANES * _BITS) - 1
_FULL = 60_000  # a caller this busy is not counted further: lanes and their sum stay below 65535
_SKETCH_BITS = 128
_SKETCH_MASK = (1 << _SKETCH_BITS) - 1
_SEEN_MASK = (1 << LANES * _SKETCH_BITS) - 1
_FAR_MS = 86_400_000  # further than this from the watermark, a clock has gone wrong or the log has a gap
_FAR_IN_A_ROW = 10  # so many in a row are a gap: the watermark follows


class _Caller(Struct, gc=False):
    lane: int
    attempts: int = 0
    seen: int = 0  #: a sketch of the callees of each lane, newest in the lowest bits


class CallerWindows:
    """Attempts and distinct callees of every active caller.

    Distinct callees come from a 128-bit sketch: never more than the truth, and short by about a tenth at 30.

    Args:
        window_ms: length of the window.
        max_callers: bound on callers held in each of two generations. A generation is dropped whole when it has been
            idle for a window of event time, or when the younger one is full.
    """

    def __init__(self, window_ms: int, max_callers: int = 1_000_000) -> None:
        self._lane_ms = max(1, window_ms // LANES)
        self._window_ms = self._lane_ms * LANES
        self._max = max_callers
        self._young: dict[Canonical, _Caller] = {}
        self._old: dict[Canonical, _Caller] = {}
        self._watermark = 0
        self._rotated_at = 0
        self._far_in_a_row = 0
        self.late = 0  #: events older than their caller's whole window: named, not counted
        self.far = 0  #: events more than a day from the watermark: named, not counted
        self.dropped_early = 0  #: generations dropped because of ``max_callers``

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def observe(self, caller: Canonical, callee: Canonical, time: int) -> int:
        """Count one attempt at event time ``time`` (ms UTC).

        Returns:
            Attempts in the window that ends with the caller's newest event; 0 if this one was late or far.
        """
        if not self._advance(time):
            self.far += 1
            return 0
        lane = time // self._lane_ms
        state = self._young.get(caller) or self._enter(caller, lane)
        if (ahead := lane - state.lane) > 0:
            state.lane = lane
            state.attempts = (state.attempts << ahead * _BITS) & _MASK if ahead < LANES else 0
            state.seen = (state.seen << ahead * _SKETCH_BITS) & _SEEN_MASK if ahead < LANES else 0
        elif ahead <= -LANES:
            if state.lane <= self._watermark // self._lane_ms:
                self.late += 1
                return 0
            state.lane, state.attempts, state.seen = lane, 0, 0  # counted by a clock that proved wrong
        total = state.attempts % _MOD
        if total < _FULL:
            behind = state.lane - lane
            state.attempts += 1 << behind * _BITS
            state.seen |= 1 << behind * _SKETCH_BITS + crc32(callee.encode()) % _SKETCH_BITS
            total += 1
        return total

    def distinct_callees(self, caller: Canonical) -> int:
        """Distinct callees in the caller's window. Dearer than ``observe``: ask when attempts call for it."""
        state = self._young.get(caller) or self._old.get(caller)
        seen, union = state.seen if state else 0, 0
        while seen:
            union |= seen & _SKETCH_MASK
            seen >>= _SKETCH_BITS
        return union.bit_count()

    def _enter(self, caller: Canonical, lane: int) -> _Caller:
        if len(self._young) >= self._max:
            self.dropped_early += 1
            self._rotate()
        state = self._old.pop(caller) if caller in self._old else _Caller(lane)
        self._young[caller] = state
        return state

    def _advance(self, time: int) -> bool:
        """Move the watermark. False: the time is far from it, as one bad clock must not empty the tables."""
        if not self._watermark:
            self._watermark = self._rotated_at = time
        if abs(time - self._watermark) > _FAR_MS:
            self._far_in_a_row += 1
            if self._far_in_a_row < _FAR_IN_A_ROW:
                return False
            self._watermark = time
            self._rotate()
        self._far_in_a_row = 0
        if time > self._watermark:
            self._watermark = time
            if time - self._rotated_at >= self._window_ms:
                self._rotate()
        return True

    def _rotate(self) -> None:
        self._old, self._young = self._young, {}
        self._rotated_at = self._watermark
