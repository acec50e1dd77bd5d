"""Mask tokens that a data set's authors put in place of personal data, to synthetic values.

A message that says ``URL`` is not what a phone receives. Each token is replaced by a value from a hash of the row's id
and the token's place, so the same row always gives the same text:

    URL        http://<6 hex>.example/<4 hex>  (RFC 2606)      WECHAT     wx_<6 hex>
    CELLPHONE  1990008dddd                                     QQ         QQ10000<3 digits>
    PHONE      0000-8800dddd                                   HOTLINE    4000000<3 digits>
    DIGIT      1 to 9999                                       BANK       622000 and ten digits
    NAME       a surname and 某                                PLACE      甲市 乙县 ...

APP, VIP, TD and the like are words that people write, and stay.
"""

from __future__ import annotations

import re
from typing import Final

from loadtest.truth import digest

_TOKEN: Final = re.compile(r"CELLPHONE|PHONE|HOTLINE|WECHAT|DIGIT(?!AL)|PLACE|NAME|BANK|URL|QQ")
_SURNAMES: Final = "王李张刘陈杨赵黄周吴"
_PLACES: Final = ("甲市", "乙县", "丙区", "丁镇", "戊路", "己街", "庚村", "辛园")


def unmask(text: str, key: str) -> str:
    """``text`` with its mask tokens replaced; ``key`` is the row's id."""
    place = 0

    def value(found: re.Match[str]) -> str:
        nonlocal place
        place += 1
        return _value(found[0], digest(f"{key}#{place}"))

    return _TOKEN.sub(value, text)


def _value(token: str, h: int) -> str:
    values = {
        "URL": f"http://{h & 0xFFFFFF:06x}.example/{h >> 24 & 0xFFFF:04x}",
        "CELLPHONE": f"1990008{h % 10_000:04d}",
        "PHONE": f"0000-8800{h % 10_000:04d}",
        "HOTLINE": f"4000000{h % 1000:03d}",
        "WECHAT": f"wx_{h & 0xFFFFFF:06x}",
        "QQ": f"QQ10000{h % 1000:03d}",
        "BANK": f"622000{h % 10**10:010d}",
        "DIGIT": f"{1 + h % (10, 100, 1000, 9999)[h >> 32 & 3]}",
        "NAME": f"{_SURNAMES[h % len(_SURNAMES)]}某",
        "PLACE": _PLACES[h % len(_PLACES)],
    }
    return values[token]
