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

IDENTITY_MS: Final = 30 * 86_400_000  #: in which the cards of an identity are counted; the topic keeps as much
AGENT_MS: Final = 3_600_000  #: the same of an agent
#: Counts from which a card is told.
IDENTITY_FROM: Final = 3
AGENT_FROM: Final = 5
MOST: Final = 1_000  #: cards of one identity or agent that are kept, the newest
_OPENINGS: Final = ("sold", "activated")
_STEP: Final = log(1.1)


class Count(NamedTuple):
    """What a card is told. ``place``: that of the card, as it was given to ``Register.see``."""

    place: int
    event: CardEvent


class _Opening(NamedTuple):
    """Of one card. ``released``: it was re-verified in person since."""

    number: str
    place: int
    time: int
    channel: str
    released: bool = False


_Openings = tuple[_Opening, ...]


class Register:
    """Identities and agents with the cards that they opened of late, in bounded memory.

    Args:
        max_identities: and a tenth as many agents; whoever opened a card longest ago is forgotten first.
    """

    def __init__(self, max_identities: int = 1_000_000) -> None:
        self._max = max_identities
        self._identities: dict[str, _Openings] = {}
        self._agents: dict[str, _Openings] = {}

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
            What this card and others are to be told because of it. The ids of the events are the same whenever this
            event is seen in the same state.
        """
        number = event.a_e164 or event.a_number
        if event.phase == "re-verified":
            self._release(event.identity_hash, number)
        if event.phase not in _OPENINGS or not number:
            return []
        opening = _Opening(number, place, event.time, event.channel or "")
        identity, one_more = _add(self._identities, event.identity_hash, opening, IDENTITY_MS, self._max)
        agent, sold_one_more = _add(self._agents, event.agent_id, opening, AGENT_MS, self._max // 10)
        cards, sold = len(identity), len(agent)
        told: dict[_Opening, dict[str, int]] = {}
        if one_more and cards >= IDENTITY_FROM:
            channels = len({each.channel for each in identity if each.channel})
            counts = {"identity_cards": cards, "identity_channels": channels}
            _tell(told, identity if _is_step(cards) else (opening,), counts)
        if sold_one_more and sold >= AGENT_FROM:
            _tell(told, agent if _is_step(sold) else (opening,), {"agent_cards": sold})
        return [_count(event, each, counts) for each, counts in told.items() if not each.released]

    def _release(self, identity: str | None, number: str) -> None:
        if identity and (known := self._identities.get(identity)):
            self._identities[identity] = tuple(
                each._replace(released=True) if each.number == number else each for each in known
            )


def _add(
    table: dict[str, _Openings], key: str | None, opening: _Opening, span_ms: int, most: int
) -> tuple[_Openings, bool]:
    """What ``key`` has opened within a span by then, and whether this card is one more."""
    if not key:
        return (), False
    known = table.pop(key, ())
    is_new = all(each.number != opening.number for each in known)
    if is_new:
        newest = max(opening.time, *(each.time for each in known)) if known else opening.time
        known = tuple(each for each in (*known, opening) if newest - each.time < span_ms)[-MOST:]
    if len(table) >= most:
        del table[next(iter(table))]
    table[key] = known
    return known, is_new and known[-1] is opening


def _tell(told: dict[_Opening, dict[str, int]], openings: Iterable[_Opening], counts: dict[str, int]) -> None:
    for each in openings:
        told.setdefault(each, {}).update(counts)


def _is_step(count: int) -> bool:
    """Whether all are told of the new count: each one up to twelve, then each tenth more, so that an agent with n
    cards causes about eleven times n events and not the square of it.
    """
    return int(log(count) / _STEP) > int(log(count - 1) / _STEP)


def _count(cause: CardEvent, opening: _Opening, counts: dict[str, int]) -> Count:
    name = hashlib.sha256(f"{cause.id}\0{opening.number}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
    event = CardEvent(
        id=f"count-{name}",
        time=cause.time,
        a_number=opening.number,
        phase="counted",
        identity_cards=counts.get("identity_cards"),
        identity_channels=counts.get("identity_channels"),
        agent_cards=counts.get("agent_cards"),
    )
    return Count(opening.place, event)
