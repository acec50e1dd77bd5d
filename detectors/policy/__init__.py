"""Evidence to one action: symbol -> weight -> group cap -> composite -> ladder."""

from detectors.policy.policy import Policy, Verdict

__all__ = ["Policy", "Verdict"]
