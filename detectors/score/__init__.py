"""The message score: a linear classifier over hashed character n-grams. One symbol, never enough alone to block."""

from detectors.score.detector import MessageScore
from detectors.score.model import Made, Parameters, ScoreModel

__all__ = ["Made", "MessageScore", "Parameters", "ScoreModel"]
