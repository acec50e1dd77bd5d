"""Gambling by message: links to betting sites. Illegal rather than fraud in our labels.

On the wire: the busiest cards there are (the top hundredth of real fraud numbers by messages a day), hour after hour,
each text sent to many in slightly different words, almost all with a link; hardly anybody answers.

Sources: "Lies in the Air", CCS 2020 (gambling among the businesses of message spam); rates: see ``rates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from numpy.random import Generator

from loadtest.fraud.crew import Crew
from loadtest.fraud.scripts import message, openings
from loadtest.fraud.settings import Common, Count
from loadtest.sim.contract import Draft, World

NAME: Final = "gambling_sms"
TEXTS: Final = (
    "[某娱乐|金沙湾|永利汇][开户|注册]送{money}，真人[百家乐|牛牛|炸金花]，[提现秒到|大额无忧] {link}",
    "[世界杯|欧冠|五大联赛]投注首选，[赔率高|返水最高]，首存{money}送{money}，{link}",
    "六合彩[内部资料|特码]{n}期必中，[先中奖后付费|跟单包赢]，加{chat}",
    "[快三|时时彩|飞艇]带你[回血|上岸]，导师{surname}哥免费计划，{link}",
    "棋牌[新客|老友]礼金{money}元已存入您的账户，[登录|点击]领取 {link}",
)


class Settings(Common, frozen=True, kw_only=True):
    """Nothing of its own."""

    numbers: Count = 3


def drafts(name: str, settings: Settings, world: World, rng: Generator) -> Iterator[Draft]:
    """All that it does."""
    crew = Crew(name, NAME, settings, world, rng, label="illegal")
    for at, b in openings(crew, crew.rate("messages")):
        crew.plan(at, message(crew, b, TEXTS))
    yield from crew.run()
