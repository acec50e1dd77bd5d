"""The words a subscriber and an agent read, Chinese and English."""

from __future__ import annotations

from detectors.rulepack import BehaviourRule, Composite, RulePack, TextRule

_BUILT_IN = {
    "LIST_BLOCK": ("号码在涉诈黑名单中", "The number is on the fraud block list"),
    "LIST_GREY": ("号码在可疑灰名单中", "The number is on the grey list of suspects"),
    "LIST_ALLOW": ("号码在白名单中", "The number is on the allow list"),
    "LIST_BLOCK_CALLEE": ("对方号码在涉诈黑名单中", "The called number is on the fraud block list"),
    "PROTECTED": ("紧急或公共服务号码,永不拦截", "Emergency or public service number: never intercepted"),
}


def words(rules: RulePack) -> dict[str, tuple[str, str]]:
    """Symbol -> (Chinese, English) for every symbol that can appear in a decision."""
    named: tuple[TextRule | BehaviourRule | Composite, ...] = (*rules.text, *rules.behaviour, *rules.policy.composite)
    return _BUILT_IN | {rule.id: (rule.zh, rule.en) for rule in named}
