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
    "fake_documents", "escort", "order_brushing", "investment", "refund", "account_rental", "subscription",
    "pretext", "notice",
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


Measure = Literal[
    "attempts", "distinct_callees", "unanswered_percent", "short", "short_percent", "silent", "silent_percent",
    "one_ring", "sequential", "ring_seconds", "talk_seconds", "sms", "voice_then_sms", "cell_changes", "region_changes",
    "imei_changes", "new_number", "woken_number",
]  # fmt: skip
Threshold = Annotated[int, Meta(ge=1, le=100_000)]


class BehaviourRule(Data, frozen=True):
    """Fires at ``threshold`` or more of ``measure`` by one caller within the window, if ``also`` is reached too."""

    id: Symbol
    version: Version
    measure: Measure
    threshold: Threshold
    zh: Words
    en: Words
    also: dict[Measure, Threshold] = msgspec.field(default_factory=dict)


CardMeasure = Literal["identity_cards", "identity_channels", "agent_cards", "high_risk_roaming", "woken"]


class CardRule(Data, frozen=True):
    """Fires at ``threshold`` or more of ``measure`` of one SIM card, if ``also`` is reached too."""

    id: Symbol
    version: Version
    measure: CardMeasure
    threshold: Threshold
    zh: Words
    en: Words
    also: dict[CardMeasure, Threshold] = msgspec.field(default_factory=dict)


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


Rule = TextRule | BehaviourRule | CardRule | Composite
