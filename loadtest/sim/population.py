"""The subscribers of a simulated province: where they are from, whom they know, how active they are, whose cards.

Stored as arrays, 70 bytes a subscriber. What is not fitted is an assumption and says so: no published log has it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.random import Generator

from detectors.model.errors import LanjieError
from loadtest.sim.contacts import Contacts
from loadtest.sim.contract import Card
from loadtest.sim.fitted import CALL_SPREAD, SMS_SPREAD
from loadtest.sim.prefixes import Prefixes
from loadtest.sim.profile import Profile
from loadtest.sim.rhythm import HOUR_MS, Rhythm
from loadtest.truth import DAY_MS, digest

Array = np.ndarray[Any, Any]

#: Acquaintances: log-normal, median and sigma, and bounds (an assumption; the upper bound is Dunbar's 150).
DEGREE: Final = (20.0, 0.8, 2, 150)
#: Days since a card was sold: exponential mean (an assumption).
CARD_AGE: Final = 1_500.0
#: Share of the cards that nobody uses (an assumption).
DORMANT: Final = 0.05
#: Cards for each identity: 1, 2, 3 (an assumption; five is the most that the rules of 2016 allow).
CARDS_EACH: Final = (0.85, 0.12, 0.03)
SUBSCRIBERS_PER_AGENT: Final = 2_000
CHANNELS: Final = ("shop", "online", "partner", "campus")
CHANNEL_SHARES: Final = (0.55, 0.25, 0.15, 0.05)
#: People of one district of a city.
DISTRICT: Final = 5_000
CELLS: Final = 4  #: of a district


class Population:
    """The world of a profile, as ``contract.World`` describes it. People are counted from 0, city by city.

    Attributes:
        numbers: national, 11 digits, of each person.
        place: of each person, an index into ``prefixes.places``.
        starts: the first person of each city, and their count.
        dormant: whether the card sleeps.
        residents: those of the home province, whose operator keeps the log. The others call in from other networks.

    Raises:
        LanjieError: the home province does not exist.
    """

    def __init__(self, profile: Profile) -> None:
        rng = generator(profile.seed, "population")
        self.start, self.end = profile.start_ms, profile.end_ms
        self.home = profile.population.home
        self.prefixes = Prefixes()
        self.offset = profile.offset_ms
        self._stranger_answers = profile.benign.stranger_answers
        self._rhythm = Rhythm.of_calls(profile.offset_ms)
        self._salt = np.uint64(digest(f"{profile.seed}:tokens"))
        self.size = size = profile.population.subscribers
        cities = rng.multinomial(size, self._city_weights(profile))
        self.starts = np.concatenate(([0], np.cumsum(cities)))
        self.place = np.repeat(np.arange(len(cities), dtype=np.uint16), cities)
        self.numbers = np.concatenate([self.prefixes.numbers(rng, i, n) for i, n in enumerate(cities.tolist())])
        self.at_home = self._in(self.home)[self.place]
        self.residents = np.flatnonzero(self.at_home).astype(np.int32)
        self._order = np.argsort(self.numbers).astype(np.int32)
        self._issued: set[int] = set()
        self.contacts = Contacts(rng, self._degrees(rng), self.starts)
        self.dormant = rng.random(size) < DORMANT
        self.call_sums = self._activity(rng, CALL_SPREAD)
        self.sms_sums = self._activity(rng, SMS_SPREAD)
        self.identity = _shared(rng, size)
        self.agent = (rng.pareto(1.2, size) * size / SUBSCRIBERS_PER_AGENT / 4).astype(np.int64).astype(np.int32)
        self.channel = rng.choice(len(CHANNELS), size, p=CHANNEL_SHARES).astype(np.uint8)
        self.age_days = np.minimum(rng.exponential(CARD_AGE, size), 8_000).astype(np.int16)

    def _city_weights(self, profile: Profile) -> Array:
        home = np.array([place.province == self.home for place in self.prefixes.places])
        if not home.any():
            known = ", ".join(self.prefixes.provinces)
            raise LanjieError(
                f"{profile.name}: $.population.home: {self.home!r} is no province; expected one of {known}"
            )
        weights, share = self.prefixes.weights.astype(float), profile.population.home_share
        return np.asarray(weights * np.where(home, share / weights[home].sum(), (1 - share) / weights[~home].sum()))

    def _degrees(self, rng: Generator) -> Array:
        median, sigma, low, high = DEGREE
        drawn = np.clip(median * np.exp(sigma * rng.standard_normal(self.size)), low, high).astype(np.uint8)
        return drawn[np.lexsort((-drawn.astype(np.int16), self.place))]

    def _activity(self, rng: Generator, spread: float) -> Array:
        """Running sums of the subscribers' rates, from 0 to 1: what a uniform number finds the acting one in."""
        sums = np.cumsum(np.where(self.dormant, 0.0, np.exp(spread * rng.standard_normal(self.size))))
        return np.asarray(sums / sums[-1])

    def number(self, person: int) -> str:
        """E.164."""
        return f"+86{self.numbers[person]}"

    def person(self, number: str) -> int | None:
        """Whose number it is; None for those of nobody here."""
        if not (number.startswith("+86") and number[3:].isdigit() and len(number) == 14):
            return None
        at = int(np.searchsorted(self.numbers, wanted := int(number[3:]), sorter=self._order))
        found = int(self._order[at]) if at < self.size else 0
        return found if self.numbers[found] == wanted else None

    def people(self, rng: Generator, count: int, *, region: str | None = None) -> list[str]:
        """See ``World``. Nobody whose card is dormant.

        Raises:
            LanjieError: there are not so many.
        """
        inside = ~self.dormant if region is None else ~self.dormant & self._in(region)[self.place]
        awake = np.flatnonzero(inside)
        if len(awake) < count:
            raise LanjieError(f"$.population.subscribers: {count} people wanted, {len(awake)} there; raise it")
        return [self.number(person) for person in rng.choice(awake, count, replace=False).tolist()]

    def acquaintances(self, number: str) -> list[str]:
        """See ``World``. None for those of nobody here."""
        person = self.person(number)
        return [] if person is None else [self.number(other) for other in self.contacts.of(person)]

    def fresh_cards(self, rng: Generator, count: int, *, region: str | None = None) -> list[Card]:
        """See ``World``. Sold in the 30 days before the start; of the home province, if no other is named."""
        return self._cards(rng, count, region, newest=self.start - DAY_MS // 24, oldest=self.start - 30 * DAY_MS)

    def dormant_cards(self, rng: Generator, count: int) -> list[Card]:
        """See ``World``. Sold one to three years before the start."""
        return self._cards(rng, count, None, newest=self.start - 365 * DAY_MS, oldest=self.start - 1_095 * DAY_MS)

    def moments(self, rng: Generator, count: int, *, since: int, until: int) -> Array:
        """See ``World``. As calls are spread."""
        return self._rhythm.moments(rng, count, since=since, until=until)

    def answers(self, rng: Generator, count: int) -> Array:
        """See ``World``."""
        return rng.random(count) < self._stranger_answers

    def hour(self, at: int) -> int:
        """Of the local day."""
        return (at + self.offset) // HOUR_MS % 24

    def unused(self, rng: Generator, place: int) -> int:
        """A number of a place that nobody else has. Who asks when matters only if two draw the same one."""
        while True:
            drawn = int(self.prefixes.numbers(rng, place, 1)[0])
            if drawn not in self._issued and self.person(f"+86{drawn}") is None:
                self._issued.add(drawn)
                return drawn

    def some_place(self, rng: Generator, region: str | None = None) -> int:
        """A city of a province, the home province by default; the larger the likelier."""
        weights = self.prefixes.weights * self._in(region or self.home)
        return int(rng.choice(len(weights), p=weights / weights.sum()))

    def cards(self, people: Array) -> list[Card]:
        """The card of each."""
        identities, agents = self.tokens(self.identity[people], "identity"), self.tokens(self.agent[people], "agent")
        return [
            Card(self.number(person), identity, agent, CHANNELS[channel], self.start - age * DAY_MS)
            for person, identity, agent, channel, age in zip(
                people.tolist(), identities, agents, self.channel[people].tolist(), self.age_days[people].tolist(),
                strict=True,
            )
        ]  # fmt: skip

    def tokens(self, people: Array, kind: str) -> list[str]:
        """A keyed hash of each (``imei``, ``identity``, ``agent``, ``cell``): 16 hex digits."""
        return [
            f"{mixed:016x}" for mixed in _mix(people.astype(np.uint64), self._salt ^ np.uint64(digest(kind))).tolist()
        ]

    def strangers(self, rng: Generator, count: int) -> Array:
        """Anybody of the home province, so many times."""
        return self.residents[rng.integers(len(self.residents), size=count)].astype(np.int64)

    def townspeople(self, rng: Generator, people: Array) -> Array:
        """Somebody of the same city as each."""
        base, _, size = self._districts(people)
        return np.asarray(base + (rng.random(len(people)) * size).astype(np.int64))

    def neighbours(self, rng: Generator, people: Array) -> Array:
        """Somebody of the same district as each."""
        base, districts, size = self._districts(people)
        own = (people - base) % districts
        room = (size - own + districts - 1) // districts
        return np.asarray(base + own + districts * (rng.random(len(people)) * room).astype(np.int64))

    def cells(self, rng: Generator, people: Array) -> list[str]:
        """Where each is: a cell of the own district."""
        base, districts, _ = self._districts(people)
        cell = self.place[people].astype(np.int64) * (1 << 32) + (people - base) % districts * CELLS
        return self.tokens(cell + rng.integers(CELLS, size=len(people)), "cell")

    def _districts(self, people: Array) -> tuple[Array, Array, Array]:
        """Of the city of each: its first person, how many districts it has, and how many people."""
        place = self.place[people].astype(np.int64)
        size = self.starts[place + 1] - self.starts[place]
        return self.starts[place], np.maximum(1, size // DISTRICT), size

    def _in(self, region: str) -> Array:
        return np.array([place.province == region for place in self.prefixes.places])

    def _cards(self, rng: Generator, count: int, region: str | None, *, newest: int, oldest: int) -> list[Card]:
        return [
            Card(
                number=f"+86{self.unused(rng, self.some_place(rng, region))}",
                identity_hash=rng.bytes(8).hex(),
                agent_id=rng.bytes(8).hex(),
                channel=str(rng.choice(CHANNELS, p=CHANNEL_SHARES)),
                sold=int(rng.integers(oldest, newest)),
            )
            for _ in range(count)
        ]


def generator(seed: int, purpose: str) -> Generator:
    """A stream of its own for every purpose, so that what one draws changes nothing for the others."""
    return np.random.Generator(np.random.PCG64([seed, digest(purpose)]))


def _shared(rng: Generator, size: int) -> Array:
    """Whose card each is: most have one, some several, in places that have nothing to do with each other."""
    held = rng.choice(len(CARDS_EACH), size, p=CARDS_EACH) + 1
    return rng.permutation(np.repeat(np.arange(size, dtype=np.int32), held)[:size])


def _mix(values: Array, salt: np.uint64) -> Array:
    """SplitMix64: every bit of the value and of the salt moves half of the result's."""
    with np.errstate(over="ignore"):
        mixed = (values + salt) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(mixed ^ (mixed >> np.uint64(31)))
