"""Fake base station: a transmitter in a car that makes phones nearby fall back to GSM and sends them what it likes.

The sender can be any number, mostly the short number of a bank or operator. Such messages never pass the operator's
SMS centre: the events here stand for what phones and security software report, so they carry the cell nearby and no
handset. On the wire: thousands of messages an hour, all within one cell for the minutes that the car stands there,
then in the next; a few people then call the genuine short number to ask.

Sources: "Lies in the Air: Characterizing Fake-base-station Spam Ecosystem in China", CCS 2020; "FBS-Radar", NDSS 2017;
volume: police of Zhenhai, 2014 (``rates.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from numpy.random import Generator

from loadtest.fraud.adapt import Line
from loadtest.fraud.crew import Act, Crew
from loadtest.fraud.scripts import MINUTE_MS, minutes
from loadtest.fraud.settings import Common, Count, Minutes
from loadtest.fraud.texts import pick
from loadtest.sim.contract import Card, Draft, World

NAME: Final = "fake_base_station"
#: Published short numbers of operators and banks, as the car pretends them.
SENDERS: Final = ("10086", "10010", "10000", "95588", "95533", "95599", "95566", "95555")
TEXTS: Final = (
    "【[某行|某银行]】您的[网银|手机银行]将于今日[失效|停用]，请登录 {link} [升级|验证]，逾期账户冻结",
    "尊敬的用户：您的积分{n}可兑换现金{money}元，[即将清零|今日到期]，点 {link} 兑换",
    "您的[电子密码器|U盾|医保卡]已过期，请打开 {link} 重新[认证|激活]，[客服|咨询]请致本号码",
    "【[某信用卡中心|某行]】您的额度可提升至{money}元，申请 {link} ，验证码勿告知他人",
    "【ETC】您的卡签已禁用，请在 {link} 更新资料，以免影响通行",
)


class Settings(Common, frozen=True, kw_only=True):
    """``numbers``: senders that the one car pretends. ``minutes``: of its tour. ``stop_minutes``: at one place."""

    numbers: Count = 4
    minutes: Minutes = 120.0
    stop_minutes: Minutes = 10.0


def drafts(name: str, settings: Settings, world: World, rng: Generator) -> Iterator[Draft]:
    """All that it does."""

    def senders(count: int) -> list[Card]:
        return [Card(pick(SENDERS, rng)) for _ in range(count)]

    crew = Crew(name, NAME, settings, world, rng, cards=senders, minutes=settings.minutes)
    for first, last in _stops(crew.start, crew.end, int(settings.stop_minutes * MINUTE_MS)):
        cell = crew.token()
        count = int(rng.poisson(crew.rate("messages") * settings.intensity * (last - first) / (60 * MINUTE_MS)))
        for at, b in zip(sorted(rng.integers(first, last, count).tolist()), crew.victims(count), strict=True):
            crew.plan(at, _broadcast(crew, b, cell))
    yield from crew.run()


def _stops(start: int, end: int, stop: int) -> Iterator[tuple[int, int]]:
    for first in range(start, end, stop):
        yield first, min(end, first + stop)


def _broadcast(crew: Crew, b: str, cell: str) -> Act:
    def act(at: int, line: Line) -> Iterator[Draft]:
        yield from crew.text(at, line, b, TEXTS, port=True, cell=cell)
        if crew.luck(crew.rate("asked")):
            yield from crew.calls_back(at + minutes(crew, 20), b, line.card.number, 90)

    return act
