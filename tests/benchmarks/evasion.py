"""How many disguised keywords are found, and how often ordinary messages seem to hold one.

    python -m tests.benchmarks.evasion [--data FOLDER]

The variants are made here from published lexicons (look-alike, sound-alike, "Martian", split characters, meaningless
symbols) and pypinyin, and know nothing of how the detector expands its keywords. Every shipped keyword is disguised in
every way that the lexicons have for it, and put into a carrier sentence. Left out is what nobody would read as the
word: a variant that is a word of jieba's dictionary or that stands in the ham itself (and would be a false alarm
there), and initials of words of less than four characters.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from opencc import OpenCC
from pypinyin import lazy_pinyin

from detectors.keywords import Automaton
from detectors.normalise.text import normalise
from detectors.rulepack import load_rules
from tests.benchmarks.report import Finding, Section, run, table
from tests.benchmarks.sms_data import DATA, is_ham, texts

REQUIRED, EXTRA = 0.95, 0.0005
CARRIERS = ("您好，需要{}请回复我们的客服，谢谢", "本店长期办理 {} 业务", "最新：{}！欢迎咨询")
PER_CHAR = 8  # variants of one character that are tried, by seed
LETTERS = str.maketrans("oilesabg", "01135489")
FULL = str.maketrans({chr(c): chr(c + 0xFEE0) for c in range(0x21, 0x7F)})


class Lexicons:
    """Character -> what it may be written as."""

    def __init__(self, folder: Path) -> None:
        self.look_alike = self._read(folder / "形近字语料库.txt", " ")
        self.sound_alike = self._read(folder / "音近字语料库.txt", " ")
        self.martian = self._read(folder / "简体-火星文词典.txt", None)
        self.symbols = [s for s in (folder / "无意义符号.txt").read_text("utf-8").split() if len(s) == 1]
        rows = (line.split("\t") for line in (folder / "chaizi" / "chaizi-jt.txt").read_text("utf-8").splitlines())
        self.split = {row[0]: ["".join(way.split()) for way in row[1:] if 2 <= len(way.split()) <= 3] for row in rows}
        words = resources.files("jieba").joinpath("dict.txt").read_text("utf-8").splitlines()
        self.ordinary = {line.split(" ", 1)[0] for line in words}

    @staticmethod
    def _read(path: Path, separator: str | None) -> dict[str, list[str]]:
        rows = (line.split(separator, 1) for line in path.read_text("utf-8").splitlines())
        found: dict[str, list[str]] = {}
        for row in rows:
            if len(row) == 2:
                found.setdefault(row[0], []).extend(c for c in row[1].strip() if c != row[0] and not c.isspace())
        return found


def variants(word: str, lex: Lexicons, rng: random.Random) -> Iterator[tuple[str, str]]:
    """``(kind, disguised word)``."""
    sounds = lazy_pinyin(word)
    yield "pinyin", "".join(sounds)
    yield "pinyin, spaced", " ".join(sounds)
    yield "pinyin, capitals, full width", "".join(sounds).upper().translate(FULL)
    if len(word) >= 4:
        yield "initials", "".join(sound[0] for sound in sounds).upper()
    for i in range(len(word)):
        yield "half pinyin", word[:i] + sounds[i] + word[i + 1 :]
    digits = "".join(sounds).translate(LETTERS)
    if digits != "".join(sounds):
        yield "digits for letters", digits
    for kind, lexicon in (
        ("split", lex.split),
        ("look-alike", lex.look_alike),
        ("sound-alike", lex.sound_alike),
        ("Martian", lex.martian),
    ):
        for i, char in enumerate(word):
            found = lexicon.get(char, [])
            for other in rng.sample(found, min(PER_CHAR, len(found))):
                yield kind, word[:i] + other + word[i + 1 :]
    yield "symbols between", rng.choice(lex.symbols).join(word)
    yield "zero-width between", "\u200b".join(word)
    yield "traditional", OpenCC("s2t").convert(word)


def measure(data: Path) -> tuple[dict[str, tuple[int, int, list[str]]], int, int]:
    """(kind -> (tried, found, examples missed), ham messages with an evasion, ham messages)."""
    pack, lex, rng = load_rules(), Lexicons(data / "evasion_lexicons"), random.Random(11)
    automaton = Automaton(pack)
    ham = list(texts(data / "sms", is_ham))
    everyday = "\n".join(ham)
    counts: dict[str, tuple[int, int, list[str]]] = {}
    for keyword in pack.keywords:
        for kind, variant in variants(keyword.word, lex, rng):
            if variant in lex.ordinary or variant in everyday:
                continue
            text = rng.choice(CARRIERS).format(variant)
            folded = normalise(text)
            # What the normaliser undoes is the word itself again.
            hit = normalise(keyword.word) in folded or bool(automaton.match(text, folded).evasions)
            tried, found, missed = counts.get(kind, (0, 0, []))
            counts[kind] = tried + 1, found + hit, missed if hit else [*missed, variant]
    extra = sum(bool(automaton.match(text, normalise(text)).evasions) for text in ham)
    return counts, extra, len(ham)


def section(data: Path) -> Section:
    """Recall by kind of disguise, and extra hits on ham."""
    counts, extra, ham = measure(data)
    rows = (
        (kind, f"{tried:,}", f"{found / tried:.4f}", " ".join(missed[:4]))
        for kind, (tried, found, missed) in counts.items()
    )
    text = (
        "Variants of every shipped keyword from published lexicons of look-alike, sound-alike, Martian and split "
        "characters and from pypinyin, in a carrier sentence; the generator knows nothing of the detector's expansion. "
        "Left out: variants that are words of jieba's dictionary or stand in the ham, and initials of words of less "
        "than four characters.\n\n"
        f"{table(('disguise', '>variants', '>found', 'for example missed'), rows)}\n\n"
        f"Ham: {extra} of {ham:,} messages seem to hold a disguised keyword.\n"
    )
    findings = [
        Finding(
            f"Evasion, {kind}: recall >= {REQUIRED}", f"{found / tried:.4f} of {tried:,}", found >= REQUIRED * tried
        )
        for kind, (tried, found, _) in counts.items()
    ]
    on_ham = Finding(
        f"Evasion: extra hits on ham <= {EXTRA:.2%}", f"{extra / ham:.4%} ({extra} of {ham:,})", extra <= EXTRA * ham
    )
    return Section(text, (*findings, on_ham))


def markdown(data: Path = DATA) -> tuple[str, bool]:
    """The section of the report, and whether the requirements are met."""
    return section(data).markdown()


if __name__ == "__main__":
    run(__doc__, section)
