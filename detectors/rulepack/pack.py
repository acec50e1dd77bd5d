"""All rule data of one version."""

from __future__ import annotations

from msgspec import Struct, field

from detectors.rulepack.keywords import Forms, Keyword
from detectors.rulepack.responses import Profile
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
    responses: dict[str, Profile] = field(default_factory=dict)  #: by market

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Everything that has an id and a version."""
        return (*self.text, *self.behaviour, *self.policy.composite)
