"""Ordinary people: they call and write to those whom they know, now and then to others; some greet all at new year.

How much, when and how long: ``fitted.py`` and the profile. Who: each person's own rate, then the contact graph.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Final

import numpy as np
from numpy.random import Generator

from loadtest.sim.contacts import NOBODY
from loadtest.sim.contract import Draft
from loadtest.sim.fitted import ANSWERED, CALL_REPEAT, SMS_REPEAT
from loadtest.sim.hard_benign import Trades
from loadtest.sim.population import Population, generator
from loadtest.sim.profile import Profile
from loadtest.sim.rhythm import Rhythm, talk_ms
from loadtest.sim.signalling import SIMULATED, Callers, calls, messages, outcomes, written_forms
from loadtest.sim.texts import written
from loadtest.truth import Label

Array = np.ndarray[Any, Any]

PERSON: Final = Label("ham", "person", SIMULATED)
GREETER: Final = Label("ham", "greetings", SIMULATED)
#: Of the calls to others than acquaintances, the share that goes to a service, and how it is spread (assumptions).
TO_SERVICE: Final = 0.2
SERVICES: Final = {
    "10086": 0.3, "10010": 0.1, "10000": 0.1, "12345": 0.1, "95598": 0.09, "114": 0.1, "12306": 0.1, "12315": 0.05,
    "96110": 0.03, "110": 0.01, "120": 0.015, "119": 0.005,
}  # fmt: skip
#: Of the texts of people, the share in which one asks somebody close for a verification code. Nobody has counted it; of
#: 9,801 Chinese ham texts (``spam_ham_zh``) none does, so with 95 % it is less than this ("rule of three").
ASKS_CODE: Final = 3 / 9801
#: Milliseconds from one greeting to the next of the same person.
GREETING_GAP: Final = (2_000, 5_000)


class People:
    """What all subscribers do, except for their cards (``cards.py``)."""

    def __init__(self, world: Population, profile: Profile, trades: Trades) -> None:
        self._world, self._benign, self._trades = world, profile.benign, trades
        self._rng, self._rare = generator(profile.seed, "people"), generator(profile.seed, "rare texts")
        self._ids = (f"people-{n}" for n in count())
        self._calls = Rhythm.of_calls(profile.offset_ms, profile.benign.busiest_hour)
        self._sms = Rhythm.of_sms(profile.offset_ms, profile.benign.busiest_hour)

    def minute(self, since: int, until: int) -> list[Draft]:
        """All that begins in ``[since, until)``."""
        called = self._world.size * self._benign.calls_per_day * self._calls.share(since, until)
        sent = self._world.size * self._benign.sms_per_day * self._sms.share(since, until)
        spoken = max(0.0, called - self._trades.expected("call", since, until))
        wrote = max(0.0, sent - self._trades.expected("sms", since, until))
        return [
            *self._call(self._calls.moments(self._rng, self._rng.poisson(spoken), since=since, until=until)),
            *self._write(self._sms.moments(self._rng, self._rng.poisson(wrote), since=since, until=until)),
        ]

    def _call(self, times: Array) -> list[Draft]:
        rng, total = self._rng, len(times)
        callers = _acting(rng, self._world.call_sums, total)
        callees, known = self._others(callers, self._benign.known_calls, CALL_REPEAT)
        service = ~known & (rng.random(total) < TO_SERVICE)
        chance = np.where(known | service, ANSWERED, self._benign.stranger_answers)
        dialled = written_forms(rng, self._world.numbers[callees])
        desks = rng.choice(list(SERVICES), total, p=list(SERVICES.values())).tolist()
        for i in np.flatnonzero(service).tolist():
            dialled[i] = desks[i]
        went = outcomes(rng, rng.random(total) < chance, talk_ms(rng, total))
        return calls(self._ids, times, subscribers(rng, self._world, callers, PERSON), dialled, went)

    def _write(self, times: Array) -> list[Draft]:
        rng, total = self._rng, len(times)
        senders = _acting(rng, self._world.sms_sums, total)
        receivers, _ = self._others(senders, self._benign.known_sms, SMS_REPEAT)
        numbers = written_forms(rng, self._world.numbers[receivers])
        texts = written(rng, "personal", total)
        for i in np.flatnonzero(self._rare.random(total) < ASKS_CODE).tolist():
            texts[i] = written(self._rare, "asks_code", 1)[0]
        return messages(self._ids, times, subscribers(rng, self._world, senders, PERSON), numbers, texts)

    def _others(self, people: Array, known: float, exponent: float) -> tuple[Array, Array]:
        """The other side of each, and whether it is an acquaintance. One of both is of the home province."""
        rng, world = self._rng, self._world
        friends = world.contacts.drawn(rng, people, exponent)
        wanted = (rng.random(len(people)) < known) & (friends != NOBODY)
        wanted &= world.at_home[people] | world.at_home[np.where(wanted, friends, 0)]
        return np.where(wanted, friends, world.strangers(rng, len(people))), wanted


class Greetings:
    """Some write one text to all whom they know, at a moment of the log.

    Attributes:
        people: who.
    """

    def __init__(self, world: Population, profile: Profile) -> None:
        self._world, self._rng = world, generator(profile.seed, "greetings")
        self._ids = (f"greetings-{n}" for n in count())
        awake = world.residents[~world.dormant[world.residents]]
        self.people = self._rng.choice(awake, int(len(awake) * profile.benign.greetings), replace=False)
        rhythm = Rhythm.of_sms(profile.offset_ms)
        self._moments = rhythm.moments(self._rng, len(self.people), since=world.start, until=world.end)

    def minute(self, since: int, until: int) -> list[Draft]:
        """All that begins in ``[since, until)``; the last greetings of a person may come minutes later."""
        first, last = np.searchsorted(self._moments, (since, until)).tolist()
        return [
            draft
            for person, at in zip(self.people[first:last].tolist(), self._moments[first:last].tolist(), strict=True)
            for draft in self._greet(person, at)
        ]

    def _greet(self, person: int, at: int) -> list[Draft]:
        rng, friends = self._rng, np.array(self._world.contacts.of(person), dtype=np.int64)
        times = at + np.cumsum(rng.integers(*GREETING_GAP, size=len(friends)))
        sender = subscribers(rng, self._world, np.full(len(friends), person), GREETER)
        text = written(rng, "greetings", 1) * len(friends)
        return messages(self._ids, times, sender, written_forms(rng, self._world.numbers[friends]), text)


def subscribers(rng: Generator, world: Population, people: Array, label: Label) -> Callers:
    """People as the switch sees them: cell and handset only of those of its own network."""
    home = world.at_home[people].tolist()
    cells, handsets = world.cells(rng, people), world.tokens(people, "imei")
    return Callers(
        numbers=written_forms(rng, world.numbers[people]),
        e164=[f"+86{number}" for number in world.numbers[people].tolist()],
        cells=[cell if at_home else None for cell, at_home in zip(cells, home, strict=True)],
        handsets=[handset if at_home else None for handset, at_home in zip(handsets, home, strict=True)],
        labels=[label] * len(people),
    )


def _acting(rng: Generator, sums: Array, total: int) -> Array:
    return np.searchsorted(sums, rng.random(total), side="right")
