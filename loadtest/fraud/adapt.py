"""How an operation reacts to being stopped: it slows down, changes its numbers, or writes its texts in another way.

What a gang knows of a filter is which of its numbers were cut off. It does not know the thresholds; it finds, by losing
numbers, a pace at which they live long enough to pay. That pace is a setting here (``ceiling_10min``, ``ceiling_day``):
the search for it is over when the operation begins. Texts: ``evasion.py``.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from numpy.random import Generator

from loadtest.sim.contract import Card

TEN_MINUTES_MS: Final = 600_000


class Throttle:
    """How soon a number may act again, so that no window of its holds more acts than the ceiling allows.

    Args:
        ceilings: how many, in how many milliseconds. None: no restraint.
    """

    def __init__(self, *ceilings: tuple[int, int]) -> None:
        self._ceilings = ceilings
        self._acts: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=max(most for most, _ in ceilings)))

    def earliest(self, number: str) -> int:
        """The first moment at which the number may act."""
        acts = self._acts.get(number, ())
        return max((acts[-most] + span for most, span in self._ceilings if len(acts) >= most), default=0)

    def acted(self, number: str, at: int) -> None:
        """It did, and not before the last time."""
        if self._ceilings:
            self._acts[number].append(at)


@dataclass(frozen=True, slots=True)
class Line:
    """A card, how and where it is used, and what it advertises.

    Attributes:
        handsets: IMEI hashes; every call goes from one of them.
        link, chat: in all of its messages, until another card takes its place.
        plmn: the network that it roams in.
    """

    card: Card
    handsets: tuple[str, ...]
    cell: str
    link: str
    chat: str
    plmn: str | None = None


class Roster:
    """The lines of an operation: one for each place at its desks. Who acts is drawn; worn-out cards are replaced.

    Args:
        lines: to begin with.
        fresh: the line that comes after another. None: cards are kept for ever.
        wears: openings until a card is thrown away.
    """

    def __init__(
        self, lines: Sequence[Line], rng: Generator, *, fresh: Callable[[Line], Line] | None = None, wears: int = 0
    ) -> None:
        self._lines, self._rng, self._fresh, self._wears = list(lines), rng, fresh, wears
        self._used = [0] * len(lines)

    @property
    def size(self) -> int:
        """Cards in use at the same time."""
        return len(self._lines)

    def next(self) -> Line:
        """Whose turn it is."""
        place = int(self._rng.integers(len(self._lines)))
        if self._fresh and self._used[place] >= self._wears:
            self._lines[place], self._used[place] = self._fresh(self._lines[place]), 0
        self._used[place] += 1
        return self._lines[place]
