"""All terms of all rules in one Aho-Corasick automaton, and what a text satisfies.

The automaton is fed UTF-8 bytes as latin-1: over a Chinese ``str`` it slows down with the number of distinct
first characters (8.5 against 2.8 us a message at 2,000 patterns). UTF-8 is self-synchronising, so a match
never begins or ends within a character.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate
from types import MappingProxyType
from typing import Final, NamedTuple, get_args

import ahocorasick

from detectors.keywords.expand import LATIN
from detectors.model.errors import RuleError
from detectors.normalise.extract import Kind, Token, extract
from detectors.normalise.text import OffsetMap, as_bytes, normalise
from detectors.rulepack import RulePack, TextRule
from detectors.rulepack.keywords import Keyword

_STOP = re.compile(r"[，。！？；：、…,!?;:\n]")  # a sentence ends there: no word goes on, disguised or not
_SHORTEST_TERM = 2  # one character (`的`) would match every message
TOKENS: Final[tuple[Kind, ...]] = get_args(Kind)  #: what a term such as ``<url>`` stands for: any link
_TOKEN_TERMS: Final = tuple(f"<{kind}>" for kind in TOKENS)
Span = tuple[int, int]
_Users = tuple[tuple[int, int], ...]  # (rule, bit of its group)
_Disguise = tuple[_Users, int, str]  # of the word itself, keyword, kind
_Value = tuple[int, int, _Users, _Disguise | None]  # of a pattern: bits for `worth`, length in bytes, ...


class Evasion(NamedTuple):
    """A keyword found in a disguised form."""

    keyword: Keyword
    kind: str
    span: Span


class Found(NamedTuple):
    """What a text satisfies."""

    rules: list[tuple[TextRule, Span]]  #: in rule order, each with the span of its first term in the original
    evasions: list[Evasion]


_NOTHING = Found([], [])


class Automaton:
    """Immutable; built once per rule version. Another process can build it: it goes through ``pickle``.

    Attributes:
        pack: the rules that it was built from.
        size: patterns in it.

    Raises:
        RuleError: a term is too short once normalised, or a rule fails its own proof.
    """

    def __init__(self, pack: RulePack) -> None:
        self.pack, self.rules = pack, pack.all_text
        self._full = [(1 << len(rule.all)) - 1 for rule in self.rules]
        self._ones, self._tops = _carries(self.rules)
        users = _users(self.rules, pack.places)
        self._tokens = {kind: users.pop(f"<{kind}>", ()) for kind in TOKENS}
        starts = _starts(self.rules)
        self._token_bits = {kind: _bits(starts, used) for kind, used in self._tokens.items()}
        self._trie = _trie(pack, users, starts)
        self.size = len(self._trie)
        self._prove()

    def match(self, text: str, normalised: str, tokens: Iterable[Token] = ()) -> Found:
        """The rules that ``text`` satisfies, and the disguised keywords in it. ``tokens``: what ``extract`` found."""
        masks, first, disguised = self._scan(text, normalised, tokens)
        full = self._full
        fired = sorted(r for r, mask in masks.items() if mask == full[r]) if masks else ()
        if not fired and not disguised:
            return _NOTHING
        offsets = OffsetMap(text)
        rules = [(self.rules[r], offsets.span(*first[r])) for r in fired]
        evasions = [Evasion(self.pack.keywords[k], kind, offsets.span(*span)) for k, kind, span in disguised]
        return Found(rules, evasions)

    def worth(
        self, haystack: str, ends: Sequence[int], tokens: Mapping[int, Iterable[Token]] = MappingProxyType({})
    ) -> list[int]:
        """Which of several texts can ``match`` anything: most do not, and then this is all they cost.

        Every group of a rule is a bit, the bits of a rule stand together with one above them: a one added at their
        lowest carries into that bit just when all are set. So one addition tells for all rules at once.

        Args:
            haystack: all texts, as ``Texts.haystack`` has them.
            ends: where each text ends in it.
            tokens: what ``extract`` found, by text.
        """
        found: list[int] = []
        if not self.size or not haystack:
            return found
        given = {n: self._bits_of(each) for n, each in tokens.items()}
        ones, tops, bits, end, text = self._ones, self._tops, given.get(0, 0), ends[0], 0
        for last, value in self._trie.iter(haystack):
            if last > end:
                if bits & tops or bits + ones & tops:
                    found.append(text)
                text = bisect_right(ends, last)
                bits, end = given.get(text, 0), ends[text]
            bits |= value[0]
        if bits & tops or bits + ones & tops:
            found.append(text)
        return found

    def _bits_of(self, tokens: Iterable[Token]) -> int:
        bits = 0
        for kind in {token.kind for token in tokens}:
            bits |= self._token_bits.get(kind, 0)
        return bits

    def near(self, text: str, normalised: str, tokens: Iterable[Token] = ()) -> Iterator[tuple[TextRule, int]]:
        """The rules of which only one group of terms is missing, and which."""
        masks, _, _ = self._scan(text, normalised, tokens)
        for r, mask in sorted(masks.items()):
            missing = self._full[r] & ~mask
            if missing.bit_count() == 1:
                yield self.rules[r], missing.bit_length() - 1

    def _scan(
        self, text: str, normalised: str, tokens: Iterable[Token]
    ) -> tuple[dict[int, int], dict[int, Span], list[tuple[int, str, Span]]]:
        haystack = as_bytes(normalised)
        masks: dict[int, int] = {}
        first: dict[int, Span] = {}
        disguises = []
        if self.size and haystack:
            for last, (_, length, users, disguise) in self._trie.iter(haystack):
                for r, bit in users:
                    masks[r] = masks.get(r, 0) | bit
                    if r not in first:
                        first[r] = (last + 1 - length, last + 1)
                if disguise is not None:
                    disguises.append((disguise, (last + 1 - length, last + 1)))
        worn = self._worn(text, disguises, masks, first) if disguises else []
        for kind in {token.kind for token in tokens}:
            for r, bit in self._tokens.get(kind, ()):
                if r in masks:  # a rule has words too, so without any it cannot fire
                    masks[r] |= bit
        return masks, first, worn

    def _worn(
        self,
        text: str,
        disguises: list[tuple[_Disguise, Span]],
        masks: dict[int, int],
        first: dict[int, Span],
    ) -> list[tuple[int, str, Span]]:
        """The disguises that count, which then count as their word in the rules too."""
        offsets, found = OffsetMap(text), []
        for (users, keyword, kind), span in disguises:
            where = offsets.span(*span)
            if _within_a_word(text, where) if kind in LATIN else _STOP.search(text, *where):
                continue
            for r, bit in users:
                masks[r] = masks.get(r, 0) | bit
                first.setdefault(r, span)
            found.append((keyword, kind, span))
        return found

    def _prove(self) -> None:
        """Every rule matches its positives and none of its near misses, through the automaton itself."""
        for rule in self.rules:
            for text in rule.positives:
                if rule not in self._fired(text):
                    raise RuleError(f"{_place(self.pack.places, rule)}.positives: not matched: {text!r}")
            for text in rule.near_misses:
                if rule in self._fired(text):
                    raise RuleError(f"{_place(self.pack.places, rule)}.near_misses: matched: {text!r}")

    def _fired(self, text: str) -> list[TextRule]:
        normalised = normalise(text)
        return [rule for rule, _ in self.match(text, normalised, extract(text, normalised)).rules]


def _trie(pack: RulePack, users: Mapping[str, _Users], starts: Sequence[int]) -> ahocorasick.Automaton:
    disguises: dict[str, _Disguise] = {}
    for k, keyword in enumerate(pack.keywords):
        plain = users.get(as_bytes(normalise(keyword.word)), ())
        for kind, patterns in pack.forms.get(keyword.word, {}).items():
            for pattern in patterns:
                disguises.setdefault(as_bytes(pattern), (plain, k, kind))
    trie = ahocorasick.Automaton()

    @cache  # most patterns share theirs with others: less to hold, and to load where another process builds
    def value(length: int, used: _Users, disguise: _Disguise | None) -> _Value:
        bits = 0 if disguise is None else 1 << starts[-1]
        return bits | _bits(starts, used), length, used, disguise

    for key in sorted(users.keys() | disguises.keys()):
        trie.add_word(key, value(len(key), users.get(key, ()), disguises.get(key)))
    trie.make_automaton()
    return trie


def _bits(starts: Sequence[int], users: _Users) -> int:
    bits = 0
    for r, group in users:
        bits |= group << starts[r]
    return bits


def _starts(rules: Sequence[TextRule]) -> list[int]:
    """The lowest bit of each rule's groups, and after them the bit of all disguises."""
    return [0, *accumulate(len(rule.all) + 1 for rule in rules)]


def _carries(rules: Sequence[TextRule]) -> tuple[int, int]:
    """A one at the lowest bit of each rule, and one above its highest; the bit of the disguises among the latter."""
    starts = _starts(rules)
    ones = sum(1 << start for start in starts[:-1])
    return ones, sum(1 << start - 1 for start in starts[1:]) | 1 << starts[-1]


def _users(rules: Sequence[TextRule], places: Mapping[str, str]) -> dict[str, _Users]:
    """Term as bytes -> the groups of rules that it satisfies."""
    found: dict[str, list[tuple[int, int]]] = {}
    for r, rule in enumerate(rules):
        if all(any(term.startswith("<") for term in group) for group in rule.all):
            raise RuleError(f"{_place(places, rule)}.all: every group has a <...>; expected words alone in one of them")
        for g, group in enumerate(rule.all):
            for term in group:
                if term.startswith("<"):
                    if term not in _TOKEN_TERMS:
                        raise RuleError(
                            f"{_place(places, rule)}.all: {term!r}: expected one of {', '.join(_TOKEN_TERMS)}"
                        )
                    found.setdefault(term, []).append((r, 1 << g))
                    continue
                normalised = normalise(term)
                if len(normalised) < _SHORTEST_TERM:
                    raise RuleError(
                        f"{_place(places, rule)}.all: term {term!r} is {len(normalised)} characters once normalised; "
                        f"expected at least {_SHORTEST_TERM}"
                    )
                found.setdefault(as_bytes(normalised), []).append((r, 1 << g))
    return {key: tuple(dict.fromkeys(users)) for key, users in found.items()}


def _place(places: Mapping[str, str], rule: TextRule) -> str:
    return f"{places.get(rule.id, 'text')}: $.rule[{rule.id}]"


def _within_a_word(text: str, span: Span) -> bool:
    """Whether Latin letters or digits touch the span: ``jiav`` in ``ninjavalley`` is no disguise."""
    around = text[span[0] - 1 : span[0]] + text[span[1] : span[1] + 1]
    return any(char.isascii() and char.isalnum() for char in around)
