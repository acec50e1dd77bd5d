"""What rule data looks like: the shape of every table in the TOML files."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

Symbol = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]{2,39}$")]
Words = Annotated[str, Meta(min_length=2, max_length=120)]
Version = Annotated[int, Meta(ge=1)]
Proof = Annotated[tuple[str, ...], Meta(min_length=2)]
Weight = Annotated[float, Meta(ge=-200, le=200)]
FraudClass = Literal[
    "phishing", "impersonation_police", "impersonation_service", "impersonation_boss", "loan", "gambling",
    "fake_documents", "escort", "order_brushing", "investment", "refund", "account_rental", "subscription", "notice",
]  # fmt: skip


class Data(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all tables: a key that is not known is a mistake."""


class TextRule(Data, frozen=True):
    """Fires when at least one term of every group of ``all`` is in the normalised text."""

    id: Symbol
    version: Version
    fraud_class: FraudClass = msgspec.field(name="class")
    zh: Words
    en: Words
    source: Words  #: where the pattern and the proofs below come from
    all: Annotated[tuple[Annotated[tuple[str, ...], Meta(min_length=1)], ...], Meta(min_length=1, max_length=8)]
    positives: Proof  #: texts it must match, and ...
    near_misses: Proof  #: ... texts that look alike and that it must not


class BehaviourRule(Data, frozen=True):
    """Fires at ``threshold`` or more of ``measure`` by one caller within the window."""

    id: Symbol
    version: Version
    measure: Literal["attempts", "distinct_callees"]
    threshold: Annotated[int, Meta(ge=2)]
    zh: Words
    en: Words


class SymbolPolicy(Data, frozen=True):
    """What a symbol weighs, with which others it shares a cap, and how far it may climb the ladder."""

    weight: Weight
    group: str
    ceiling: str = "block"


class GroupPolicy(Data, frozen=True):
    """Correlated symbols do not stack beyond ``cap``."""

    cap: Annotated[float, Meta(gt=0)]


class Composite(Data, frozen=True):
    """A sign of its own when all the named symbols (or ``group:NAME``) fired together."""

    id: Symbol
    version: Version
    all: Annotated[tuple[str, ...], Meta(min_length=2)]
    weight: Weight
    group: str
    zh: Words
    en: Words
    ceiling: str = "block"


class PolicyData(Data, frozen=True):
    """``policy.toml``; ``weights.toml`` adds to its symbols."""

    version: Version
    ladder: dict[str, float]
    groups: dict[str, GroupPolicy]
    symbols: dict[str, SymbolPolicy]
    composite: tuple[Composite, ...] = ()
    appeal: str = "申诉 / appeal: 12381, 10086, 10010, 10000"


Rule = TextRule | BehaviourRule | Composite


class RulePack(Struct, frozen=True):
    """All rule data of one version."""

    text: tuple[TextRule, ...]
    behaviour: tuple[BehaviourRule, ...]
    window_seconds: int
    policy: PolicyData
    version: str
    places: dict[str, str]  #: rule id -> ``file:line``, for messages

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Everything that has an id and a version."""
        return (*self.text, *self.behaviour, *self.policy.composite)
