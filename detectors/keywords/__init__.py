"""Keyword rules: one automaton over normalised text."""

from detectors.keywords.automaton import Automaton
from detectors.keywords.detector import Keywords

__all__ = ["Automaton", "Keywords"]
