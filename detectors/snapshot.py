"""What an engine decides by: lists and rules of one version, compiled, in the stages that they are in."""

from __future__ import annotations

from dataclasses import dataclass, replace

from msgspec import structs

from detectors.keywords import Automaton
from detectors.lists import NumberIndex
from detectors.policy import Policy
from detectors.policy.catalogue import BUILT_IN
from detectors.rollout import NO_ROLLOUT, Rollout, Stage
from detectors.rulepack import RulePack
from detectors.score import ScoreModel


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Lists and rules of one version, compiled, and the message score's model if there is one. Immutable; a change
    is a new snapshot.
    """

    rules: RulePack
    lists: NumberIndex
    automaton: Automaton
    policy: Policy
    model: ScoreModel | None = None
    rollout: Rollout = NO_ROLLOUT

    @classmethod
    def build(
        cls, rules: RulePack, lists: NumberIndex, model: ScoreModel | None = None, rollout: Rollout = NO_ROLLOUT
    ) -> Snapshot:
        """Compile. Seconds for large lists: do it off the hot path.

        Raises:
            RuleError: a rule fails its own proof or has no weight.
        """
        return cls.of(Automaton(rules), lists, model, rollout)

    @classmethod
    def of(
        cls,
        automaton: Automaton,
        lists: NumberIndex,
        model: ScoreModel | None = None,
        rollout: Rollout = NO_ROLLOUT,
    ) -> Snapshot:
        """With an automaton that is built already, maybe by another process.

        Raises:
            RuleError: a rule has no weight.
        """
        pack = automaton.pack
        stages = _concerning(rollout, pack)
        return cls(pack, _staged(lists, stages), automaton, Policy(pack), model, stages)

    def staged(self, rollout: Rollout) -> Snapshot:
        """The same lists and rules in other stages."""
        return replace(self, rollout=rollout, lists=_staged(self.lists, rollout))

    @property
    def lists_version(self) -> str:
        """Version of the number lists: count, content digest, and a tag if some are on trial."""
        return self.lists.version + self.rollout.feeds_tag()

    @property
    def rules_version(self) -> str:
        """Version of the rules: policy version, content digest, and a tag if some are on trial, or nothing acts."""
        return self.rules.version + self.rollout.rules_tag()

    @property
    def list_sizes(self) -> dict[str, int]:
        """Entries by list: ``{"block": 528000, ...}``."""
        return {kind.name.lower(): size for kind, size in self.lists.sizes.items()}

    @property
    def rule_count(self) -> int:
        """Rules of all families."""
        return len(self.rules.text) + len(self.rules.behaviour) + len(self.rules.cards)


def _staged(lists: NumberIndex, rollout: Rollout) -> NumberIndex:
    return lists if lists.rollout.feeds == rollout.feeds else lists.staged(rollout)


def _concerning(rollout: Rollout, pack: RulePack) -> Rollout:
    """The stages that say something about this pack; a rule whose predecessor is there has one in any case."""
    versions = {rule.id: str(rule.version) for rule in pack.rules}
    rules = {each.rule.id: Stage("enforce", version=versions[each.rule.id]) for each in pack.before}
    for name, stage in rollout.rules.items():
        version = versions.get(name, "")
        if stage.version in ("", version) and (version or name in BUILT_IN):
            rules[name] = structs.replace(stage, version=version)
    return Rollout(rules, rollout.feeds, enforcement=rollout.enforcement)
