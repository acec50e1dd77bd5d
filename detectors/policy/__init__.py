"""Evidence to one action: symbol -> weight -> group cap -> composite -> ladder."""

from detectors.policy.policy import Policy, Verdict
from detectors.policy.response import Responses

__all__ = ["Policy", "Responses", "Verdict"]
