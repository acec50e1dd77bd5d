"""Signs from what a caller does."""

from __future__ import annotations

from collections.abc import Sequence

from detectors.behaviour.window import CallerWindows
from detectors.contract import Batch
from detectors.model.decision import Evidence
from detectors.rulepack import BehaviourRule


class CallBehaviour:
    """Counts originating call attempts and says when a threshold is reached; the code is the rule's id."""

    def __init__(self, rules: Sequence[BehaviourRule], windows: CallerWindows) -> None:
        self._rules = rules
        self._lowest = min((rule.threshold for rule in rules), default=1 << 62)
        self._windows = windows

    def inspect(self, batch: Batch) -> None:
        observe = self._windows.observe
        for i, call in batch.calls:
            caller = batch.a[i]
            if call.phase != "attempt" or call.direction != "originating" or not caller:
                continue
            attempts = observe(caller, batch.b[i], call.time)
            if attempts < self._lowest:  # callees never exceed attempts
                continue
            for rule in self._rules:
                count = attempts if rule.measure == "attempts" else self._windows.distinct_callees(caller)
                if count >= rule.threshold:
                    batch.add(i, Evidence(rule.id, rule.id, str(rule.version), detail=f"{rule.measure}={count}"))
