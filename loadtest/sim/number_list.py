"""The number list that the operator had at the start: protected numbers, and what was known of the operations.

Coverage and mistakes come from the profile. Of the entries that hit an operation, 60 % are confirmed (block) and 40 %
suspected (grey): an assumption. Weights as in `loadtest.scenario`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from numpy.random import Generator

from loadtest.sim.population import Population, generator
from loadtest.sim.profile import Profile
from loadtest.truth import DAY_MS, LIST_HEADER

PROTECTED: Final = (
    "110", "119", "120", "122", "12110", "12381", "96110", "10086", "10010", "10000", "12345", "12306", "95598",
)  # fmt: skip
CONFIRMED: Final = 0.6
BLOCK: Final = ("block", "100", "confirmed by the anti-fraud centre")
GREY: Final = ("grey", "35", "complaints under review")
AGE_DAYS, LIFE_DAYS = 365, 730  #: of an entry at most, before the start; from being added to its expiry

Row = tuple[str, ...]


def number_list(profile: Profile, world: Population, suspects: Sequence[str]) -> str:
    """The list as CSV.

    Args:
        suspects: numbers of operations that existed before the start.
    """
    rng, lists = generator(profile.seed, "lists"), profile.lists
    known = [number for number in suspects if rng.random() < lists.coverage]
    rows = list(_entries(rng, world.start, known))
    rows += _entries(rng, world.start, _others(rng, world, lists.block), BLOCK)
    rows += _entries(rng, world.start, _others(rng, world, lists.grey), GREY)
    wrong = round(len(rows) * lists.wrong / (1 - lists.wrong))
    rows += _entries(rng, world.start, world.people(rng, wrong))
    always = _dates(world.start - AGE_DAYS * DAY_MS)
    protected = [(number, "protected", "", "never to be blocked", *always) for number in PROTECTED]
    return "\n".join([LIST_HEADER, *(",".join(row) for row in [*protected, *sorted(rows)]), ""])


def _entries(rng: Generator, start: int, numbers: Sequence[str], kind: Row | None = None) -> Iterator[Row]:
    """``kind``: block or grey; None draws it."""
    for number in numbers:
        drawn = BLOCK if rng.random() < CONFIRMED else GREY
        yield (number, *(kind or drawn), *_dates(start - int(rng.integers(1, AGE_DAYS * DAY_MS))))


def _dates(added: int) -> Row:
    """Source, and when it is added and expires."""
    moments = (datetime.fromtimestamp(at // 1000, UTC) for at in (added, added + LIFE_DAYS * DAY_MS))
    return ("operator-sim", *(moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in moments))


def _others(rng: Generator, world: Population, count: int) -> list[str]:
    return [f"+86{world.unused(rng, world.some_place(rng))}" for _ in range(count)]
