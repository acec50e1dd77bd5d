"""High-risk roaming: domestic cards carried to where the call centres are, and used from there.

On the wire: a card event ``roamed`` with the network of Cambodia, Myanmar, Laos or the Philippines, then calls and
messages home from that network, over an international gateway, to people whom the card has never called.

Sources: "roaming in a high-risk region" as a sign of risk at the press conference of Hunan, 10 June 2022; networks:
ITU-T E.212 codes; rates: see ``rates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from numpy.random import Generator

from loadtest.fraud.crew import Crew
from loadtest.fraud.rates import rate
from loadtest.fraud.scripts import MINUTE_MS, Bait, cold_call, openings
from loadtest.fraud.settings import Common, Count, Minutes, Share
from loadtest.fraud.texts import pick
from loadtest.sim.contract import Draft, World

NAME: Final = "roaming"
#: MCC and MNC: Cambodia, Myanmar, Laos, the Philippines.
NETWORKS: Final = ("45601", "45606", "41401", "41405", "45701", "45702", "51502", "51503")
TEXTS: Final = (
    "[高薪|急聘]海外[客服|打字员]，月入{money}，[包机票|包签证]，加{chat}",
    "[哥|姐]，我在外地[出事|被扣]了，先转{money}元到尾号{n}，别跟家里说",
    "[平台|项目]内测名额，充值{money}返双倍，通道 {link}",
)


class Settings(Common, frozen=True, kw_only=True):
    """``arrival_minutes``: within which all cards arrive; the calls begin then. ``hooked``: of those who answer."""

    numbers: Count = 5
    arrival_minutes: Minutes = 30.0
    hooked: Share = rate(NAME, "hooked")


def drafts(name: str, settings: Settings, world: World, rng: Generator) -> Iterator[Draft]:
    """All that it does."""
    start = settings.begins(world.start)
    crew = Crew(
        name,
        NAME,
        settings,
        world,
        rng,
        after_minutes=settings.arrival_minutes,
        plmn=lambda: pick(NETWORKS, rng),
    )
    bait = Bait(settings.hooked, crew.rate("long"), TEXTS)
    for at, b in openings(crew, crew.rate("calls")):
        crew.plan(at, cold_call(crew, b, bait))
    yield from crew.run()
    for line in crew.lines:
        arrived = start + int(rng.integers(0, int(settings.arrival_minutes * MINUTE_MS)))
        yield from crew.card(arrived, line.card, "roamed", visited_plmn=line.plmn, imei_hash=line.handsets[0])
