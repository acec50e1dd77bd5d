"""Refund fraud: "the goods you bought are faulty, we pay you three times the price".

On the wire: a message about a parcel or an order that often exists (the data was leaked), and minutes later a call from
the same number. Who believes it is led to a page for card number and code; the codes come from the genuine bank.

Sources: the Ministry of Public Security's ten frequent types (impersonated shop and courier service; false shopping);
the case that the police of Shenzhen published on 8 July 2021 with its warning of GoIP; rates: see ``rates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from numpy.random import Generator

from loadtest.fraud.adapt import Line
from loadtest.fraud.crew import Act, Crew
from loadtest.fraud.rates import rate
from loadtest.fraud.scripts import Bait, cold_call, minutes, openings
from loadtest.fraud.settings import Common, Count, Share
from loadtest.sim.contract import Draft, World

NAME: Final = "refund"
OPENERS: Final = (
    "【[某快递|某速运]】您尾号{n}的包裹[破损|丢失]，现为您三倍理赔，请留意客服来电{number}",
    "您购买的[面膜|奶粉|保温杯]检出质量问题，厂家召回并退款{money}元，[稍后客服联系您|请接听来电]",
    "[订单|编号]{n}因[系统故障|库存不足]未成交，款项将退回，退款通道 {link}",
)
TEXTS: Final = (
    "退款已受理，请在 {link} 填写银行卡号和收到的验证码，{money}元[即时|十分钟内]到账",
    "理赔金{money}元须从备用金领取，多出部分请转回公司账户，尾号{n}，客服{surname}经理",
    "您的[信用分|芝麻分]不足，退款失败，请先存入{money}元激活，操作指引 {link}",
)


class Settings(Common, frozen=True, kw_only=True):
    """``hooked``: share of answered calls after which somebody is worked on."""

    numbers: Count = 5
    hooked: Share = rate(NAME, "hooked")


def drafts(name: str, settings: Settings, world: World, rng: Generator) -> Iterator[Draft]:
    """All that it does."""
    crew = Crew(name, NAME, settings, world, rng)
    bait = Bait(settings.hooked, crew.rate("long"), TEXTS)
    for at, b in openings(crew, crew.rate("calls")):
        crew.plan(at, _announced(crew, b, bait))
    yield from crew.run()


def _announced(crew: Crew, b: str, bait: Bait) -> Act:
    """A message, then a call of the same number."""

    def act(at: int, line: Line) -> Iterator[Draft]:
        yield from crew.text(at, line, b, OPENERS)
        crew.plan(at + minutes(crew, 5), cold_call(crew, b, bait), line)

    return act
