"""What the signalling of a call or message says about its number: signs that the CLI shown is not the caller's own."""

from detectors.signalling.detector import Signalling

__all__ = ["Signalling"]
