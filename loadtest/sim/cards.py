"""What happens to the SIM cards of honest people: bought, put away, taken out again, on a journey, re-verified.

Shares of the profile's ``cards_per_1000``: re-verified from Hunan's 6.087 million in 160 days for 70 million (0.54 per
1000 and day), the others are assumptions. Some travel to where fraud comes from, as tourists do.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Final, Literal

import numpy as np

from detectors.model.events import CardEvent
from loadtest.sim.contract import Card, Draft
from loadtest.sim.population import Population, generator
from loadtest.sim.profile import Profile
from loadtest.sim.rhythm import Rhythm
from loadtest.sim.signalling import SIMULATED
from loadtest.truth import Label

Array = np.ndarray[Any, Any]
Phase = Literal["sold", "activated", "roamed", "dormant", "woke", "re-verified"]

HONEST: Final = Label("ham", "card", SIMULATED)
#: A sale is followed by its activation, and both count.
PHASES: Final[dict[Phase, float]] = {"sold": 0.15, "dormant": 0.15, "woke": 0.10, "roamed": 0.30, "re-verified": 0.15}
#: Milliseconds from the sale to the activation.
ACTIVATION: Final = (60_000, 3_600_000)
#: PLMN (3GPP TS 23.003) of Hong Kong, Macau, Thailand, Japan, Korea, Vietnam, Singapore, Cambodia, Myanmar, Laos.
VISITED: Final = {
    "45400": 0.30, "45500": 0.15, "52001": 0.15, "44010": 0.12, "45005": 0.08, "45201": 0.08, "52501": 0.06,
    "45606": 0.02, "41401": 0.02, "45701": 0.02,
}  # fmt: skip


class Cards:
    """The cards of a population and those that are newly sold."""

    def __init__(self, world: Population, profile: Profile) -> None:
        self._world, self._rng = world, generator(profile.seed, "cards")
        self._ids = (f"card-{n}" for n in count())
        self._rhythm = Rhythm.of_calls(profile.offset_ms)
        both = sum(PHASES.values()) + PHASES["sold"]
        self._per_day = world.size * profile.benign.cards_per_1000 / 1000 / both
        self._sleeping = world.residents[world.dormant[world.residents]]
        self._awake = world.residents[~world.dormant[world.residents]]

    def minute(self, since: int, until: int) -> list[Draft]:
        """All that begins in ``[since, until)``; an activation comes up to an hour after its sale."""
        share = self._rhythm.share(since, until)
        drafts: list[Draft] = []
        for phase, part in PHASES.items():
            total = int(self._rng.poisson(self._per_day * part * share))
            times = self._rhythm.moments(self._rng, total, since=since, until=until).tolist()
            drafts += self._sales(times) if phase == "sold" else self._steps(times, phase)
        return drafts

    def _sales(self, times: list[int]) -> list[Draft]:
        cards = self._world.fresh_cards(self._rng, len(times))
        waits = self._rng.integers(*ACTIVATION, size=len(times)).tolist()
        return [
            self._draft(at, step, card)
            for card, sold, wait in zip(cards, times, waits, strict=True)
            for at, step in _sale(sold, wait)
        ]

    def _steps(self, times: list[int], phase: Phase) -> list[Draft]:
        rng, world = self._rng, self._world
        among = self._sleeping if phase == "woke" and len(self._sleeping) else self._awake
        people = among[rng.integers(len(among), size=len(times))].astype(np.int64)
        plmns = rng.choice(list(VISITED), len(times), p=list(VISITED.values())).tolist()
        seen = phase in ("roamed", "woke")  # on a network, so in a handset
        handsets = world.tokens(people, "imei")
        return [
            self._draft(at, phase, card, plmn if phase == "roamed" else None, handset if seen else None)
            for at, card, plmn, handset in zip(times, world.cards(people), plmns, handsets, strict=True)
        ]

    def _draft(self, at: int, phase: Phase, card: Card, plmn: str | None = None, imei: str | None = None) -> Draft:
        event = CardEvent(
            id=next(self._ids), time=at, a_number=card.number.removeprefix("+86"), a_e164=card.number, phase=phase,
            identity_hash=card.identity_hash, agent_id=card.agent_id, channel=card.channel, visited_plmn=plmn,
            imei_hash=imei,
        )  # fmt: skip
        return Draft(event, HONEST)


def _sale(sold: int, wait: int) -> tuple[tuple[int, Phase], tuple[int, Phase]]:
    return (sold, "sold"), (sold + wait, "activated")
