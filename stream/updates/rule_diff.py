"""What tells two rule packs apart: rule by rule, and in what all rules share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

import msgspec

from detectors.rulepack import Composite, RulePack, SymbolPolicy
from detectors.rulepack.lock import digest
from detectors.rulepack.schema import Rule

#: Fields of whole texts: how many came and went is said, not which.
_TEXTS: Final = ("positives", "near_misses")


class RuleChange(NamedTuple):
    """A rule that is not what it was.

    Attributes:
        fields: of a changed one, by name: ``{"from", "to"}``, or of what is a list ``{"added", "removed"}``.
    """

    rule: str
    kind: Literal["new", "changed", "removed"]
    before: int | None  #: version
    after: int | None
    fields: dict[str, dict[str, Any]]

    @property
    def versions(self) -> str:
        """``3 -> 4``, or the only one."""
        return " -> ".join(str(version) for version in (self.before, self.after) if version is not None)

    @property
    def detail(self) -> str:
        """The fields, in one line."""
        return "; ".join(f"{name}: {_told(name, field)}" for name, field in self.fields.items())


class PolicyChange(NamedTuple):
    """Something that takes effect for all rules, or for a built-in sign, at once. None: it was not, or is no more."""

    where: str  #: file and ``$.path``
    before: Any
    after: Any

    def __str__(self) -> str:
        if self.before is None or self.after is None:
            return f"{self.where}: {'new' if self.before is None else 'gone'}"
        if isinstance(self.after, dict):
            steps = [_step(name, self.before.get(name), value) for name, value in self.after.items()]
            return f"{self.where}: {', '.join(filter(None, steps)) or 'less'}"
        return f"{self.where}: {_shown(self.before)} -> {_shown(self.after)}"


def symbol_of(pack: RulePack, rule: Rule) -> SymbolPolicy | None:
    """Weight, group and ceiling of a rule; a composite carries its own."""
    return None if isinstance(rule, Composite) else pack.policy.symbols.get(rule.id)


def rule_changes(old: RulePack, new: RulePack) -> list[RuleChange]:
    """New and changed rules in the order of the new pack, then those that are gone.

    A rule whose version alone was raised counts as changed: a stage belongs to a version.
    """
    known = {rule.id: rule for rule in old.rules}
    found = []
    for rule in new.rules:
        was = known.pop(rule.id, None)
        if was is None:
            found.append(RuleChange(rule.id, "new", None, rule.version, {}))
        elif _mark(old, was) != _mark(new, rule):
            fields = dict(_fields(_flat(old, was), _flat(new, rule)))
            found.append(RuleChange(rule.id, "changed", was.version, rule.version, fields))
    return found + [RuleChange(rule.id, "removed", rule.version, None, {}) for rule in known.values()]


def policy_changes(old: RulePack, new: RulePack) -> list[PolicyChange]:
    """All that is not part of a rule: ladder, caps of groups, weights of built-in signs, keywords, responses, windows.

    A group that is new says nothing by itself, only with the rules that are in it.
    """
    rules = {rule.id for pack in (old, new) for rule in pack.rules}
    before, after = dict(_shared(old, rules)), dict(_shared(new, rules))
    return [
        PolicyChange(where, before.get(where), after.get(where))
        for where in dict.fromkeys((*before, *after))
        if before.get(where) != after.get(where) and not (_of_a_group(where) and where not in before)
    ]


def _mark(pack: RulePack, rule: Rule) -> tuple[int, str, SymbolPolicy | None]:
    return rule.version, digest(rule), symbol_of(pack, rule)


def _flat(pack: RulePack, rule: Rule) -> dict[str, Any]:
    symbol = symbol_of(pack, rule)
    whole = msgspec.to_builtins(rule) | (msgspec.to_builtins(symbol) if symbol else {})
    return {name: value for name, value in whole.items() if name not in ("id", "version")}


def _fields(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        had, has = _leaves(before), _leaves(after)
        added, removed = [x for x in has if x not in had], [x for x in had if x not in has]
        listed = isinstance(before, list | tuple) and (added or removed)
        yield name, {"added": added, "removed": removed} if listed else {"from": before, "to": after}


def _leaves(value: Any) -> list[Any]:
    """Terms, whichever group of them they are in."""
    return [leaf for each in value for leaf in _leaves(each)] if isinstance(value, list | tuple) else [value]


def _told(name: str, field: dict[str, Any]) -> str:
    if "added" not in field:
        return f"{_shown(field['from'])} -> {_shown(field['to'])}"
    added, removed = field["added"], field["removed"]
    if name in _TEXTS:
        return f"{len(added)} added, {len(removed)} removed"
    return " ".join([*(f"+{term}" for term in added), *(f"-{term}" for term in removed)])


def _step(name: str, before: Any, after: Any) -> str:
    if before == after:
        return ""
    whole = isinstance(after, dict | list | tuple)
    return f"another {name}" if whole else f"{name} {_shown(before)} -> {_shown(after)}"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _of_a_group(where: str) -> bool:
    return where.startswith("policy.toml: $.groups.")


def _shared(pack: RulePack, rules: set[str]) -> Iterator[tuple[str, Any]]:
    """Place and value. ``rules`` have weights of their own, which are part of them."""
    policy = pack.policy
    yield "behaviour.toml: $.window_seconds", pack.window_seconds
    yield "cards.toml: $.high_risk_networks", pack.high_risk_networks
    for step, score in policy.ladder.items():
        yield f"policy.toml: $.ladder.{step}", score
    for name, group in policy.groups.items():
        yield f"policy.toml: $.groups.{name}.cap", group.cap
    for code, symbol in policy.symbols.items():
        if code not in rules:
            yield f"policy.toml: $.symbols.{code}", msgspec.to_builtins(symbol)
    yield "policy.toml: $.appeal", policy.appeal
    for keyword in pack.keywords:
        yield f"keywords.toml: $.keyword[{keyword.word}]", msgspec.to_builtins(keyword)
    for word, forms in pack.forms.items():
        yield f"forms.json: $.{word}", msgspec.to_builtins(forms)
    for market, profile in pack.responses.items():
        yield f"responses.toml: $.{market}", msgspec.to_builtins(profile)
