"""Wangiri (one ring and cut): the call is a bait; who rings back pays.

On the wire: a machine rings a stranger for a second or two and hangs up, again and again, day and night, from numbers
that cost: here half of them of the international premium-rate code +979 (ITU-T E.169.2), half ordinary mobile cards.
Nobody ever answers. Some call back and are held on the line by music. No text.

Sources: FCC, "one ring" warnings; GSMA and trade press on wangiri; rates: see ``rates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from numpy.random import Generator

from loadtest.fraud import calls
from loadtest.fraud.adapt import Line
from loadtest.fraud.crew import Act, Crew
from loadtest.fraud.scripts import minutes
from loadtest.fraud.settings import Common, Count, Minutes, Share
from loadtest.sim.contract import Card, Draft, World

NAME: Final = "wangiri"


class Settings(Common, frozen=True, kw_only=True):
    """``foreign``: chance that a number is a premium-rate one. ``minutes``: of the machine's run."""

    numbers: Count = 8
    foreign: Share = 0.5
    minutes: Minutes = 60.0


def drafts(name: str, settings: Settings, world: World, rng: Generator) -> Iterator[Draft]:
    """All that it does."""

    def cards(count: int) -> Sequence[Card]:
        own = world.fresh_cards(rng, count)
        return [Card(f"+9791{rng.integers(10**8):08d}") if rng.random() < settings.foreign else card for card in own]

    crew = Crew(name, NAME, settings, world, rng, cards=cards, minutes=settings.minutes)
    count = crew.often(crew.rate("calls") * 24)
    for at, b in zip(crew.evenly(count), crew.victims(count), strict=True):
        crew.plan(at, _ring(crew, b))
    yield from crew.run()


def _ring(crew: Crew, b: str) -> Act:
    def act(at: int, line: Line) -> Iterator[Draft]:
        course = calls.one_ring(crew.rng)
        yield from crew.call(at, line, b, course)
        if crew.luck(crew.rate("called_back")):
            yield from crew.calls_back(at + course.ring_ms + minutes(crew, 15), b, line.card.number, crew.rate("held"))

    return act
