"""What is known of a SIM card from its own events, kept for the calls and messages that it makes later."""

from __future__ import annotations

from typing import Final, NamedTuple

from detectors.model.events import CardEvent
from detectors.model.numbers import Canonical

DAY_MS: Final = 86_400_000
KEPT_MS: Final = 30 * DAY_MS  #: after the newest event that said something
WOKEN_MS: Final = 3 * DAY_MS  #: for how long a card counts as woken


class Known(NamedTuple):
    """Of one card; 0 is unknown.

    Attributes:
        time: of the newest event that said something, ms UTC.
        identity_cards, identity_channels: opened on its identity within 30 days, and through how many channels.
        agent_cards: opened by its sales agent within an hour, this one among them.
        woke: when it woke from dormancy, ms UTC.
    """

    time: int = 0
    identity_cards: int = 0
    identity_channels: int = 0
    agent_cards: int = 0
    woke: int = 0


NOTHING: Final = Known()


class CardFacts:
    """By card, in bounded memory: where there is no room the card that was heard of longest ago is forgotten.

    Counts only rise, so the order in which they come does not matter; a card that is re-verified in person begins anew.
    """

    def __init__(self, max_cards: int) -> None:
        self._max = max_cards
        self._cards: dict[Canonical, Known] = {}

    def __len__(self) -> int:
        return len(self._cards)

    def learn(self, card: Canonical, event: CardEvent) -> None:
        """What this event says of the card."""
        if event.phase == "re-verified":
            self._cards.pop(card, None)
            return
        told = event.identity_cards, event.identity_channels, event.agent_cards
        woke = event.time if event.phase == "woke" else 0
        if not (woke or any(told)):
            return
        before = self.of(card, event.time)
        cards, channels, sold = (max(new or 0, old) for new, old in zip(told, before[1:4], strict=True))
        self._cards.pop(card, None)
        if len(self._cards) >= self._max:
            del self._cards[next(iter(self._cards))]
        self._cards[card] = Known(max(event.time, before.time), cards, channels, sold, max(woke, before.woke))

    def of(self, card: Canonical, time: int) -> Known:
        """What is known by then. An event a little older than what is known is judged by it too."""
        known = self._cards.get(card)
        return known if known is not None and abs(time - known.time) < KEPT_MS else NOTHING
