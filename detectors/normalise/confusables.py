"""Characters that look like a letter, a digit or an ideograph and are none: what they show, by Unicode's own data.

Unicode TR39 (UTS #39, 4) gives every character a prototype that looks like it. We follow it only where a character is
neither ASCII nor an ideograph: the full skeleton also makes 1 an l, 0 an O and m an rn, which would destroy numbers and
words. Kana become the ideograph that they look like (``エ`` 工, ``ロ`` 口): Chinese readers are meant to see just that.
Enclosed and squared letters, which TR39 leaves out, are read from their Unicode names.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from importlib import resources
from typing import Final

_ENCLOSED: Final = re.compile(
    r"(?:NEGATIVE (?:CIRCLED|SQUARED)|REGIONAL INDICATOR SYMBOL|(?:CROSSED )?NEGATIVE SQUARED|TAG) "
    r"(?:LATIN (?:CAPITAL|SMALL) )?LETTER ([A-Z])"
)


def shown(char: str) -> str:
    """The ASCII letter, digit or ideograph that ``char`` (one character) shows; itself if it is none of that kind."""
    if char.isascii() or is_ideograph(char):
        return char
    if (digit := unicodedata.digit(char, None)) is not None:
        return str(digit)
    if enclosed := _ENCLOSED.fullmatch(unicodedata.name(char, "")):
        return enclosed[1]
    return _prototypes().get(char, char)


def is_ideograph(char: str) -> bool:
    """Whether it is a CJK unified ideograph (Unicode 15.0, 18.1); radicals and compatibility forms are not."""
    return unicodedata.name(char, "").startswith("CJK UNIFIED IDEOGRAPH") or char == "〇"


@cache
def _prototypes() -> dict[str, str]:
    """Of PyPI `confusable-homoglyphs`, which ships TR39's confusables.txt as pairs; the direction is ours to choose."""
    data = resources.files("confusable_homoglyphs").joinpath("confusables.json").read_text("utf-8")
    found: dict[str, str] = {}
    for char, alike in json.loads(data).items():
        if len(char) != 1 or char.isascii():
            continue
        targets = [pair["c"] for pair in alike if len(pair["c"]) == 1]
        letters = [target for target in targets if target.isascii() and target.isalnum()]
        if target := next(iter(letters + [target for target in targets if is_ideograph(target)]), ""):
            # The prototype of I is l; who writes a capital means I.
            found[char] = "I" if target == "l" and unicodedata.category(char) == "Lu" else target
    return found
