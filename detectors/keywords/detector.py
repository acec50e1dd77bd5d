"""Signs from message text."""

from __future__ import annotations

from detectors.contract import Batch
from detectors.keywords.automaton import Automaton
from detectors.model.decision import Evidence


class Keywords:
    """One piece of evidence for each text rule that a message satisfies; its code is the rule's id."""

    def __init__(self, automaton: Automaton) -> None:
        self._automaton = automaton

    def inspect(self, batch: Batch) -> None:
        match = self._automaton.match
        for i, sms, normalised in batch.sms:
            for rule, span in match(sms.text, normalised):
                batch.add(i, Evidence(rule.id, rule.id, str(rule.version), span, detail=rule.fraud_class))
