"""Loan fraud: "200,000 without security, at your disposal today", then a fee to unfreeze what was never lent.

On the wire: messages in bulk from mobile numbers, with a link or a number to call; calls to strangers from the same
cards. Who replies gets a second link and several calls: the account number was "wrong", the money is "frozen", and a
deposit will free it.

Sources: the Ministry of Public Security's ten frequent types (false loans); rates: see ``rates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from numpy.random import Generator

from loadtest.fraud.crew import Crew
from loadtest.fraud.scripts import Bait, cold_call, message, openings
from loadtest.fraud.settings import Common, Count, Share
from loadtest.sim.contract import Draft, World

NAME: Final = "loan"
OPENERS: Final = (
    "【[某金服|快易借|秒批宝]】您获得{money}元[信用|备用]额度，[无抵押|免担保]当天放款，领取 {link}",
    "[急用钱|资金周转]？黑户白户都能贷，[身份证|一张卡]即可，利息[低至两厘|前三月全免]，咨询{number}",
    "尊敬的{surname}[先生|女士]，您的借款{money}元已通过初审，请点 {link} [签约|提现]，今日有效",
    "[正规平台|银行合作]贷款，不看征信不打电话，额度最高{money}，加{chat}",
)
TEXTS: Final = (
    "您的银行卡号填写有误，放款{money}元被冻结，请先缴[解冻金|保证金]，否则[计入征信|追究违约]，办理 {link}",
    "请将认证款{money}元存入指定账户，尾号{n}，[到账即|半小时内]连同本金一并发放",
    "最后一步：购买[还款保险|会员]后即可提现，联系信贷员{surname}经理{number}",
)


class Settings(Common, frozen=True, kw_only=True):
    """``hooked``: share of those who reply, or who answer a call, that are asked for a deposit."""

    numbers: Count = 4
    hooked: Share = 0.1


def drafts(name: str, settings: Settings, world: World, rng: Generator) -> Iterator[Draft]:
    """All that it does."""
    crew = Crew(name, NAME, settings, world, rng)
    bait = Bait(settings.hooked, crew.rate("long"), TEXTS, rounds=3)
    for at, b in openings(crew, crew.rate("messages")):
        crew.plan(at, message(crew, b, OPENERS, bait))
    for at, b in openings(crew, crew.rate("calls")):
        crew.plan(at, cold_call(crew, b, bait))
    yield from crew.run()
