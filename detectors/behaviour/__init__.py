"""What a caller does over time, in windows of event time; and who was contacted by risky callers."""

from detectors.behaviour.detector import CallBehaviour
from detectors.behaviour.novelty import Novelty
from detectors.behaviour.recent import Recent
from detectors.behaviour.victims import VictimWatch
from detectors.behaviour.window import CallerWindows

__all__ = ["CallBehaviour", "CallerWindows", "Novelty", "Recent", "VictimWatch"]
