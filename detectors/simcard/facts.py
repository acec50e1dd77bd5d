"""What is known of a SIM card from its own events, kept for the calls and messages that it makes later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from detectors.model.events import CardEvent
from detectors.model.numbers import Canonical

DAY_MS: Final = 86_400_000
KEPT_MS: Final = 30 * DAY_MS  #: from when a count was told
WOKEN_MS: Final = 3 * DAY_MS  #: for how long a card counts as woken


class Known(NamedTuple):
    """Of one card; 0 is unknown. Times are those of the events that said so, ms UTC.

    Attributes:
        identity_cards, identity_channels: opened on its identity within 30 days, and through how many channels.
        agent_cards: opened by its sales agent within an hour, this one among them.
        woke: when it woke from dormancy.
        verified: when its holder was verified in person: what was told before says nothing any more.
    """

    identity_cards: int = 0
    identity_channels: int = 0
    identity_time: int = 0
    agent_cards: int = 0
    agent_time: int = 0
    woke: int = 0
    verified: int = 0

    def measures(self, time: int) -> dict[str, int]:
        """Those of rules, above 0, that hold at a time; also at one a little before they were told."""
        found: dict[str, int] = {}
        if self.identity_time and abs(time - self.identity_time) < KEPT_MS:
            found = {"identity_cards": self.identity_cards, "identity_channels": self.identity_channels}
        if self.agent_time and abs(time - self.agent_time) < KEPT_MS:
            found["agent_cards"] = self.agent_cards
        if self.woke and 0 <= time - self.woke < WOKEN_MS:
            found["woken"] = 1
        return {name: value for name, value in found.items() if value}


NOTHING: Final = Known()


class CardFacts:
    """By card, in two generations of bounded size: between ``max_cards`` and twice as many, those heard of last.

    Of each count the newest is known, of those of one moment the highest. A low one is kept only after a higher
    one: or honest cards would push the others out.
    """

    def __init__(self, max_cards: int) -> None:
        self._max = max_cards
        self._young: dict[Canonical, Known] = {}
        self._old: dict[Canonical, Known] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def of(self, card: Canonical) -> Known:
        """What is known."""
        return self._young.get(card) or self._old.get(card, NOTHING)

    def learn(self, card: Canonical, event: CardEvent, least: Mapping[str, int]) -> None:
        """What this event says of the card. ``least``: of each measure, from which on it is kept."""
        before = self.of(card)
        after = before if event.time <= before.verified else _after(before, event, least)
        if after is before or after == NOTHING:
            return
        self._old.pop(card, None)
        if len(self._young) >= self._max:
            self._old, self._young = self._young, {}
        self._young[card] = after


def _after(known: Known, event: CardEvent, least: Mapping[str, int]) -> Known:
    time = event.time
    if event.phase == "re-verified":
        return _verified(known, time)
    if event.phase == "woke":
        known = known._replace(woke=max(known.woke, time))
    cards, channels, sold = event.identity_cards or 0, event.identity_channels or 0, event.agent_cards or 0
    matters = known.identity_time or _matters(least, identity_cards=cards, identity_channels=channels)
    if (cards or channels) and matters and time >= known.identity_time:
        if time == known.identity_time:
            cards, channels = max(cards, known.identity_cards), max(channels, known.identity_channels)
        known = known._replace(identity_cards=cards, identity_channels=channels, identity_time=time)
    if sold and (known.agent_time or _matters(least, agent_cards=sold)) and time >= known.agent_time:
        sold = max(sold, known.agent_cards) if time == known.agent_time else sold
        known = known._replace(agent_cards=sold, agent_time=time)
    return known


def _verified(known: Known, time: int) -> Known:
    if known.identity_time <= time:
        known = known._replace(identity_cards=0, identity_channels=0, identity_time=0)
    if known.agent_time <= time:
        known = known._replace(agent_cards=0, agent_time=0)
    return known._replace(verified=time, woke=known.woke if known.woke > time else 0)


def _matters(least: Mapping[str, int], **told: int) -> bool:
    return any(value >= least.get(name, value + 1) for name, value in told.items())
