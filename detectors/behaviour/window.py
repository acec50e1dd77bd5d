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


class _Caller(Struct, gc=False):
    lane: int
    attempts: int = 0
    fresh: int = 0  #: attempts to a callee not seen in this epoch or the one before
    epoch: int = 0
    seen: int = 0  #: bit sketch of the callees of this epoch (an epoch is one window long)
    seen_before: int = 0


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
        self.late = 0  #: events older than their caller's whole window: named, not counted
        self.dropped_early = 0  #: generations dropped because of ``max_callers``

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def observe(self, caller: Canonical, callee: Canonical, time: int) -> tuple[int, int]:
        """Count one attempt at event time ``time`` (ms UTC).

        Returns:
            (attempts, distinct callees) of the window that ends with the caller's newest event; (0, 0) if late.
        """
        self._advance(time)
        lane = time // self._lane_ms
        state = self._young.get(caller)
        if state is None:
            old = caller in self._old
            state = self._old.pop(caller) if old else _Caller(lane, epoch=lane // LANES)
            self._young[caller] = state
        if (ahead := lane - state.lane) > 0:
            _move(state, lane, ahead)
        elif ahead <= -LANES:
            self.late += 1
            return 0, 0
        shift = (state.lane - lane) * _BITS
        total = state.attempts % _MOD
        if total < _FULL:
            state.attempts += 1 << shift
            total += 1
            bit = 1 << crc32(callee.encode()) % _SKETCH_BITS
            if not (state.seen | state.seen_before) & bit:
                state.fresh += 1 << shift
            state.seen |= bit
        return total, state.fresh % _MOD

    def _advance(self, time: int) -> None:
        """Move the watermark, by at most a window per event: one event from the future must not empty the tables."""
        if time <= self._watermark:
            return
        if not self._watermark:
            self._rotated_at = time
            self._watermark = time
        self._watermark = min(time, self._watermark + self._window_ms)
        if self._watermark - self._rotated_at >= self._window_ms:
            self._rotate()
        elif len(self._young) >= self._max:
            self.dropped_early += 1
            self._rotate()

    def _rotate(self) -> None:
        self._old, self._young = self._young, {}
        self._rotated_at = self._watermark


def _move(state: _Caller, lane: int, ahead: int) -> None:
    state.lane = lane
    state.attempts = (state.attempts << ahead * _BITS) & _MASK if ahead < LANES else 0
    state.fresh = (state.fresh << ahead * _BITS) & _MASK if ahead < LANES else 0
    if (epochs := lane // LANES - state.epoch) > 0:
        state.seen_before = state.seen if epochs == 1 else 0
        state.seen = 0
        state.epoch += epochs
