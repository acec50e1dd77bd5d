"""Weak signs from what a message names and how it writes it."""

from detectors.content.detector import Content

__all__ = ["Content"]
