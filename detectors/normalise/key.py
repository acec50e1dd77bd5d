"""Numbers as 64-bit keys that sort like their digits, so that one sorted array answers numbers, prefixes and ranges.

    bit 63         bits 62..4                                  bits 3..0
    national?      digits, padded with zeros to 15 places      count of digits

The keys of all numbers that begin with 138 lie between those of ``138`` and ``139``; the count of digits tells ``138``
from ``1380``. E.164 has at most 15 digits (ITU-T E.164, 6.1). What is longer (SMS ports such as 106...) or no number at
all (``domain:...``) has no key of its own: it is kept as text, and takes part in prefixes with its first 15 digits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PLACES = 15
NONE = 0  #: the key of what is no number
_NATIONAL = 1 << 63
_SHIFT: list[int] = [10 ** (PLACES - length) << 4 for length in range(PLACES + 1)]

_POWERS = 10.0 ** np.arange(10, -1, -1)

Keys = NDArray[np.uint64]


def digits_of(number: str) -> str:
    """The digits of a canonical number; "" if it is none."""
    digits = number[1:] if number[:1] == "+" else number
    return digits if digits.isascii() and digits.isdigit() else ""


def key(number: str) -> int:
    """The key of a canonical number, of its first 15 digits if it is longer; ``NONE`` if it is no number."""
    digits = digits_of(number)[:PLACES]
    if not digits:
        return NONE
    return (0 if number[0] == "+" else _NATIONAL) | int(digits) * _SHIFT[len(digits)] + len(digits)


def is_exact(number: str) -> bool:
    """Whether the key holds the whole number."""
    return 0 < len(digits_of(number)) <= PLACES


def keys(numbers: Sequence[str]) -> Keys:
    """The keys of many numbers."""
    return np.array([key(number) for number in numbers], dtype=np.uint64)


def keys_of_cn(digits: NDArray[np.uint8]) -> Keys:
    """The keys of ``+86`` and eleven digits each, shape (n, 11): for all at once, a tenth of the price."""
    # Eleven digits are exact in a float, and the product of floats is the fast one.
    national = (digits.astype(np.float64) @ _POWERS).astype(np.uint64)
    return national * np.uint64(_SHIFT[13]) + np.uint64(key("+86" + "0" * 11))


def prefix_bounds(prefix: str) -> tuple[int, int]:
    """``[low, high)`` in keys of all numbers that begin with ``prefix`` (at most 15 digits)."""
    low = key(prefix)
    length = len(digits_of(prefix))
    return low, low - length + _SHIFT[length]


def number_of(value: int) -> str:
    """The canonical number of a key: the inverse of ``key`` for numbers of up to 15 digits."""
    length = value & 15
    digits = f"{(value & ~_NATIONAL) >> 4:0{PLACES}d}"[:length]
    return digits if value & _NATIONAL else f"+{digits}"
