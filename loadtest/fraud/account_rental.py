"""Account rental: "let us use your bank card, phone card or messenger account for 500 a day".

The accounts move the money of other frauds; who lets one is an accomplice rather than a victim, and the offer is
labelled illegal. On the wire: messages in bulk, a messenger account in each, some replies, no calls.

Sources: notices on "two cards" (断卡, bank and phone cards for rent) of the Ministry of Public Security; the clues
named at the press conference of Hunan, 10 June 2022; rates: see ``rates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from numpy.random import Generator

from loadtest.fraud.crew import Crew
from loadtest.fraud.scripts import message, openings
from loadtest.fraud.settings import Common, Count
from loadtest.sim.contract import Draft, World

NAME: Final = "account_rental"
TEXTS: Final = (
    "[长期|高价]收[银行卡|对公账户|四件套]，租一天{money}元，[当面结|日结]，加{chat}",
    "[微信号|实名手机卡|支付账号]出租，每[小时|天]{money}，[不用押金|安全可靠]，联系{number}",
    "闲置[银行卡|信用卡]别浪费，借我跑分，[流水提成|佣金]千分之八，{chat}",
    "招[车手|卡商]，带卡来[包吃住|报销路费]，一张{money}元，{surname}哥{number}",
)


class Settings(Common, frozen=True, kw_only=True):
    """Nothing of its own."""

    numbers: Count = 2


def drafts(name: str, settings: Settings, world: World, rng: Generator) -> Iterator[Draft]:
    """All that it does."""
    crew = Crew(name, NAME, settings, world, rng, label="illegal")
    for at, b in openings(crew, crew.rate("messages")):
        crew.plan(at, message(crew, b, TEXTS, victim=False))
    yield from crew.run()
