"""GoIP: a box of phone cards in a rented room or a car, dialled from abroad, one number after the other.

On the wire: as a SIM box (many cards in few handsets in one cell), but the targets are strangers in a row: the machine
takes a subscriber's number and counts upwards, whether somebody has the next one or not, so many calls fail as
unallocated (Q.850 cause 1). Talk times are those of fraud calls, and who believes the story is worked on.

Sources: warning of the police of Shenzhen, 8 July 2021, and of others (a device takes over a hundred cards, is
operated from afar, changes numbers at will); rates: see ``rates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Final

from numpy.random import Generator

from loadtest.fraud import calls
from loadtest.fraud.adapt import Line
from loadtest.fraud.crew import Act, Crew
from loadtest.fraud.rates import rate
from loadtest.fraud.scripts import Bait, cold_call
from loadtest.fraud.settings import Common, Count, Share
from loadtest.sim.contract import Draft, World

NAME: Final = "goip"
TEXTS: Final = (
    "您好，刚才与您通话的是[平台|售后]{surname}经理，理赔[申请|登记]请点 {link}",
    "请加{chat}办理[取消会员|注销账户]，[今日|本日]内有效，工号{n}",
    "【[投资|理财]内训】{surname}老师带单，[稳赚|日利]{n}元，进群 {link}",
)


class Settings(Common, frozen=True, kw_only=True):
    """``channels``: radio modules, each an IMEI. ``hooked``: of those who answer, who are worked on."""

    numbers: Count = int(rate(NAME, "cards"))
    channels: Count = 16
    hooked: Share = rate(NAME, "hooked")


def drafts(name: str, settings: Settings, world: World, rng: Generator) -> Iterator[Draft]:
    """All that it does."""
    crew = Crew(name, NAME, settings, world, rng, channels=settings.channels)
    bait = Bait(settings.hooked, crew.rate("long"), TEXTS)
    for first in world.people(rng, 1):
        act = _next_number(crew, count(int(first)), bait)
        for at in crew.moments(crew.often(crew.rate("calls"))):
            crew.plan(at, act)
    yield from crew.run()


def _next_number(crew: Crew, row: Iterator[int], bait: Bait) -> Act:
    def act(at: int, line: Line) -> Iterator[Draft]:
        b = f"+{next(row)}"
        if crew.luck(crew.rate("allocated")):
            yield from cold_call(crew, b, bait)(at, line)
        else:
            yield from crew.call(at, line, b, calls.unallocated(), victim=False)

    return act
