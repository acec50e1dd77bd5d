"""Hashed character n-grams of many normalised texts at once: the same function trains and scores, so they cannot drift.

    texts       贷款 2000元        ab
    codes       贷 款 0 元 \\n a b \\n       one array of code points; a run of digits is one 0, as digits rotate
    grams       贷 款 贷款 款0 款0元 ...      of 1, 2 and 3 characters, none across a line feed
    bucket      of each gram               32-bit rolling hash, mixed, its upper bits

No normalised text holds a line feed, so it parts them (as in ``detectors.normalise.batch``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

BITS: Final = 18  #: of a bucket's number, unless a model says otherwise
ORDERS: Final = (1, 2, 3)  #: characters of a gram
_END: Final = ord("\n")
_ZERO, _NINE = ord("0"), ord("9")
_STEP: Final = np.uint32(0x9E3779B1)  # odd: multiplying loses nothing modulo 2**32
_MIX: Final = np.uint32(0x85EBCA6B)
_SHIFT: Final = np.uint32(15)

Codes = NDArray[np.uint32]
Buckets = NDArray[np.uint32]


class Joined(NamedTuple):
    """Texts in a row.

    Attributes:
        codes: their code points, digit runs folded, a line feed after each text.
        ends: places of these line feeds, int64, one a text, rising.
    """

    codes: Codes
    ends: NDArray[np.int64]

    @property
    def starts(self) -> NDArray[np.int64]:
        """Place of each text's first character; of its line feed if it has none."""
        return np.concatenate((np.zeros(min(1, self.ends.size), dtype=np.int64), self.ends[:-1] + 1))

    @property
    def grams(self) -> NDArray[np.int64]:
        """Grams of each text: of one with L characters L + (L - 1) + (L - 2), and never below 0 each."""
        length = self.ends - self.starts
        return sum((np.maximum(length - order + 1, 0) for order in ORDERS), start=np.zeros_like(length))


def join(texts: Sequence[str]) -> Joined:
    """Normalised texts, made ready for ``buckets``."""
    text = "\n".join(texts) + "\n" if texts else ""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint32, copy=False)
    digit = (codes >= _ZERO) & (codes <= _NINE)
    codes = np.where(digit, np.uint32(_ZERO), codes)
    if codes.size:
        again = np.zeros(codes.size, dtype=np.bool_)
        np.logical_and(digit[1:], digit[:-1], out=again[1:])
        codes = codes[~again]
    return Joined(codes, np.flatnonzero(codes == _END))


def buckets(codes: Codes, bits: int = BITS) -> Iterator[tuple[Buckets, NDArray[np.bool_]]]:
    """For each order: the bucket of the gram that begins at each place, and whether it stays within its text.

    The arrays of order k have k - 1 places fewer than ``codes``.
    """
    within = codes != _END
    hashed, valid = codes * _STEP, within
    yield _mixed(hashed, bits), valid
    for order in ORDERS[1:]:
        hashed = (hashed[:-1] + codes[order - 1 :]) * _STEP
        valid = valid[:-1] & within[order - 1 :]
        yield _mixed(hashed, bits), valid


def _mixed(hashed: Codes, bits: int) -> Buckets:
    mixed = hashed ^ (hashed >> _SHIFT)
    mixed *= _MIX
    mixed >>= np.uint32(32 - bits)
    return mixed
