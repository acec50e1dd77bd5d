"""Impersonated customer service: "your membership will charge you 800 a month unless we cancel it together".

On the wire: a call centre's day, busier than the others (the upper quartile of real fraud numbers), from ordinary
mobile numbers that are seen in several handsets. Who believes it is sent a link to a meeting with a shared screen and
kept on the line for half an hour, while banks and payment services send the codes that the caller then reads off the
screen.

Sources: the Ministry of Public Security's ten frequent types (impersonated shop, courier and credit-record service);
rates: see ``rates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from numpy.random import Generator

from loadtest.fraud.crew import Crew
from loadtest.fraud.rates import rate
from loadtest.fraud.scripts import Bait, cold_call, openings
from loadtest.fraud.settings import Common, Count, Share
from loadtest.sim.contract import Draft, World

NAME: Final = "customer_service"
TEXTS: Final = (
    "【[某商城|某短视频]客服】您的[直播会员|百万保障]将于今晚自动续费{money}元，取消请进会议 {link} ，会议号{n}",
    "【[某金融|某白条]】检测到您的学生账户未注销，将影响征信，请加客服{chat}办理[销户|清零]",
    "您好，这里是[平台|售后]理赔部，工号{n}，请下载 {link} 并打开共享屏幕，协助您[关闭扣款|撤销代扣]",
    "[某支付|某银行]客服：您的贷款额度须在今日清空，否则按逾期上报，指引见 {link} ，专员{surname}经理{number}",
    "您开通的代理商业务每月扣{money}元，[误操作可取消|客服可为您撤销]，请回拨{number}或联系{chat}",
)


class Settings(Common, frozen=True, kw_only=True):
    """``hooked``: share of answered calls after which somebody is worked on."""

    numbers: Count = 8
    hooked: Share = rate(NAME, "hooked")


def drafts(name: str, settings: Settings, world: World, rng: Generator) -> Iterator[Draft]:
    """All that it does."""
    crew = Crew(name, NAME, settings, world, rng)
    bait = Bait(settings.hooked, crew.rate("long"), TEXTS)
    for at, b in openings(crew, crew.rate("calls")):
        crew.plan(at, cold_call(crew, b, bait))
    yield from crew.run()
