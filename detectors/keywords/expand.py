"""The forms in which a keyword is written to evade a filter, each with its kind. Bounded, and listed by `lanjie rules`.

    贷款    pinyin       daikuan            split        代贝款, 贝代款 ...
            initials     (too short)        look-alike   货款 (a word: excluded) 贷坎 ...
            mixed        dai款, 贷kuan      sound-alike  待款 (across words: excluded) 代款 戴款 ...
            digits       da1kuan            martian      贷窾, 貣款
                                            alias        as the keyword's own entry says

Separators, width, traditional and look-alike letters need no form: the normaliser undoes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final, NamedTuple, get_args

from detectors.keywords.lexicon import Lexicon, lexicon
from detectors.normalise.text import normalise
from detectors.rulepack.keywords import FormKind

KINDS: Final[tuple[FormKind, ...]] = get_args(FormKind)
LATIN: Final = frozenset({"pinyin", "initials", "digits"})  #: count only as words of their own

MAX_FORMS: Final = 400  #: of one kind of one keyword: 130 keywords make 50,000 patterns
SHORTEST_LATIN: Final = 4  #: letters; shorter ones are in English words and codes
SHORTEST_INITIALS: Final = 4
PAIRS: Final = 8  #: most frequent substitutes that are tried in every place of a two-character word at once
#: How often a form may stand in ordinary text, a character, going by the frequencies of words. All forms of all
#: keywords together then seem to be found in one of 2,000 ordinary messages or less (tests/benchmarks/evasion.py).
MAX_CHANCE: Final = 1e-7
MAX_CHANCE_ALL: Final = 5e-9  #: the same where every character is replaced

_LETTERS: Final = {"o": "0", "i": "1", "l": "1", "e": "3", "a": "4", "s": "5", "b": "8", "g": "9", "z": "2"}
_NUMERALS: Final = {ord(c): str(i) for i, c in enumerate("零一二三四五六七八九")}


class Form(NamedTuple):
    """One way to write a keyword, as normalised."""

    kind: FormKind
    pattern: str


class Expansion(NamedTuple):
    """Forms that are looked for, and those that are not, with the reason."""

    forms: tuple[Form, ...]
    excluded: tuple[tuple[Form, str], ...]


def expand(
    word: str, kinds: Iterable[FormKind] = KINDS, aliases: Iterable[str] = (), never: Iterable[str] = ()
) -> Expansion:
    """The evasive forms of ``word`` (ideographs, perhaps with letters).

    Raises:
        RuleError: the packages for it are missing.
    """
    lex, plain = lexicon(), normalise(word)
    taken: set[str] = {plain, *map(normalise, never)}
    forms: list[Form] = []
    excluded: list[tuple[Form, str]] = []
    for kind in KINDS:
        if kind not in kinds and kind != "alias":
            continue
        found = aliases if kind == "alias" else _MAKERS[kind](lex, plain)
        fresh = [Form(kind, form) for each in found if (form := normalise(each)) not in taken]
        taken.update(form.pattern for form in fresh)
        kept, out = _sift(lex, plain, list(dict.fromkeys(fresh)))
        forms += kept
        excluded += out
    return Expansion(tuple(forms), tuple(excluded))


def _sift(lex: Lexicon, word: str, forms: list[Form]) -> tuple[list[Form], list[tuple[Form, str]]]:
    """Which forms are safe to look for: those with fewest changes first, of these the least ordinary ones."""
    kept: list[Form] = []
    excluded: list[tuple[Form, str]] = []
    rated: list[tuple[int, float, Form]] = []
    for form in forms:
        if form.pattern.isascii():
            least = SHORTEST_INITIALS if form.kind == "initials" else SHORTEST_LATIN
            if form.kind != "alias" and len(form.pattern) < least:
                excluded.append((form, f"shorter than {least} letters"))
                continue
            rated.append((0, 0.0, form))
        else:
            han = "".join(c for c in form.pattern if not c.isascii())
            if len(han) < 2 and len(form.pattern) < 3:
                excluded.append((form, "too short"))
                continue
            changes = sum(a != b for a, b in zip(word, han, strict=False)) if len(han) == len(word) else 0
            rated.append((changes, lex.chance(han) if han == form.pattern else 0.0, form))
    for changes, chance, form in sorted(rated, key=lambda each: each[:2]):
        # Of a word with nothing left of it a reader must guess: such forms are many and must be rarer.
        if form.kind != "alias" and chance > (MAX_CHANCE if changes < len(word) else MAX_CHANCE_ALL):
            excluded.append((form, f"ordinary: {chance:.1e} a character"))
        elif len(kept) >= MAX_FORMS:
            excluded.append((form, f"more than {MAX_FORMS} of its kind"))
        else:
            kept.append(form)
    return kept, excluded


def _pinyin(lex: Lexicon, word: str) -> Iterator[str]:
    yield "".join(lex.reading(word))


def _initials(lex: Lexicon, word: str) -> Iterator[str]:
    yield "".join(sound[0] for sound in lex.reading(word))


def _mixed(lex: Lexicon, word: str) -> Iterator[str]:
    """Every choice of ideograph or reading; in longer words also one initial: 加v信."""
    reading = lex.reading(word)
    if len(word) <= 4:
        choices = product(*((char, sound) for char, sound in zip(word, reading, strict=True)))
        yield from ("".join(choice) for choice in choices if any(not part.isascii() for part in choice))
    else:
        yield from (word[:i] + reading[i] + word[i + 1 :] for i in range(len(word)))
        yield from (word[:i] + "".join(reading[i:]) for i in range(1, len(word)))
        yield from ("".join(reading[:i]) + word[i:] for i in range(1, len(word)))
    if len(word) >= 3:
        yield from (word[:i] + reading[i][0] + word[i + 1 :] for i in range(len(word)))


def _split(lex: Lexicon, word: str) -> Iterator[str]:
    """One character in parts, or all of them."""
    ways = [lex.split(c) for c in word]
    for i, found in enumerate(ways):
        yield from (word[:i] + way + word[i + 1 :] for way in found)
    if sum(map(bool, ways)) > 1:
        yield from map("".join, product(*(found[:2] or [c] for c, found in zip(word, ways, strict=True))))


def _substituted(word: str, alike: list[list[str]]) -> Iterator[str]:
    for i, found in enumerate(alike):
        yield from (word[:i] + other + word[i + 1 :] for other in found)
    if len(word) == 2:
        yield from map("".join, product(*(found[:PAIRS] for found in alike)))


def _look_alike(lex: Lexicon, word: str) -> Iterator[str]:
    yield from _substituted(word, [lex.look_alike(c) for c in word])


def _martian(lex: Lexicon, word: str) -> Iterator[str]:
    yield from _substituted(word, [lex.martian(c, r) for c, r in zip(word, lex.reading(word), strict=True)])


def _sound_alike(lex: Lexicon, word: str) -> Iterator[str]:
    yield from _substituted(word, [lex.sound_alike(c, r) for c, r in zip(word, lex.reading(word), strict=True)])


def _digits(lex: Lexicon, word: str) -> Iterator[str]:
    """Letters of the reading as digits: any choice of letters everywhere, or one letter in one place; and numerals."""
    if (numerals := word.translate(_NUMERALS)) != word:
        yield numerals
    text = "".join(lex.reading(word))
    letters = [c for c in _LETTERS if c in text]
    for chosen in product((False, True), repeat=len(letters)):
        yield text.translate({ord(c): _LETTERS[c] for c, yes in zip(letters, chosen, strict=True) if yes})
    yield from (text[:i] + _LETTERS[c] + text[i + 1 :] for i, c in enumerate(text) if c in _LETTERS)


_MAKERS: Final = {
    "pinyin": _pinyin,
    "initials": _initials,
    "mixed": _mixed,
    "split": _split,
    "look_alike": _look_alike,
    "sound_alike": _sound_alike,
    "martian": _martian,
    "digits": _digits,
}
