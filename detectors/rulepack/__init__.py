"""Rule data (TOML) to a validated, immutable pack with a version. Detection and weighing change separately."""

from detectors.rulepack.load import load_rules
from detectors.rulepack.pack import RulePack
from detectors.rulepack.schema import BehaviourRule, CardRule, Composite, PolicyData, SymbolPolicy, TextRule

__all__ = [
    "BehaviourRule",
    "CardRule",
    "Composite",
    "PolicyData",
    "RulePack",
    "SymbolPolicy",
    "TextRule",
    "load_rules",
]
