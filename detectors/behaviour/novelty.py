"""Which numbers are new: activated or woken according to their card, or never heard of before.

That a number was heard of is kept in two Bloom filters (Bloom 1970) of a fixed size, a younger and an older one: a
number wrongly taken for known is one sign less, never one too many.
"""

from __future__ import annotations

from zlib import crc32

from detectors.model.numbers import Canonical

DAY_MS = 86_400_000
_LEAST_BITS = 10


class Novelty:
    """Remembers when a number was new.

    Args:
        span_ms: that a filter is filled before the older one is dropped; numbers silent for two spans are new again.
        fresh_ms: for how long a number counts as new.
        max_new: bound on new numbers remembered.
        bits: a filter has two to this power. 25 are 4 MiB: 1 % taken for known at 1.7 million numbers, 10 % at 6
            million.
    """

    def __init__(
        self, span_ms: int = 30 * DAY_MS, fresh_ms: int = 3 * DAY_MS, max_new: int = 200_000, bits: int = 25
    ) -> None:
        self._span, self._fresh, self._max = span_ms, fresh_ms, max_new
        bits = max(bits, _LEAST_BITS)
        self._mask, self._bytes = (1 << bits) - 1, 1 << bits - 3
        self._young, self._old = bytearray(self._bytes), bytearray(self._bytes)
        self._began = self._turned = 0
        self._new: dict[Canonical, int] = {}
        self._woken: dict[Canonical, int] = {}

    def heard(self, number: Canonical, time: int) -> None:
        """A number did something. It is new if it never did before, once there has been a day to learn from."""
        if not self._began:
            self._began = self._turned = time
        if time - self._turned >= self._span:
            self._young, self._old, self._turned = bytearray(self._bytes), self._young, time
        hashed = crc32(number.encode())
        one, other = hashed & self._mask, hashed * 0x9E3779B1 >> 20 & self._mask
        i, j, bit, other_bit = one >> 3, other >> 3, 1 << (one & 7), 1 << (other & 7)
        young = self._young
        if young[i] & bit and young[j] & other_bit:
            return
        young[i] |= bit
        young[j] |= other_bit
        if time - self._began >= DAY_MS and not (self._old[i] & bit and self._old[j] & other_bit):
            self._put(self._new, number, time)

    def woke(self, number: Canonical, time: int) -> None:
        """Its card was activated, or woke after dormancy."""
        self._put(self._woken, number, time)

    def remembers(self, number: Canonical) -> bool:
        """Whether it is or was new: else it can be so only once it is heard of or woken again."""
        return number in self._new or number in self._woken

    def is_new(self, number: Canonical, time: int) -> bool:
        """Whether it was first heard of within ``fresh_ms``."""
        return number in self._new and 0 <= time - self._new[number] < self._fresh

    def is_woken(self, number: Canonical, time: int) -> bool:
        """Whether its card was activated or woke within ``fresh_ms``."""
        return number in self._woken and 0 <= time - self._woken[number] < self._fresh

    def _put(self, table: dict[Canonical, int], number: Canonical, time: int) -> None:
        if len(table) >= self._max and number not in table:
            del table[next(iter(table))]
        table[number] = time
