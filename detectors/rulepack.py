"""Rule data (TOML) to a validated, immutable pack with a version. Says where a mistake is: ``file: $.path``.

Three files, three owners: ``text.toml`` (what to look for in messages), ``behaviour.toml`` (thresholds per window) and
``policy.toml`` (weights, caps, composites, the ladder). Detection and weighing change separately.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from detectors.model.decision import ACTIONS, Action
from detectors.model.errors import RuleError

FILES = ("text.toml", "behaviour.toml", "policy.toml")

Symbol = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]{2,39}$")]
Words = Annotated[str, Meta(min_length=2, max_length=120)]
Version = Annotated[int, Meta(ge=1)]
Proof = Annotated[tuple[str, ...], Meta(min_length=2)]
FraudClass = Literal[
    "phishing", "impersonation_police", "impersonation_service", "impersonation_boss", "loan", "gambling",
    "fake_documents", "escort", "order_brushing", "investment", "refund", "account_rental", "subscription", "notice",
]  # fmt: skip


class _Data(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class TextRule(_Data, frozen=True):
    """Fires when at least one term of every group of ``all`` is in the normalised text."""

    id: Symbol
    version: Version
    fraud_class: FraudClass = msgspec.field(name="class")
    zh: Words
    en: Words
    all: Annotated[tuple[Annotated[tuple[str, ...], Meta(min_length=1)], ...], Meta(min_length=1, max_length=8)]
    positives: Proof  #: texts it must match, and ...
    near_misses: Proof  #: ... texts that look alike and that it must not


class BehaviourRule(_Data, frozen=True):
    """Fires at ``threshold`` or more of ``measure`` by one caller within the window."""

    id: Symbol
    version: Version
    measure: Literal["attempts", "distinct_callees"]
    threshold: Annotated[int, Meta(ge=2)]
    zh: Words
    en: Words


class SymbolPolicy(_Data, frozen=True):
    """What a symbol weighs, with which others it shares a cap, and how far it may climb the ladder."""

    weight: Annotated[float, Meta(ge=-200, le=200)]
    group: str
    ceiling: str = "block"


class GroupPolicy(_Data, frozen=True):
    """Correlated symbols do not stack beyond ``cap``."""

    cap: Annotated[float, Meta(gt=0)]


class Composite(_Data, frozen=True):
    """A sign of its own when all the named symbols (or ``group:NAME``) fired together."""

    id: Symbol
    all: Annotated[tuple[str, ...], Meta(min_length=2)]
    weight: Annotated[float, Meta(ge=-200, le=200)]
    group: str
    zh: Words
    en: Words
    ceiling: str = "block"


class PolicyData(_Data, frozen=True):
    """policy.toml."""

    version: Version
    ladder: dict[str, float]
    groups: dict[str, GroupPolicy]
    symbols: dict[str, SymbolPolicy]
    composite: tuple[Composite, ...] = ()
    appeal: str = "申诉 / appeal: 12381, 10086, 10010, 10000"


class _TextFile(_Data, frozen=True):
    rule: tuple[TextRule, ...]


class _BehaviourFile(_Data, frozen=True):
    window_seconds: Annotated[int, Meta(ge=10, le=86_400)]
    rule: tuple[BehaviourRule, ...]


class RulePack(Struct, frozen=True):
    """All rule data of one version."""

    text: tuple[TextRule, ...]
    behaviour: tuple[BehaviourRule, ...]
    window_seconds: int
    policy: PolicyData
    version: str


T = TypeVar("T")


def load_rules(files: Mapping[str, bytes] | None = None) -> RulePack:
    """The rule pack in ``files`` (name -> TOML); without an argument, the one shipped with the package.

    Raises:
        RuleError: with file and ``$.path`` of the first mistake.
    """
    if files is None:
        shipped = resources.files("detectors.rules")
        files = {name: shipped.joinpath(name).read_bytes() for name in FILES}
    text = _read(files, "text.toml", _TextFile)
    behaviour = _read(files, "behaviour.toml", _BehaviourFile)
    policy = _read(files, "policy.toml", PolicyData)
    digest = hashlib.sha256(b"\0".join(files[name] for name in FILES)).hexdigest()[:12]
    pack = RulePack(text.rule, behaviour.rule, behaviour.window_seconds, policy, f"{policy.version}-{digest}")
    _check_ids(pack)
    _check_policy(policy)
    return pack


def _read(files: Mapping[str, bytes], name: str, kind: type[T]) -> T:
    try:
        return msgspec.toml.decode(files[name], type=kind)
    except KeyError:
        raise RuleError(f"{name}: missing; a rule pack has {', '.join(FILES)}") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise RuleError(f"{name}: {error}") from None


def _check_ids(pack: RulePack) -> None:
    seen: set[str] = set()
    rules: tuple[TextRule | BehaviourRule | Composite, ...] = (*pack.text, *pack.behaviour, *pack.policy.composite)
    for rule in rules:
        if rule.id in seen:
            raise RuleError(f"$.rule[{rule.id}].id: used twice; give every rule an id of its own")
        seen.add(rule.id)


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
