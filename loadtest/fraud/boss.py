"""Impersonated boss: "this is my new number, come to my office tomorrow", and the next day a transfer that cannot wait.

On the wire: few messages, to people who know each other (the staff of one manager, after a leaked list of contacts),
from a new card that calls itself by a surname. Many answer, since one answers one's boss. Then a message with an
account, and a short call.

Sources: the Ministry of Public Security's ten frequent types (impersonated leaders and acquaintances); rates: see
``rates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from numpy.random import Generator

from loadtest.fraud.crew import Crew
from loadtest.fraud.scripts import Bait, message
from loadtest.fraud.settings import Common, Count, Share
from loadtest.sim.contract import Draft, World

NAME: Final = "boss"
OPENERS: Final = (
    "[小{surname}|你好]，我是{surname}[总|局|主任]，这是我的新号码，旧号[不用了|停了]，[存一下|惠存]",
    "我换号了，以后用这个联系，明早九点到我办公室一趟。{surname}[总|书记]",
    "[在忙吗|方便吗]？我是单位{surname}[主任|处长]，加我{chat}，有件事[请你办|交代一下]",
)
TEXTS: Final = (
    "我在[接待客人|开会]不便接电话，你先替我转{money}元到这个账户，户名{surname}某，尾号{n}，[下午|回头]给你",
    "[有位领导|客户]急用钱，我出面不合适，用你的卡过一下账，{money}元，账号尾号{n}，办好回我",
    "红包我准备好了，[公司账户|财务]那边慢，你先垫{money}元，转账后[截图|回执]发{chat}",
)


class Settings(Common, frozen=True, kw_only=True):
    """``hooked``: share of those who reply that are asked for money."""

    numbers: Count = 2
    hooked: Share = 0.5


def drafts(name: str, settings: Settings, world: World, rng: Generator) -> Iterator[Draft]:
    """All that it does."""
    crew = Crew(name, NAME, settings, world, rng)
    bait = Bait(settings.hooked, crew.rate("long"), TEXTS)
    count = crew.often(crew.rate("messages"))
    for at, b in zip(crew.moments(count), _staff(crew, count), strict=False):
        crew.plan(at, message(crew, b, OPENERS, bait))
    yield from crew.run()


def _staff(crew: Crew, count: int) -> Iterator[str]:
    """Those whom a manager knows, manager after manager."""
    for manager in crew.victims(count):
        yield from crew.world.acquaintances(manager) or [manager]
