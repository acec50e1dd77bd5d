"""The one explicit list of detectors, in the order in which they look."""

from __future__ import annotations

from detectors.behaviour import CallBehaviour, CallerWindows
from detectors.contract import Detector
from detectors.keywords import Automaton, Keywords
from detectors.lists import NumberIndex, NumberLists
from detectors.rulepack import RulePack


def build_detectors(
    rules: RulePack, lists: NumberIndex, automaton: Automaton, windows: CallerWindows
) -> tuple[Detector, ...]:
    """Every detector there is. A new one is added here and nowhere else."""
    return (
        NumberLists(lists),
        Keywords(automaton),
        CallBehaviour(rules.behaviour, windows),
    )
