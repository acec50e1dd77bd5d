"""Woken cards: cards that slept for months, bought from their owners or forgotten by them, wake and call at once.

On the wire: a card event ``woke`` from a handset that the card was never in, and soon afterwards more calls to
strangers in an hour than in the year before.

Sources: "dormant and sleeping cards that wake" as a sign of risk at the press conference of Hunan, 10 June 2022;
rates: see ``rates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from numpy.random import Generator

from loadtest.fraud.crew import Crew
from loadtest.fraud.rates import rate
from loadtest.fraud.scripts import MINUTE_MS, Bait, cold_call, openings
from loadtest.fraud.settings import Common, Count, Minutes, Share
from loadtest.sim.contract import Draft, World

NAME: Final = "woken_cards"
TEXTS: Final = (
    "您的[社保卡|医保账户]已停用，[恢复|激活]请打开 {link} ，经办{surname}科长",
    "[理财|基金]到期兑付{money}元，验证银行卡 {link}",
    "我是[物业|学校]{surname}老师，资料费{money}元请转账到尾号{n}，收据发{chat}",
)


class Settings(Common, frozen=True, kw_only=True):
    """``woken_minutes``: within which all wake; the calls begin then. ``hooked``: of those who answer, worked on."""

    numbers: Count = 10
    woken_minutes: Minutes = 30.0
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
        cards=lambda count: world.dormant_cards(rng, count),
        after_minutes=settings.woken_minutes,
    )
    bait = Bait(settings.hooked, crew.rate("long"), TEXTS)
    for at, b in openings(crew, crew.rate("calls")):
        crew.plan(at, cold_call(crew, b, bait))
    yield from crew.run()
    for line in crew.lines:
        woke = start + int(rng.integers(0, int(settings.woken_minutes * MINUTE_MS)))
        yield from crew.card(woke, line.card, "woke", imei_hash=line.handsets[0])
