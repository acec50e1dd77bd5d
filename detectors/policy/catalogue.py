"""The one catalogue of sentences: what a subscriber and an agent read, Chinese and English. Decisions carry codes.

A rule brings its own words with it; what is built in has them here.
"""

from __future__ import annotations

from typing import Final

from detectors.rulepack import RulePack

BUILT_IN: Final = {
    "PROTECTED": ("紧急或公共服务号码,永不拦截", "Emergency or public service number: never intercepted"),
    "LIST_BLOCK": ("号码在涉诈黑名单中", "The number is on the fraud block list"),
    "LIST_IMMUTABLE": ("号码在监管强制拦截名单中", "The number is on the regulator's block list"),
    "LIST_GREY": ("号码在可疑灰名单中", "The number is on the grey list of suspects"),
    "LIST_ALLOW": ("号码在白名单中", "The number is on the allow list"),
    "LIST_BLOCK_CALLEE": ("对方号码在涉诈黑名单中", "The called number is on the fraud block list"),
}


def words(rules: RulePack) -> dict[str, tuple[str, str]]:
    """Symbol -> (Chinese, English) for every symbol that can appear in a decision."""
    return BUILT_IN | {rule.id: (rule.zh, rule.en) for rule in rules.rules}
