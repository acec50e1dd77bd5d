"""Bulk-opened cards: one sales agent sells dozens of cards within minutes, to people who never see them.

On the wire: card events (sold, activated) minutes apart, many identities, one agent and one channel; soon afterwards
all the cards send the same kind of message. The cards are sold and used within the world, and nothing else is done
with them.

Sources: bulk opening as a sign of risk, and non-compliant agents, at the press conference of Hunan, 10 June 2022;
rates: see ``rates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from numpy.random import Generator

from loadtest.fraud.crew import Crew
from loadtest.fraud.rates import rate
from loadtest.fraud.scripts import MINUTE_MS, message, openings
from loadtest.fraud.settings import Common, Count, Minutes
from loadtest.sim.contract import Card, Draft, World

NAME: Final = "bulk_cards"
TEXTS: Final = (
    "[恭喜|通知]：您的号码被抽中[二等奖|幸运用户]，奖金{money}元，领取 {link}",
    "[老师|导师]推荐股票，[三天|一周]翻倍，[免费|限时]进群{chat}",
    "您有一笔补贴{money}元未领，[人社|社保]登记 {link} ，过期作废",
)


class Settings(Common, frozen=True, kw_only=True):
    """``sold_minutes``: within which all are sold. ``idle_minutes``: from then until they are used."""

    numbers: Count = int(rate(NAME, "cards"))
    sold_minutes: Minutes = 30.0
    idle_minutes: Minutes = 30.0


def drafts(name: str, settings: Settings, world: World, rng: Generator) -> Iterator[Draft]:
    """All that it does."""
    start, agent = settings.begins(world.start), rng.bytes(8).hex()

    def buy(count: int) -> Sequence[Card]:
        cards = world.fresh_cards(rng, count)
        moments = start + rng.integers(0, int(settings.sold_minutes * MINUTE_MS), len(cards))
        return [
            replace(card, agent_id=agent, channel="agent", sold=int(sold))
            for card, sold in zip(cards, moments, strict=True)
        ]

    waits = settings.sold_minutes + settings.idle_minutes
    crew = Crew(name, NAME, settings, world, rng, cards=buy, after_minutes=waits)
    for at, b in openings(crew, crew.rate("messages")):
        crew.plan(at, message(crew, b, TEXTS))
    yield from crew.run()
    for line in crew.lines:
        yield from crew.opened(line.card)
