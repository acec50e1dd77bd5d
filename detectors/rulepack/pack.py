"""All rule data of one version."""

from __future__ import annotations

from msgspec import Struct, field

from detectors.rulepack.before import Predecessor
from detectors.rulepack.keywords import Forms, Keyword
from detectors.rulepack.responses import Profile
from detectors.rulepack.schema import BehaviourRule, CardRule, PolicyData, Rule, TextRule


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
    cards: tuple[CardRule, ...] = ()
    high_risk_networks: tuple[str, ...] = ()  #: beginnings of PLMN
    before: tuple[Predecessor, ...] = ()  #: of rules that changed and are on trial

    @property
    def all_text(self) -> tuple[TextRule, ...]:
        """The text rules and their predecessors."""
        return (*self.text, *(each.rule for each in self.before if isinstance(each.rule, TextRule)))

    @property
    def all_behaviour(self) -> tuple[BehaviourRule, ...]:
        """The behaviour rules and their predecessors."""
        return (*self.behaviour, *(each.rule for each in self.before if isinstance(each.rule, BehaviourRule)))

    @property
    def all_cards(self) -> tuple[CardRule, ...]:
        """The rules about SIM cards and their predecessors."""
        return (*self.cards, *(each.rule for each in self.before if isinstance(each.rule, CardRule)))

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Everything that has an id and a version."""
        return (*self.text, *self.behaviour, *self.cards, *self.policy.composite)
