"""Many cards on one identity: somebody lends an identity card, and cards are opened on it wherever one can.

On the wire: card events with one identity, through many channels and agents; each seller sees only one or two. Then
calls to strangers from all of them.

Sources: "one identity with many cards" and "opening through many channels" as signs of risk at the press conference of
Hunan, 10 June 2022; the limit of five is the Ministry of Industry's; rates: see ``rates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from numpy.random import Generator

from loadtest.fraud.crew import Crew
from loadtest.fraud.rates import rate
from loadtest.fraud.scripts import MINUTE_MS, Bait, cold_call, openings
from loadtest.fraud.settings import Common, Count, Minutes, Share
from loadtest.fraud.texts import pick
from loadtest.sim.contract import Card, Draft, World

NAME: Final = "many_cards"
CHANNELS: Final = ("online", "agent", "shop", "supermarket", "campus", "courier")
TEXTS: Final = (
    "我是[社区|街道]{surname}主任，医保[补缴|年审]请打开 {link}",
    "[投资|养老]项目回款，登记账户领{money}元，{link} ，联系{number}",
    "您的[快递|航班]异常，[改签|理赔]请加{chat}",
)


class Settings(Common, frozen=True, kw_only=True):
    """``sold_minutes``: within which all are opened. ``hooked``: share of answered calls after which work begins."""

    numbers: Count = int(rate(NAME, "cards"))
    sold_minutes: Minutes = 60.0
    hooked: Share = rate(NAME, "hooked")


def drafts(name: str, settings: Settings, world: World, rng: Generator) -> Iterator[Draft]:
    """All that it does."""
    start, identity = settings.begins(world.start), rng.bytes(8).hex()

    def buy(count: int) -> Sequence[Card]:
        cards = world.fresh_cards(rng, count)
        moments = start + rng.integers(0, int(settings.sold_minutes * MINUTE_MS), len(cards))
        return [
            replace(card, identity_hash=identity, channel=pick(CHANNELS, rng), sold=int(sold))
            for card, sold in zip(cards, moments, strict=True)
        ]

    crew = Crew(name, NAME, settings, world, rng, cards=buy, after_minutes=settings.sold_minutes)
    bait = Bait(settings.hooked, crew.rate("long"), TEXTS)
    for at, b in openings(crew, crew.rate("calls")):
        crew.plan(at, cold_call(crew, b, bait))
    yield from crew.run()
    for line in crew.lines:
        yield from crew.opened(line.card)
