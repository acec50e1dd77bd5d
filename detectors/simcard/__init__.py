"""Risk signs of a SIM card: how it was opened, where it roams, whether it slept."""

from detectors.simcard.detector import SimCards
from detectors.simcard.facts import CardFacts, Known
from detectors.simcard.register import Count, Register

__all__ = ["CardFacts", "Count", "Known", "Register", "SimCards"]
