"""All rule data of one version."""

from __future__ import annotations

from msgspec import Struct

from detectors.rulepack.keywords import Forms, Keyword
from detectors.rulepack.schema import BehaviourRule, PolicyData, Rule, TextRule


class RulePack(Struct, frozen=True):
    """What a loader makes of the files: checked, immutable."""

    text: tuple[TextRule, ...]
    behaviour: tuple[BehaviourRule, ...]
    window_seconds: int
    policy: PolicyData
    keywords: tuple[Keyword, ...]
    forms: Forms
    version: str
    places: dict[str, str]  #: rule id -> ``file:line``, for messages

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Everything that has an id and a version."""
        return (*self.text, *self.behaviour, *self.policy.composite)
