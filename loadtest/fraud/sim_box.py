"""SIM box: calls from abroad come over the internet and go on as local calls, past the operator that should be paid.

The callers are genuine and their calls are normal; the fraud is on the operator, so nobody on the other side is a
victim. On the wire: many cards in the few channels of one box, so that a handset hash shows many cards and a card many
handsets; one cell for all, always; outgoing calls only, to ever new people, answered and long as those of
acquaintances; no messages.

Sources: Murynets et al., "Analysis and Detection of SIMbox Fraud in Mobility Networks", INFOCOM 2014; Kouam et al.,
"SIMBox bypass frauds in cellular networks", 2021; size: Black Swan Telecom Journal (``rates.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from numpy.random import Generator

from loadtest.fraud import calls
from loadtest.fraud.adapt import Line
from loadtest.fraud.crew import Act, Crew
from loadtest.fraud.rates import rate
from loadtest.fraud.scripts import openings
from loadtest.fraud.settings import Common, Count, Share
from loadtest.sim.contract import Draft, World

NAME: Final = "sim_box"


class Settings(Common, frozen=True, kw_only=True):
    """``channels``: radio modules of the box, each an IMEI. ``answered``: share of calls; these are expected ones."""

    numbers: Count = int(rate(NAME, "cards"))
    channels: Count = 8
    answered: Share = rate(NAME, "answered")


def drafts(name: str, settings: Settings, world: World, rng: Generator) -> Iterator[Draft]:
    """All that it does."""
    crew = Crew(name, NAME, settings, world, rng, channels=settings.channels)
    for at, b in openings(crew, crew.rate("calls")):
        crew.plan(at, _relay(crew, b, settings.answered))
    yield from crew.run()


def _relay(crew: Crew, b: str, answered: float) -> Act:
    def act(at: int, line: Line) -> Iterator[Draft]:
        taken = crew.luck(answered)
        course = calls.answered(crew.rng, crew.rate("talk")) if taken else calls.missed(crew.rng)
        yield from crew.call(at, line, b, course, victim=False)

    return act
