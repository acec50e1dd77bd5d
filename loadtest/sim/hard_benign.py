"""Honest callers and senders that look like robots: many calls, to strangers, short, from one number.

    courier, takeaway     a mobile, strangers of its own district, a few seconds each, mostly answered
    property_agent        a mobile, strangers of its own city, mostly not answered: advertising, not fraud
    bank, hospital        a call centre with one number (95xxx, 400 or a landline) for many desks
    code_sender           a 106 number: codes and account notices, thousands a day to everybody
    school                a 106 number: one notice to all parents within minutes

The daily counts are assumptions from what such workers are reported to do; each subject draws its own, log-uniformly,
and spreads it evenly over its working hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.random import Generator

from loadtest.sim.contract import Draft
from loadtest.sim.population import Population, generator
from loadtest.sim.profile import Profile
from loadtest.sim.rhythm import HOUR_MS, lognormal_ms
from loadtest.sim.signalling import SIMULATED, Callers, calls, messages, outcomes, written_forms
from loadtest.sim.texts import written
from loadtest.truth import Label

Array = np.ndarray[Any, Any]
Number = Literal["mobile", "short", "landline", "port"]
Reach = Literal["district", "city", "province"]


@dataclass(frozen=True, slots=True)
class Trade:
    """How one kind of them works.

    Attributes:
        number: what it calls from.
        per_day: calls or messages, from and to.
        hours: of the local day, from and to.
        answered: share of the calls.
        talk: seconds, median and sigma of a log-normal.
        label: of the truth.
    """

    kind: Literal["call", "sms"]
    number: Number
    per_day: tuple[float, float]
    hours: tuple[int, int]
    reach: Reach
    answered: float = 0.0
    talk: tuple[float, float] = (1.0, 0.0)
    label: str = "ham"


TRADES: Final = {
    "courier": Trade("call", "mobile", (80, 150), (8, 20), "district", answered=0.7, talk=(15, 0.6)),
    "takeaway": Trade("call", "mobile", (30, 60), (10, 21), "district", answered=0.8, talk=(12, 0.5)),
    "property_agent": Trade("call", "mobile", (60, 120), (9, 20), "city", answered=0.25, talk=(18, 1.0), label="ad"),
    "bank": Trade("call", "short", (1_000, 5_000), (9, 20), "province", answered=0.35, talk=(40, 0.9)),
    "hospital": Trade("call", "landline", (200, 800), (8, 18), "city", answered=0.6, talk=(35, 0.7)),
    "code_sender": Trade("sms", "port", (2_000, 12_000), (9, 22), "province"),
}
#: A school's notices a day, between these hours; to so many parents; within so many minutes.
NOTICES, SCHOOL_HOURS, PARENTS, NOTICE_MINUTES = 0.7, (7, 20), (200, 1_500), (3, 8)


class Trades:
    """All but the schools."""

    def __init__(self, world: Population, profile: Profile) -> None:
        shares = msgspec.to_builtins(profile.population.trades)
        self._desks = [_Desk(world, profile, name, shares[name]) for name in TRADES]

    def expected(self, kind: str, since: int, until: int) -> float:
        """Mean number of calls or SMS in ``[since, until)``."""
        return sum(desk.expected(since, until) for desk in self._desks if desk.trade.kind == kind)

    def minute(self, since: int, until: int) -> list[Draft]:
        """All that begins in ``[since, until)``."""
        return [draft for desk in self._desks for draft in desk.minute(since, until)]

    def subjects(self) -> Iterator[tuple[str, Label]]:
        """Their numbers (E.164 where there is one) and what they are."""
        for desk in self._desks:
            yield from ((number, desk.label) for number in desk.lines.subjects)


class Schools:
    """One notice to all parents within minutes."""

    def __init__(self, world: Population, profile: Profile) -> None:
        self._world, self._rng = world, generator(profile.seed, "schools")
        self._ids = (f"school-{n}" for n in count())
        self.label = Label("ham", "school", SIMULATED)
        total = _how_many(world, profile.population.trades.school)
        self.lines = Lines(self._rng, world, "port", total)
        self._parents = self._rng.integers(*PARENTS, size=total)

    def minute(self, since: int, until: int) -> list[Draft]:
        """All that begins in ``[since, until)``; a notice goes on for minutes."""
        begin, end = SCHOOL_HOURS
        if not begin <= self._world.hour(since) < end or not len(self.lines.anchors):
            return []
        mean = NOTICES * len(self.lines.anchors) * (until - since) / ((end - begin) * HOUR_MS)
        schools = self._rng.integers(len(self.lines.anchors), size=self._rng.poisson(mean))
        return [draft for school in schools.tolist() for draft in self._notify(school, since, until)]

    def _notify(self, school: int, since: int, until: int) -> list[Draft]:
        rng, world, total = self._rng, self._world, int(self._parents[school])
        first, span = int(rng.integers(since, until)), int(rng.integers(*NOTICE_MINUTES)) * 60_000
        times = np.sort(rng.integers(first, first + span, size=total))
        parents = world.townspeople(rng, np.full(total, self.lines.anchors[school]))
        senders = self.lines.callers(rng, world, np.full(total, school), self.label)
        return messages(
            self._ids, times, senders, written_forms(rng, world.numbers[parents]), written(rng, "school", total)
        )

    def subjects(self) -> Iterator[tuple[str, Label]]:
        """Their numbers and what they are."""
        return ((number, self.label) for number in self.lines.subjects)


class Lines:
    """The numbers of one trade: each subject's own, and where a mobile is."""

    def __init__(self, rng: Generator, world: Population, kind: Number, total: int) -> None:
        self._mobile = kind == "mobile"
        self.anchors = world.strangers(rng, total)
        self._numbers = [_number(rng, world, kind, int(world.place[person])) for person in self.anchors.tolist()]
        handsets = world.tokens(world.size + rng.integers(1 << 40, size=total), "imei")
        self._handsets = np.array(handsets, dtype=object)
        self._written = np.array([number for number, _ in self._numbers], dtype=object)
        self._e164 = np.array([e164 for _, e164 in self._numbers], dtype=object)

    @property
    def subjects(self) -> list[str]:
        """E.164 where there is one."""
        return [e164 or number for number, e164 in self._numbers]

    def callers(self, rng: Generator, world: Population, acting: Array, label: Label) -> Callers:
        """Those of the subjects that act."""
        nobody: list[str | None] = [None] * len(acting)
        written_as = self._written[acting]
        return Callers(
            numbers=written_forms(rng, written_as) if self._mobile else written_as.tolist(),
            e164=self._e164[acting].tolist(),
            cells=world.cells(rng, self.anchors[acting]) if self._mobile else nobody,
            handsets=self._handsets[acting].tolist() if self._mobile else nobody,
            labels=[label] * len(acting),
        )


class _Desk:
    """All subjects of one trade."""

    def __init__(self, world: Population, profile: Profile, name: str, per_1000: float) -> None:
        self._world, self._rng = world, generator(profile.seed, name)
        self._ids = (f"{name}-{n}" for n in count())
        self.trade, self.label = TRADES[name], Label(TRADES[name].label, name, SIMULATED)
        total = _how_many(world, per_1000)
        self.lines = Lines(self._rng, world, self.trade.number, total)
        low, high = np.log(self.trade.per_day)
        self._sums = np.cumsum(np.exp(self._rng.uniform(low, high, size=total)))

    def expected(self, since: int, until: int) -> float:
        """Mean number of calls or SMS; a slice counts to the hour that it begins in."""
        begin, end = self.trade.hours
        if not len(self._sums) or not begin <= self._world.hour(since) < end:
            return 0.0
        return float(self._sums[-1]) * (until - since) / ((end - begin) * HOUR_MS)

    def minute(self, since: int, until: int) -> list[Draft]:
        """All that begins in ``[since, until)``."""
        rng, trade, world = self._rng, self.trade, self._world
        total = int(rng.poisson(self.expected(since, until)))
        if not total:
            return []
        times = np.sort(rng.integers(since, until, size=total))
        acting = np.searchsorted(self._sums, rng.random(total) * self._sums[-1], side="right")
        callers = self.lines.callers(rng, world, acting, self.label)
        others = written_forms(rng, world.numbers[self._reached(self.lines.anchors[acting])])
        if trade.kind == "sms":
            return messages(self._ids, times, callers, others, written(rng, "codes", total))
        median, sigma = trade.talk
        talk = lognormal_ms(rng, np.full(total, median), sigma)
        return calls(self._ids, times, callers, others, outcomes(rng, rng.random(total) < trade.answered, talk))

    def _reached(self, anchors: Array) -> Array:
        if self.trade.reach == "district":
            return self._world.neighbours(self._rng, anchors)
        if self.trade.reach == "city":
            return self._world.townspeople(self._rng, anchors)
        return self._world.strangers(self._rng, len(anchors))


def _how_many(world: Population, per_1000: float) -> int:
    """At least one, unless the profile wants none."""
    return max(1, round(world.size * per_1000 / 1000)) if per_1000 else 0


def _number(rng: Generator, world: Population, kind: Number, place: int) -> tuple[str, str | None]:
    """A number of a city, as signalled, and its E.164 form."""
    digits = f"{rng.integers(10_000_000):07d}"
    if kind == "mobile":
        mobile = str(world.unused(rng, place))
        return mobile, f"+86{mobile}"
    if kind == "landline":
        area = world.prefixes.places[place].area_code
        return f"{area}8{digits}", f"+86{area.lstrip('0')}8{digits}"
    if kind == "port":
        return f"1069{digits}", None
    return (f"95{digits[:3]}", None) if int(digits) % 2 else (f"400{digits}", f"+86400{digits}")
