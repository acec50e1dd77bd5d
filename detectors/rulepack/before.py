"""Predecessors: where a changed rule is on trial and does not act, the definition that it replaces does.

``before.json`` is written by `lanjie rules publish`, never by hand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from detectors.model.decision import ACTIONS
from detectors.model.errors import RuleError
from detectors.rulepack.schema import BehaviourRule, CardRule, Composite, Data, Rule, SymbolPolicy, TextRule

BEFORE = "before.json"
Kind = Literal["text", "behaviour", "card", "composite"]
_KINDS: dict[Kind, type[TextRule] | type[BehaviourRule] | type[CardRule] | type[Composite]] = {
    "text": TextRule,
    "behaviour": BehaviourRule,
    "card": CardRule,
    "composite": Composite,
}


def kind_of(rule: Rule) -> Kind:
    """What ``before.json`` calls it."""
    return next(kind for kind, shape in _KINDS.items() if isinstance(rule, shape))


class Predecessor(Data, frozen=True):
    """A rule as it was, and what it weighed (a composite brings its own weight)."""

    kind: Kind
    rule: Rule
    symbol: SymbolPolicy | None = None


class _Row(Data, frozen=True):
    kind: Kind
    rule: msgspec.Raw
    symbol: SymbolPolicy | None = None


def read_before(data: bytes) -> tuple[Predecessor, ...]:
    """``before.json``.

    Raises:
        RuleError: it cannot be used.
    """
    try:
        rows = msgspec.json.decode(data, type=Annotated[tuple[_Row, ...], Meta(max_length=10_000)])
        rules = [msgspec.json.decode(row.rule, type=_KINDS[row.kind]) for row in rows]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RuleError(f"{BEFORE}: {error}; it is written by `lanjie rules publish`, not by hand") from None
    found = tuple(Predecessor(row.kind, rule, row.symbol) for row, rule in zip(rows, rules, strict=True))
    for i, each in enumerate(found):
        if (each.symbol is None) != isinstance(each.rule, Composite):
            raise RuleError(f"{BEFORE}: $[{i}].symbol: expected one, but none for a composite")
    return found


def write_before(predecessors: Iterable[Predecessor]) -> bytes:
    """The same."""
    return msgspec.json.encode(list(predecessors))


def check_before(predecessors: Iterable[Predecessor], rules: Mapping[str, Rule], groups: Collection[str]) -> None:
    """Each is an older version of a rule of the pack, counts in one of its groups and climbs its ladder.

    Raises:
        RuleError: one is not.
    """
    seen: set[str] = set()
    for i, each in enumerate(predecessors):
        rule = each.rule
        now = rules.get(rule.id)
        if now is None or type(now) is not type(rule):
            raise RuleError(f"{BEFORE}: $[{i}].rule.id: {rule.id} is no such rule of this pack")
        if rule.version >= now.version or rule.id in seen:
            raise RuleError(f"{BEFORE}: $[{i}].rule.version: {rule.version}; expected one rule, below {now.version}")
        at, weighed = ("rule", rule) if isinstance(rule, Composite) else ("symbol", each.symbol)
        if weighed is None or weighed.group not in groups:
            group = weighed and weighed.group
            raise RuleError(f"{BEFORE}: $[{i}].{at}.group: {group!r} is no group of policy.toml any more")
        if weighed.ceiling not in ACTIONS:
            raise RuleError(f"{BEFORE}: $[{i}].{at}.ceiling: {weighed.ceiling!r} is no step of the ladder")
        seen.add(rule.id)
