"""Who knows whom, without storing it: a million people have thirty million ties.

The graph is a stack of layers. In layer k, everybody who has more than k acquaintances is paired with one other such
person, so a tie always goes both ways and everybody has as many as was drawn (but for the odd one out, and for two
who meet in two layers). A pairing is an affine permutation of the members, of which positions 2i and 2i + 1 belong
together: both directions are a few operations on integers. Every fifth layer pairs people of the whole country, the
others those of one city. People of one city stand together in the order of their degree, so the members of a layer are
the first of them. Layer 0 is the closest friend, to both.

High degrees meet high degrees in the upper layers. So they do in the mobile call graph (Onnela et al., PNAS 104, 2007).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.random import Generator

Array = np.ndarray[Any, Any]

FAR_EVERY: Final = 5
NOBODY: Final = -1


class Contacts:
    """The ties of people 0 ... n - 1.

    Args:
        degrees: of each, descending within a city.
        starts: the first person of each city, and n.
    """

    def __init__(self, rng: Generator, degrees: Array, starts: Array) -> None:
        self.degrees, self._starts = degrees, starts
        self._everywhere = len(starts) - 1  # the row of the far layers
        self._city = np.repeat(np.arange(self._everywhere, dtype=np.uint16), np.diff(starts))
        self._by_rank = np.argsort(-degrees.astype(np.int16), kind="stable").astype(np.int32)
        self._rank = np.empty_like(self._by_rank)
        self._rank[self._by_rank] = np.arange(len(degrees), dtype=np.int32)
        layers = int(degrees.max())
        cities = [np.bincount(degrees[a:b], minlength=layers + 1) for a, b in pairwise(starts)]
        counts = np.array([*cities, np.bincount(degrees, minlength=layers + 1)])
        self._members = counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]  # [city, k]: with more than k
        self._shift = rng.integers(1 << 31, size=self._members.shape) % np.maximum(1, self._members)
        self._factor, self._inverse = _factors(rng, self._members)

    def partner(self, people: Array, layers: Array) -> Array:
        """Of each in a layer that they belong to; ``NOBODY`` for the odd one out."""
        far = layers % FAR_EVERY == FAR_EVERY - 1
        row = np.where(far, self._everywhere, self._city[people])
        base = self._starts[self._city[people]]
        members, factor = self._members[row, layers], self._factor[row, layers]
        place = np.where(far, self._rank[people], people - base)
        other = ((place * factor + self._shift[row, layers]) % members) ^ 1
        back = (other - self._shift[row, layers]) % members * self._inverse[row, layers] % members
        met = np.where(far, self._by_rank[np.where(far, back, 0)], base + np.where(far, 0, back))
        return np.where(other < members, met, NOBODY)

    def of(self, person: int) -> list[int]:
        """All acquaintances, each once, the closest first."""
        layers = np.arange(int(self.degrees[person]))
        met = self.partner(np.full(len(layers), person), layers)
        return list(dict.fromkeys(met[met != NOBODY].tolist()))

    def drawn(self, rng: Generator, people: Array, exponent: float) -> Array:
        """One acquaintance of each, by a power law over the layers (``fit.chances``)."""
        power = 1 - exponent
        top = (self.degrees[people] + 1.0) ** power
        layers = ((1 + rng.random(len(people)) * (top - 1)) ** (1 / power)).astype(np.int64) - 1
        return self.partner(people, np.clip(layers, 0, self.degrees[people].astype(np.int64) - 1))


def _factors(rng: Generator, members: Array) -> tuple[Array, Array]:
    """For each size a factor that has an inverse modulo it, and that."""
    factors, inverses = np.ones_like(members), np.zeros_like(members)
    starts = rng.integers(1 << 31, size=members.shape)
    for place, size in enumerate(members.flat):
        if size > 1:
            factor = int(starts.flat[place]) % int(size)
            while math.gcd(factor, int(size)) != 1:
                factor += 1
            factors.flat[place], inverses.flat[place] = factor, pow(factor, -1, int(size))
    return factors, inverses
