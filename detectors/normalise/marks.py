"""What a window keeps of the numbers that a caller dials, worked out for a whole batch at once."""

from __future__ import annotations

import numpy as np

from detectors.normalise import key as k

BITS = 64  #: of a sketch of contacts
NONE = -1  #: the bit of what is no number
_NATIONAL = np.uint64(1 << 63)
_LENGTH = np.uint64(15)
_POWERS = np.array([10 ** (k.PLACES - length) for length in range(k.PLACES + 1)], dtype=np.uint64)
_LAST = np.uint64(10**10)
# splitmix64 (Steele, Lea and Flood 2014): a plain product spreads numbers in sequence too evenly.
_GAMMA, _MIX, _MORE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


Marks = tuple[list[int], list[int]]  #: of each number its last ten digits, and a bit; they run in parallel


def marks(keys: k.Keys) -> Marks:
    """Of each number: its last ten digits, and which bit of ``BITS`` it sets in a sketch; 0 and ``NONE`` of none."""
    digits = ((keys & ~_NATIONAL) >> np.uint64(4)) // _POWERS[keys & _LENGTH]
    mixed = digits * _GAMMA
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MORE
    bits = (mixed >> np.uint64(58)).astype(np.int64)
    bits[keys == k.NONE] = NONE
    return (digits % _LAST).tolist(), bits.tolist()
