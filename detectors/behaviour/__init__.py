"""What a caller does over time, in windows of event time; who was contacted by risky callers, or is flooded."""

from detectors.behaviour.detector import CallBehaviour
from detectors.behaviour.flood import Flood, Received
from detectors.behaviour.novelty import Novelty
from detectors.behaviour.recent import Recent
from detectors.behaviour.victims import VictimWatch
from detectors.behaviour.window import CallerWindows

__all__ = ["CallBehaviour", "CallerWindows", "Flood", "Novelty", "Received", "Recent", "VictimWatch"]
