"""Counts what no single card tells: how many cards an identity has opened, and how many a sales agent opens at once.

Cards of one identity have numbers in many partitions, so this is counted in one place beside the workers, and told to
the shard of each card as an event of its own (``counted``): what is decided then depends on the log alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from math import log
from typing import Final, NamedTuple

from detectors.model.events import CardEvent
from detectors.model.numbers import Canonical
from detectors.normalise.phone import canonical

IDENTITY_MS: Final = 30 * 86_400_000  #: in which the cards of an identity are counted; the topic keeps as much
AGENT_MS: Final = 3_600_000  #: the same of an agent
#: Counts from which a card is told.
IDENTITY_FROM: Final = 3
AGENT_FROM: Final = 5
MOST: Final = 1_000  #: cards of one identity or agent that are kept, the newest
_OPENINGS: Final = ("sold", "activated")
_VERIFIED: Final = "re-verified"
_STEP: Final = log(1.1)


class Count(NamedTuple):
    """What a card is told. ``place``: that of the card, as it was given to ``Register.see``."""

    place: int
    event: CardEvent


class _Opening(NamedTuple):
    """Of one card. ``number``: as its events have it."""

    card: Canonical
    number: str
    place: int
    time: int
    channel: str


_Openings = tuple[_Opening, ...]


class Register:
    """Identities and agents with the cards that they opened of late, in bounded memory.

    Args:
        max_cards: of identities, of agents, and verified: between so many and twice as many are kept, the newest.
    """

    def __init__(self, max_cards: int = 750_000) -> None:
        self._identities, self._agents = _Table(IDENTITY_MS, max_cards), _Table(AGENT_MS, max_cards)
        self._verified = _Verified(max_cards)

    @property
    def identities(self) -> int:
        """Those that are known."""
        return len(self._identities)

    @property
    def agents(self) -> int:
        """Those that are known."""
        return len(self._agents)

    def see(self, event: CardEvent, place: int = 0) -> list[Count]:
        """Take one event in.

        Args:
            place: where the card is to be told, such as the partition of its events.

        Returns:
            What this card and others are to be told because of it. What says the same has the same id.
        """
        number = event.a_e164 or event.a_number
        card = canonical(number)
        if event.phase not in (*_OPENINGS, _VERIFIED) or not card:
            return []
        if event.phase == _VERIFIED:
            self._verified.add(card, event.time)
            return []
        opening = _Opening(card, number, place, event.time, event.channel or "")
        identity, one_more = self._identities.add(event.identity_hash, opening)
        agent, sold_one_more = self._agents.add(event.agent_id, opening)
        cards, sold = len(identity), len(agent)
        told: dict[Canonical, tuple[_Opening, dict[str, int]]] = {}
        if one_more and cards >= IDENTITY_FROM:
            channels = len({each.channel for each in identity if each.channel})
            counts = {"identity_cards": cards, "identity_channels": channels}
            _tell(told, identity if _is_step(cards) else (opening,), counts)
        if sold_one_more and sold >= AGENT_FROM:
            _tell(told, agent if _is_step(sold) else (opening,), {"agent_cards": sold})
        # Of the newest of them, whichever was seen last: the higher of two counts is never the older one.
        time = max(each.time for each in (opening, *identity, *agent))
        return [
            _count(event, time, *each) for each in told.values() if each[0].time > self._verified.time(each[0].card)
        ]


class _Table:
    """Openings by identity or agent, in two generations of so many cards."""

    def __init__(self, span_ms: int, max_cards: int) -> None:
        self._span, self._max = span_ms, max_cards
        self._young: dict[str, _Openings] = {}
        self._old: dict[str, _Openings] = {}
        self._cards = 0  # in the young one

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def add(self, key: str | None, opening: _Opening) -> tuple[_Openings, bool]:
        """What ``key`` has opened within a span of then, and whether this card is one more.

        A clock that is ahead makes ``key`` begin anew, and is not counted with what comes after.
        """
        if not key:
            return (), False
        known = self._young.get(key)
        if known is None:
            known = self._old.pop(key, ())
            if self._cards >= self._max:
                self._old, self._young, self._cards = self._young, {}, 0
        else:
            self._cards -= len(known)
        is_new = all(each.card != opening.card for each in known)
        if is_new:
            known = tuple(each for each in (*known, opening) if opening.time - each.time < self._span)[-MOST:]
        self._young[key] = known
        self._cards += len(known)
        return tuple(each for each in known if each.time - opening.time < self._span), is_new


class _Verified:
    """When the holder of a card was verified in person, the newest by card, in two generations."""

    def __init__(self, max_cards: int) -> None:
        self._max = max_cards
        self._young: dict[Canonical, int] = {}
        self._old: dict[Canonical, int] = {}

    def add(self, card: Canonical, time: int) -> None:
        if len(self._young) >= self._max:
            self._old, self._young = self._young, {}
        self._young[card] = max(time, self.time(card))

    def time(self, card: Canonical) -> int:
        """0: never."""
        return self._young.get(card) or self._old.get(card, 0)


def _tell(
    told: dict[Canonical, tuple[_Opening, dict[str, int]]], openings: Iterable[_Opening], counts: dict[str, int]
) -> None:
    for each in openings:
        told.setdefault(each.card, (each, {}))[1].update(counts)


def _is_step(count: int) -> bool:
    """Whether all are told of the new count: each one up to twelve, then each tenth more, so that an agent with n
    cards causes about eleven times n events and not the square of it.
    """
    return int(log(count) / _STEP) > int(log(count - 1) / _STEP)


def _count(cause: CardEvent, time: int, opening: _Opening, counts: dict[str, int]) -> Count:
    of = cause.identity_hash if "identity_cards" in counts else "", cause.agent_id if "agent_cards" in counts else ""
    said = repr((opening.card, *of, time, sorted(counts.items())))
    name = hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    event = CardEvent(
        id=f"count-{name}",
        time=time,
        a_number=opening.number,
        phase="counted",
        identity_cards=counts.get("identity_cards"),
        identity_channels=counts.get("identity_channels"),
        agent_cards=counts.get("agent_cards"),
    )
    return Count(opening.place, event)
