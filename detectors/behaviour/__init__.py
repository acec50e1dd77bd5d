"""What a caller does over time, in windows of event time."""

from detectors.behaviour.detector import CallBehaviour
from detectors.behaviour.window import CallerWindows

__all__ = ["CallBehaviour", "CallerWindows"]
