"""A small honest world, in which everybody is awake from 8 to 22 UTC; what an operation does in it; exact bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import count
from typing import Any

import numpy as np
from numpy.random import Generator

from detectors.model.events import Event
from loadtest.fraud import PATTERNS
from loadtest.sim.contract import Card, Draft

START = 1_772_409_600_000  # 2026-03-02T00:00:00Z, a Monday
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
AWAKE = (8 * HOUR_MS, 22 * HOUR_MS)  # of every UTC day
ANSWERS = 0.4
PEOPLE = "+861990000"


class SmallWorld:
    """``World`` as ``loadtest.sim.contract`` has it.

    Person n is +861990000nnnn; cards are +861990001nnnn (fresh) and +861990002nnnn (dormant). Three people know each
    other: those whose numbers differ only in their rest by 3.
    """

    def __init__(self, *, days: float = 1.0, people: int = 600) -> None:
        self.start, self.end = START, START + int(days * DAY_MS)
        self._people = people
        self._fresh = self._dormant = 0

    def people(self, rng: Generator, count: int, *, region: str | None = None) -> list[str]:
        return [self._person(n) for n in rng.choice(self._people, count, replace=False).tolist()]

    def acquaintances(self, number: str) -> list[str]:
        n = int(number[-4:])
        return [self._person(m) for m in range(n - n % 3, min(self._people, n - n % 3 + 3)) if m != n]

    def fresh_cards(self, rng: Generator, count: int, *, region: str | None = None) -> list[Card]:
        first, self._fresh = self._fresh, self._fresh + count
        sold = self.start - rng.integers(HOUR_MS, 30 * DAY_MS, count)
        return [
            Card(f"+861990001{n:04d}", f"identity-{n}", f"agent-{n}", "shop", int(at))
            for n, at in zip(range(first, first + count), sold, strict=True)
        ]

    def dormant_cards(self, rng: Generator, count: int) -> list[Card]:
        first, self._dormant = self._dormant, self._dormant + count
        return [Card(f"+861990002{n:04d}", f"sleeper-{n}", "agent", "shop") for n in range(first, first + count)]

    def moments(self, rng: Generator, count: int, *, since: int, until: int) -> np.ndarray:
        days = range(since - since % DAY_MS, until, DAY_MS)
        spans = [(max(since, day + AWAKE[0]), min(until, day + AWAKE[1])) for day in days]
        spans = [(a, b) for a, b in spans if a < b] or [(since, until)]
        lengths = np.array([b - a for a, b in spans])
        offsets = np.sort(rng.integers(0, lengths.sum(), count))
        which = np.searchsorted(lengths.cumsum(), offsets, side="right")
        return np.array([a for a, _ in spans])[which] + offsets - (lengths.cumsum() - lengths)[which]

    def answers(self, rng: Generator, count: int) -> np.ndarray:
        return rng.random(count) < ANSWERS

    @staticmethod
    def _person(n: int) -> str:
        return f"{PEOPLE}{n:04d}"


def acted(pattern: str, *, days: float = 1.0, seed: int = 1, **settings: Any) -> list[Draft]:
    """All that an operation of this pattern does in a small world."""
    operation = PATTERNS[pattern](f"{pattern}-1", settings)
    return list(operation.drafts(SmallWorld(days=days), np.random.default_rng(seed)))


def poisson_range(mean: float, tail: float = 1e-7) -> tuple[int, int]:
    """Between which a Poisson count lies but for ``tail`` on either side: exact sums of its probabilities."""
    return _range((math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in count()), tail)


def binomial_range(n: int, p: float, tail: float = 1e-7) -> tuple[int, int]:
    """The same of a binomial count."""
    log = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)]
    return _range((math.exp(c + k * math.log(p) + (n - k) * math.log1p(-p)) for k, c in enumerate(log)), tail)


def _range(probabilities: Iterable[float], tail: float) -> tuple[int, int]:
    low, total = 0, 0.0
    for k, probability in enumerate(probabilities):
        if total < tail:
            low = k
        total += probability
        if total >= 1 - tail:
            return low, k
    return low, k


def attempts(drafts: Iterable[Draft], kind: type[Event], *, label: str | None = None) -> list[Any]:
    """Events of a kind in the order of time; of calls the attempts only. ``label``: only of this one."""
    events = [draft.event for draft in drafts if label in (None, draft.label.label)]
    chosen = [event for event in events if isinstance(event, kind) and getattr(event, "phase", "attempt") == "attempt"]
    return sorted(chosen, key=lambda event: (event.time, event.id))
