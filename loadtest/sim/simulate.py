"""A profile to a log in the order of event time, minute by minute.

What is in memory: the population (70 bytes a subscriber), one minute of traffic with the ends of the calls that are
going on, and all that the operations do. An event that would come after the end of the log is left out, as a real log
that is cut at an hour lacks the ends of its last calls.

Ids are digests of the seed and the place in the log. They depend on nothing else, so nothing can be told from them.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from itertools import count
from operator import attrgetter
from typing import Any, Final, Protocol

from msgspec.structs import replace

from detectors.model.errors import LanjieError
from loadtest.fraud import PATTERNS
from loadtest.sim.benign import GREETER, Greetings, People
from loadtest.sim.cards import Cards
from loadtest.sim.contract import Draft, Operation
from loadtest.sim.hard_benign import Schools, Trades
from loadtest.sim.population import Population, generator
from loadtest.sim.profile import PATTERN, Profile
from loadtest.sim.switch import Switch
from loadtest.truth import Label

MINUTE_MS: Final = 60_000
_TIME: Final = attrgetter("event.time")


class _Source(Protocol):
    def minute(self, since: int, until: int) -> list[Draft]: ...


class Simulation:
    """All that a profile describes. Runs once.

    Raises:
        LanjieError: the population or an operation cannot be made as the profile has it.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._operations = {name: operation(name, table) for name, table in sorted(profile.operations.items())}
        self.world = Population(profile)
        self._trades, self._schools = Trades(self.world, profile), Schools(self.world, profile)
        self._greetings = Greetings(self.world, profile)
        people, cards = People(self.world, profile, self._trades), Cards(self.world, profile)
        self._sources: list[_Source] = [people, self._trades, self._schools, self._greetings, cards]

    def hard_benign(self) -> dict[str, Label]:
        """Their numbers (E.164 where there is one) and what they are."""
        greeters = {self.world.number(person): GREETER for person in self._greetings.people.tolist()}
        return {**greeters, **dict(self._trades.subjects()), **dict(self._schools.subjects())}

    def drafts(self) -> Iterator[Draft]:
        """In the order of event time, with the ids that the log has."""
        numbers = count()
        for draft in self._in_order():
            yield draft._replace(event=replace(draft.event, id=opaque_id(self.profile.seed, next(numbers))))

    def _in_order(self) -> Iterator[Draft]:
        start, end = self.world.start, self.world.end
        plans = deque(sorted((d for d in self._of_operations() if start <= d.event.time < end), key=_TIME))
        pending: list[Draft] = []
        for since in range(start, end, MINUTE_MS):
            until = since + MINUTE_MS
            for source in self._sources:
                pending += source.minute(since, until)
            while plans and plans[0].event.time < until:
                pending.append(plans.popleft())
            pending.sort(key=_TIME)
            due = bisect_left(pending, until, key=_TIME)
            yield from pending[:due]
            pending = pending[due:]

    def _of_operations(self) -> Iterator[Draft]:
        for name, made in self._operations.items():
            switch = Switch(self.world, generator(self.profile.seed, f"switch:{name}"))
            for draft in made.drafts(self.world, generator(self.profile.seed, f"operation:{name}")):
                yield draft._replace(event=switch.signalled(draft.event))


def simulate(profile: Profile) -> Iterator[Draft]:
    """The log of a profile: the same for the same profile.

    Raises:
        LanjieError: as ``Simulation``.
    """
    return Simulation(profile).drafts()


def operation(name: str, table: dict[str, Any]) -> Operation:
    """The operation in the table ``$.operations.<name>``.

    Raises:
        LanjieError: its pattern is unknown, or one of its settings cannot be used.
    """
    pattern = table[PATTERN]
    if pattern not in PATTERNS:
        known = ", ".join(sorted(PATTERNS))
        raise LanjieError(f"$.operations.{name}.{PATTERN}: unknown pattern {pattern!r}; expected one of {known}")
    settings = {key: value for key, value in table.items() if key != PATTERN}
    made: Operation = PATTERNS[pattern](name, settings)
    return made


def opaque_id(seed: int, place: int) -> str:
    """16 hex digits for the event at a place in the log."""
    return hashlib.blake2b(b"%d:%d" % (seed, place), digest_size=8).hexdigest()
