"""Mobile numbers as they are allotted in China: seven digits to a city, four for the subscriber."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.random import Generator
from phone import Phone

Array = np.ndarray[Any, Any]

PER_PREFIX: Final = 10_000


class Place(NamedTuple):
    """A city, or a province that is one."""

    province: str
    city: str
    area_code: str  #: with its 0


class Prefixes:
    """All of them, from the package `phone`.

    Attributes:
        places: in the order in which ``of`` and ``weights`` count them.
        weights: how many prefixes each place has.
    """

    def __init__(self) -> None:
        book = Phone()
        rows = np.frombuffer(
            book.buf, dtype=[("prefix", "<i4"), ("text", "<i4"), ("kind", "u1")], offset=book.first_phone_record_offset
        )
        offsets, inverse = np.unique(rows["text"], return_inverse=True)
        texts = [book.buf[at : book.buf.index(b"\0", at)].decode() for at in offsets.tolist()]
        self.places = [Place(province, city, area) for province, city, _, area in (text.split("|") for text in texts)]
        order = np.argsort(inverse, kind="stable")
        self.weights = np.bincount(inverse, minlength=len(texts))
        self._starts = np.concatenate(([0], np.cumsum(self.weights)))
        self._prefixes = rows["prefix"][order].astype(np.int64)

    @property
    def provinces(self) -> list[str]:
        """Each once, sorted."""
        return sorted({place.province for place in self.places})

    def of(self, place: int) -> Array:
        """The prefixes of a place."""
        return self._prefixes[self._starts[place] : self._starts[place + 1]]

    def numbers(self, rng: Generator, place: int, count: int) -> Array:
        """So many different numbers of a place, in no order: national, 11 digits (int64)."""
        prefixes = self.of(place)
        found = np.empty(0, dtype=np.int64)
        while len(found) < count:
            drawn = rng.integers(len(prefixes) * PER_PREFIX, size=count - len(found) + 8)
            found = np.union1d(found, prefixes[drawn // PER_PREFIX] * PER_PREFIX + drawn % PER_PREFIX)
        return rng.permutation(found)[:count]
