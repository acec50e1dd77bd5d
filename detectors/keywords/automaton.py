"""All terms of all rules in one Aho-Corasick automaton, and the rules that a text satisfies.

The automaton is fed UTF-8 bytes as latin-1: over a Chinese ``str`` it slows down with the number of distinct
first characters (8.5 against 2.8 us a message at 2,000 patterns). UTF-8 is self-synchronising, so a match
never begins or ends within a character.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ahocorasick

from detectors.model.errors import RuleError
from detectors.normalise.text import OffsetMap, as_bytes, normalise
from detectors.rulepack import TextRule

_SHORTEST_TERM = 2  # one character (`的`) would match every message


class Automaton:
    """Immutable; built once per rule version.

    Raises:
        RuleError: a term is too short once normalised, or a rule fails its own proof.
    """

    def __init__(self, rules: Sequence[TextRule], places: Mapping[str, str] | None = None) -> None:
        self.rules = tuple(rules)
        self._places = places or {}
        self._full = [(1 << len(rule.all)) - 1 for rule in rules]
        terms: dict[str, list[tuple[int, int]]] = {}
        for r, rule in enumerate(rules):
            for g, group in enumerate(rule.all):
                for term in group:
                    terms.setdefault(self._key(rule, term), []).append((r, 1 << g))
        self._trie = ahocorasick.Automaton()
        for key, users in terms.items():
            self._trie.add_word(key, (len(key), tuple(users)))
        self._trie.make_automaton()
        self.size = len(terms)
        self._prove()

    def match(self, text: str, normalised: str) -> list[tuple[TextRule, tuple[int, int]]]:
        """The rules that ``text`` satisfies, in rule order, each with the span of its first term in the original."""
        haystack = as_bytes(normalised)
        if not self.size or not haystack:
            return []
        masks: dict[int, int] = {}
        first: dict[int, tuple[int, int]] = {}
        for last, (length, users) in self._trie.iter(haystack):
            for r, bit in users:
                masks[r] = masks.get(r, 0) | bit
                if r not in first:
                    first[r] = (last + 1 - length, last + 1)
        full = self._full
        fired = sorted(r for r, mask in masks.items() if mask == full[r])
        if not fired:
            return []
        offsets = OffsetMap(text)
        return [(self.rules[r], offsets.span(*first[r])) for r in fired]

    def _key(self, rule: TextRule, term: str) -> str:
        normalised = normalise(term)
        if len(normalised) < _SHORTEST_TERM:
            raise RuleError(
                f"{self._place(rule)}.all: term {term!r} is {len(normalised)} characters once normalised; "
                f"expected at least {_SHORTEST_TERM}"
            )
        return as_bytes(normalised)

    def _prove(self) -> None:
        """Every rule matches its positives and none of its near misses, through the automaton itself."""
        for rule in self.rules:
            for text in rule.positives:
                if rule not in self._fired(text):
                    raise RuleError(f"{self._place(rule)}.positives: not matched: {text!r}")
            for text in rule.near_misses:
                if rule in self._fired(text):
                    raise RuleError(f"{self._place(rule)}.near_misses: matched: {text!r}")

    def _fired(self, text: str) -> list[TextRule]:
        return [rule for rule, _ in self.match(text, normalise(text))]

    def _place(self, rule: TextRule) -> str:
        return f"{self._places.get(rule.id, 'text')}: $.rule[{rule.id}]"
