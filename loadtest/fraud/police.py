"""Impersonated police: "you are wanted, move your money to a safe account".

On the wire: calls to strangers from a call centre abroad. Two calls in five show a number that looks like 110 (the
caller changes what is shown; the network knows better, and such a call comes in over an international gateway). Most
end after seconds. Who is frightened gets a message with a link to a "warrant", then calls of an hour, each within
hours of the last, during which verification codes arrive; the victim must stay on the line and talk to nobody. Some
who missed the call ring back.

Sources: the Ministry of Public Security's ten frequent types (impersonated police, procurators and courts); rates: see
``rates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from numpy.random import Generator

from loadtest.fraud.crew import Crew
from loadtest.fraud.rates import rate
from loadtest.fraud.scripts import Bait, cold_call, openings
from loadtest.fraud.settings import Common, Count, Share
from loadtest.fraud.texts import pick
from loadtest.sim.contract import Draft, World

NAME: Final = "police"
#: What phones show. None of these can be dialled: 110 with a country, trunk or area code before it.
SHOWN: Final = ("+86110", "00110", "+86010110", "0086110", "+8696110", "+110")
TEXTS: Final = (
    "[市|区][公安局|刑侦支队]：{surname}某，你名下账户涉及洗钱案，案号{n}，通缉令 {link} ，[今日|两小时内]不配合即冻结",
    "【[网上办案|协查通知]】编号{n}：请打开 {link} 核对逮捕令并填写资金清查表，案件保密，不得告知家人",
    "我是专案组{surname}警官，请把[存款|全部资金]转到国家安全账户接受清查，[查清后原数退还|核实无误当日退回]，户名{surname}某，联系{number}",
    "你的身份证在外地办了一张电话卡，发送诈骗短信{n}条，现已立案，立即加{chat}做笔录，[逾期上门拘捕|拒不配合按同案处理]",
    "检察院：你涉及{surname}某特大案，资金须作公证，请下载 {link} 并打开屏幕共享，[全程不要挂电话|不得与他人联系]",
)


class Settings(Common, frozen=True, kw_only=True):
    """``spoofed``: share of opening calls that show another number. ``hooked``: of answered ones, who are worked on."""

    numbers: Count = 6
    spoofed: Share = rate(NAME, "spoofed")
    hooked: Share = rate(NAME, "hooked")


def drafts(name: str, settings: Settings, world: World, rng: Generator) -> Iterator[Draft]:
    """All that it does."""
    crew = Crew(name, NAME, settings, world, rng)
    bait = Bait(
        settings.hooked,
        crew.rate("long"),
        TEXTS,
        rounds=2,
        shown=lambda: pick(SHOWN, rng) if crew.luck(settings.spoofed) else None,
    )
    for at, b in openings(crew, crew.rate("calls")):
        crew.plan(at, cold_call(crew, b, bait))
    yield from crew.run()
