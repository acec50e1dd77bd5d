"""Other ways to write what a filter looks for: a small table of our own, and the way back.

The forms are those that public reports of spam name: a character of the same sound, one that looks alike, one taken
apart, pinyin or its initials, full-width digits and letters, characters of no width, symbols in between. The table is
made here and knows nothing of the detectors' tables; it is smaller than what a gang uses.
"""

from __future__ import annotations

import re
from typing import Final

from numpy.random import Generator

#: character or word -> other ways to write it. No two share one, and no template contains one (tests).
FORMS: Final[dict[str, tuple[str, ...]]] = {
    # the same sound
    "账": ("帐", "zhang"), "户": ("护",), "贷": ("袋", "d@i"), "款": ("kuan",), "信": ("芯",), "返": ("反",),
    "佣": ("拥",), "赌": ("堵",), "博": ("搏",), "彩": ("采",), "租": ("zu",), "卡": ("咔", "ka"), "银": ("吟", "yin"),
    "转": ("zhuan",), "警": ("jing",), "涉": ("she",), "赔": ("陪",), "押": ("鸭",),
    # initials
    "验证码": ("yzm",), "银行卡": ("yhk",), "信用卡": ("xyk",), "贷款": ("dk",), "转账": ("zz",), "彩金": ("cj",),
    # looks alike
    "微": ("徽",), "钱": ("銭",), "利": ("俐",), "息": ("熄",), "证": ("症",), "码": ("玛",), "号": ("Ꮾ",),
    "零": ("〇",), "日": ("曰",), "未": ("末",),
    # taken apart
    "额": ("客页",), "加": ("力口",), "存": ("才子",), "投": ("扌殳",), "注": ("氵主",), "验": ("马佥",),
    "刷": ("尸巾刂",), "借": ("亻昔",), "提": ("扌是",), "现": ("王见",), "群": ("君羊",), "销": ("钅肖",),
    "理": ("王里",),
}  # fmt: skip
#: Between two characters: of no width (space, non-joiner, word joiner, soft hyphen), or ornaments.
BETWEEN: Final = ("\u200b", "\u200c", "\u2060", "\u00ad", "丶", "✦", "·", "*")
_WIDE: Final = {chr(c): chr(c + 0xFEE0) for c in range(0x21, 0x7F) if chr(c).isalnum()}
_BACK: Final = {form: plain for plain, forms in FORMS.items() for form in forms} | {w: p for p, w in _WIDE.items()}
_BACK_RE: Final = re.compile("|".join(map(re.escape, sorted(_BACK, key=len, reverse=True))))
_BETWEEN_RE: Final = re.compile(f"[{re.escape(''.join(BETWEEN))}]")
_LINK: Final = re.compile(r"(https?://[!-~]+)")
_UNIT: Final = re.compile("|".join([*sorted(FORMS, key=len, reverse=True), "[0-9A-Za-z]"]))
_ANY: Final = re.compile(r"\w")


def rewrite(text: str, rng: Generator, share: float) -> str:
    """The text with ``share`` of what can be written otherwise so written, and at least one thing; links still work.

    Where the table knows nothing of it, something goes between its characters.
    """
    parts = _LINK.split(text)  # every second one is a link
    unit = _UNIT if any(map(_UNIT.search, parts[::2])) else _ANY
    count = sum(len(unit.findall(part)) for part in parts[::2])
    if not count:
        return text
    drawn = rng.random(count) < share
    drawn[rng.integers(count)] = True
    chosen = iter(drawn)
    parts[::2] = [unit.sub(lambda u: _otherwise(u[0], rng) if next(chosen) else u[0], part) for part in parts[::2]]
    return "".join(parts)


def plain(text: str) -> str:
    """The way back; links are left alone."""
    parts = _LINK.split(text)
    parts[::2] = [_BACK_RE.sub(lambda form: _BACK[form[0]], _BETWEEN_RE.sub("", part)) for part in parts[::2]]
    return "".join(parts)


def _otherwise(unit: str, rng: Generator) -> str:
    wide = (_WIDE[unit],) if unit in _WIDE else ()
    ways: list[str] = [*FORMS.get(unit, ()), *wide, unit + BETWEEN[int(rng.integers(len(BETWEEN)))]]
    return ways[int(rng.integers(len(ways)))]
