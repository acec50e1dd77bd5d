"""SMS bombing: hundreds of genuine verification codes within minutes, to annoy, or to hide the one that matters.

A program enters the victim's number in the log-in forms of hundreds of services, and each sends its code. So every
single message is harmless and comes from an honest sender; only their number is the crime, and there is nothing to
rewrite. On the wire: messages of many 106 numbers to one person, about one a second for twenty minutes, then none.

Sources: public warnings of 短信轰炸 (programs that call the code interfaces of registration pages); rates: see
``rates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from numpy.random import Generator

from loadtest.fraud.adapt import Line
from loadtest.fraud.crew import Act, Crew, port_number
from loadtest.fraud.rates import rate
from loadtest.fraud.scripts import MINUTE_MS
from loadtest.fraud.settings import Common, Count, Minutes
from loadtest.fraud.texts import CODES
from loadtest.sim.contract import Card, Draft, World

NAME: Final = "sms_bombing"


class Settings(Common, frozen=True, kw_only=True):
    """``numbers``: services that are abused. ``victims``: how many. ``minutes``: of one bombardment."""

    numbers: Count = 60
    victims: Count = 3
    minutes: Minutes = rate(NAME, "minutes")


def drafts(name: str, settings: Settings, world: World, rng: Generator) -> Iterator[Draft]:
    """All that it does."""
    services = lambda count: [Card(port_number(rng)) for _ in range(count)]  # noqa: E731
    crew = Crew(name, NAME, settings, world, rng, cards=services)
    if crew.days:
        for first, b in zip(crew.moments(settings.victims), crew.victims(settings.victims), strict=True):
            act = _code(crew, b)
            for offset in rng.integers(0, int(settings.minutes * MINUTE_MS), crew.salvo("messages")).tolist():
                crew.plan(first + offset, act)
    yield from crew.run()


def _code(crew: Crew, b: str) -> Act:
    def act(at: int, line: Line) -> Iterator[Draft]:
        return crew.text(at, line, b, CODES, port=True)

    return act
