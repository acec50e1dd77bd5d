"""Order brushing: "earn 300 a day at home by liking and ordering"; the first orders pay, the large ones never do.

On the wire: recruitment by messages in bulk from mobile numbers, most with a messenger account instead of a link, since
the rest happens in a chat. Some reply; a few get a message with a task page and a short call. The most frequent type of
all (about a third of the cases).

Sources: the Ministry of Public Security, five frequent types, 11 May 2022 and ten frequent types, 15 June 2023; rates:
see ``rates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from numpy.random import Generator

from loadtest.fraud.crew import Crew
from loadtest.fraud.scripts import Bait, message, openings
from loadtest.fraud.settings import Common, Count, Share
from loadtest.sim.contract import Draft, World

NAME: Final = "order_brushing"
OPENERS: Final = (
    "[招|诚招|急招][点赞员|兼职|居家文员]，手机操作，一单[5|10|20]元，日结{money}，加{chat}",
    "宝妈学生[可做|优先]：给商家刷销量，[垫付立返|本金佣金秒到账]，名额{n}人，详情 {link}",
    "您好，您的简历已通过，[线上|在家]做单，每天{money}元[保底|起]，[工资日结|多劳多得]，添加{chat}入群",
    "[关注|点赞]主播即可领红包，新人首单返利[三成|50%]，联系接待{surname}姐{number}",
)
TEXTS: Final = (
    "恭喜完成新手单，佣金已到账。下一组是[三连单|福利单]，先存{money}元，返利[20%|三成]，入口 {link}",
    "你操作超时造成[卡单|账户冻结]，须补{money}元才能提现本金，群里{surname}导师已帮你[申请|登记]",
)


class Settings(Common, frozen=True, kw_only=True):
    """``hooked``: share of those who reply that are given orders."""

    numbers: Count = 4
    hooked: Share = 0.2


def drafts(name: str, settings: Settings, world: World, rng: Generator) -> Iterator[Draft]:
    """All that it does."""
    crew = Crew(name, NAME, settings, world, rng)
    bait = Bait(settings.hooked, crew.rate("long"), TEXTS)
    for at, b in openings(crew, crew.rate("messages")):
        crew.plan(at, message(crew, b, OPENERS, bait))
    yield from crew.run()
