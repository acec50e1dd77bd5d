"""TOML files to a validated rule pack. What is wrong is told with ``file:line`` and ``$.path``.

text/*.toml       what to look for in messages, one file a fraud class
behaviour.toml    thresholds per window of event time
cards.toml        risk signs of SIM cards (may be missing)
policy.toml       groups and caps, ladder, composites, weights of the built-in symbols
weights.toml      weights of the text rules
responses.toml    what a gateway answers, by market (may be missing)
before.json       predecessors of changed rules on trial (may be missing)
keywords.toml     words that senders disguise; forms.json: how (written by `lanjie rules expand --write`)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from detectors.model.decision import ACTIONS, Action
from detectors.model.errors import RuleError
from detectors.rulepack import place, responses
from detectors.rulepack.before import BEFORE, check_before, read_before
from detectors.rulepack.keywords import FORMS, KEYWORDS, KeywordFile, read_forms
from detectors.rulepack.pack import RulePack
from detectors.rulepack.responses import RESPONSES, Profile, Tables
from detectors.rulepack.schema import (
    BehaviourRule,
    CardRule,
    Composite,
    Data,
    PolicyData,
    SymbolPolicy,
    TextRule,
)

TEXT = "text/"
CARDS = "cards.toml"
REQUIRED = ("behaviour.toml", "policy.toml", "weights.toml")


class _TextFile(Data, frozen=True):
    rule: tuple[TextRule, ...]


class _BehaviourFile(Data, frozen=True):
    window_seconds: Annotated[int, Meta(ge=10, le=86_400)]
    rule: tuple[BehaviourRule, ...]


class _CardsFile(Data, frozen=True):
    high_risk_networks: tuple[Annotated[str, Meta(pattern=r"^[0-9]{3,6}\Z")], ...] = ()
    rule: tuple[CardRule, ...] = ()


class _WeightsFile(Data, frozen=True):
    symbols: dict[str, SymbolPolicy]


T = TypeVar("T")


def load_rules(files: Mapping[str, bytes] | None = None) -> RulePack:
    """The rule pack in ``files`` (name -> TOML); without an argument, the one shipped with the package.

    Raises:
        RuleError: with ``file:line`` and ``$.path`` of the first mistake.
    """
    files = dict(_shipped(resources.files("detectors.rules"))) if files is None else files
    text_files = sorted(name for name in files if name.startswith(TEXT))
    if missing := [name for name in REQUIRED if name not in files] or [TEXT + "*.toml"] * (not text_files):
        raise RuleError(f"{missing[0]}: missing; a rule pack has {TEXT}*.toml, {', '.join(REQUIRED)}")
    text = [rule for name in text_files for rule in read_table(files, name, _TextFile).rule]
    behaviour = read_table(files, "behaviour.toml", _BehaviourFile)
    cards = read_table(files, CARDS, _CardsFile) if CARDS in files else _CardsFile()
    policy = read_table(files, "policy.toml", PolicyData)
    weights = read_table(files, "weights.toml", _WeightsFile).symbols
    keywords = read_table(files, KEYWORDS, KeywordFile).keyword if KEYWORDS in files else ()
    forms = read_forms(files[FORMS]) if FORMS in files else {}
    if twice := policy.symbols.keys() & weights.keys():
        raise RuleError(f"weights.toml: $.symbols.{min(twice)}: has a weight in policy.toml too; keep one")
    policy = msgspec.structs.replace(policy, symbols=policy.symbols | weights)
    pack = RulePack(
        text=tuple(text),
        behaviour=behaviour.rule,
        window_seconds=behaviour.window_seconds,
        policy=policy,
        keywords=keywords,
        forms=forms,
        responses=_responses(files),
        cards=cards.rule,
        high_risk_networks=cards.high_risk_networks,
        before=read_before(files[BEFORE]) if BEFORE in files else (),
        version=f"{policy.version}-{_digest(files)}",
        places={
            i: at for name in files if name.endswith(".toml") for i, at in place.ids(name, _utf8(files, name)).items()
        },
    )
    _check_ids(pack)
    _check_cards(pack)
    check_before(pack.before, {rule.id: rule for rule in pack.rules}, policy.groups)
    _check_policy(policy)
    _check_forms(pack)
    return pack


def _shipped(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _shipped(item, f"{prefix}{item.name}/")
        elif item.name.endswith((".toml", ".json")):
            yield prefix + item.name, item.read_bytes()


def _digest(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(b"%s\0%d\0%s" % (name.encode(), len(files[name]), files[name]))
    return digest.hexdigest()[:12]


def _utf8(files: Mapping[str, bytes], name: str) -> str:
    return files[name].decode("utf-8", "replace")


def read_table(files: Mapping[str, bytes], name: str, kind: type[T]) -> T:
    """One file of a pack, checked against its shape.

    Raises:
        RuleError: with ``file:line`` and ``$.path``.
    """
    try:
        return msgspec.toml.decode(files[name], type=kind)
    except (msgspec.MsgspecError, ValueError) as error:
        raise RuleError(f"{place.of_error(name, _utf8(files, name), str(error))}: {error}") from None


def _responses(files: Mapping[str, bytes]) -> dict[str, Profile]:
    if RESPONSES not in files:
        return {}
    return responses.profiles_of(read_table(files, RESPONSES, Tables), _utf8(files, RESPONSES))


def _check_ids(pack: RulePack) -> None:
    seen: set[str] = set()
    for rule in pack.rules:
        if rule.id in seen:
            raise RuleError(
                f"{pack.places[rule.id]}: $.rule[{rule.id}].id: used twice; every rule has an id of its own"
            )
        seen.add(rule.id)


def _check_forms(pack: RulePack) -> None:
    words = [keyword.word for keyword in pack.keywords]
    if different := sorted({*words} ^ pack.forms.keys()):
        raise RuleError(
            f"{FORMS}: {different[0]!r} is not in both it and {KEYWORDS}; run `lanjie rules expand --write`"
        )


def _check_cards(pack: RulePack) -> None:
    for rule in pack.cards:
        if rule.measure in rule.also:
            at = f"{pack.places[rule.id]}: $.rule[{rule.id}].also"
            raise RuleError(f"{at}: {rule.measure} has its threshold already; expected other measures")


def _check_policy(policy: PolicyData) -> None:
    steps = [action.wire for action in Action if action is not Action.ALLOW]
    if sorted(policy.ladder) != sorted(steps):
        raise RuleError(f"policy.toml: $.ladder: expected exactly the steps {', '.join(steps)}")
    scores = [policy.ladder[step] for step in steps]
    if scores != sorted(scores) or scores[0] <= 0:
        raise RuleError("policy.toml: $.ladder: scores must rise from label to block and be above 0")
    weighed: dict[str, SymbolPolicy | Composite] = {**policy.symbols, **{c.id: c for c in policy.composite}}
    for name, symbol in weighed.items():
        if symbol.group not in policy.groups:
            raise RuleError(f"policy.toml: $.symbols.{name}.group: {symbol.group!r} has no cap under [groups]")
        if symbol.ceiling not in ACTIONS:
            raise RuleError(f"policy.toml: $.symbols.{name}.ceiling: {symbol.ceiling!r} is no step of the ladder")
    for composite in policy.composite:
        for part in composite.all:
            known = policy.groups if part.startswith("group:") else policy.symbols
            if part.removeprefix("group:") not in known:
                raise RuleError(f"policy.toml: $.composite[{composite.id}].all: {part!r} is neither symbol nor group")
