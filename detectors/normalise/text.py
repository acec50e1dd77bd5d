"""Message text to the form in which it is matched, with offsets back to the original.

One table, character by character: NFKC, look-alike letters (TR39), case folding, traditional to simplified Chinese
(OpenCC), and everything that is not a letter, a digit or an ideograph removed. So ``贷　款``, ``貸*款`` and
``贷\\u200b款`` all read ``贷款``; ``ＶＩＰ``, ``🆅🅸🅿`` and Cyrillic ``ѴІР`` all read ``vip``. Look-alikes come before
case: Greek and Cyrillic capitals look like Latin ones, their small letters mostly do not. The table fills itself on
first sight of a character: nothing at start, one dict look-up after.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from itertools import accumulate

from opencc import OpenCC

from detectors.normalise.confusables import shown

_to_simplified = OpenCC("t2s").convert
_KEPT = frozenset(("Lu", "Ll", "Lt", "Lm", "Lo", "Nd", "Nl", "No"))


def _fold(char: str) -> str:
    """What one character becomes; applied until nothing changes, so that normalising is idempotent."""
    text = char
    for _ in range(4):
        composed = unicodedata.normalize("NFKC", text)
        folded = _to_simplified("".join(map(shown, composed)).casefold())
        folded = "".join(c for c in folded if unicodedata.category(c) in _KEPT)
        if folded == text:
            break
        text = folded
    return text


class _Table(dict[int, str]):
    def __missing__(self, codepoint: int) -> str:
        folded = self[codepoint] = "" if 0xD800 <= codepoint < 0xE000 else _fold(chr(codepoint))  # no lone surrogates
        return folded


_TABLE = _Table()


def normalise(text: str) -> str:
    """The matching form of ``text``.

    >>> normalise("免費 領 ＶＩＰ！")
    '免费领vip'
    """
    return text.translate(_TABLE)


def fold(codepoint: int) -> str:
    """What one character becomes: none, one, or several."""
    return _TABLE[codepoint]


def as_bytes(normalised: str) -> str:
    """UTF-8 bytes as a latin-1 string: what the automaton is fed, three times faster than the text itself."""
    return normalised.encode("utf-8", "surrogatepass").decode("latin-1")


class OffsetMap:
    """Maps byte ranges of the matching form back to characters of the original text."""

    def __init__(self, text: str) -> None:
        widths = (len(_TABLE[ord(char)].encode("utf-8", "surrogatepass")) for char in text)
        self._ends = list(accumulate(widths))

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Characters ``[s, e)`` of the original that hold bytes ``[start, end)`` of the matching form."""
        return bisect_right(self._ends, start), bisect_right(self._ends, end - 1) + 1
