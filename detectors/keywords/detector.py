"""Signs from message text."""

from __future__ import annotations

from collections.abc import Iterator

from detectors.contract import SMS, Batch, Detector, NearMiss
from detectors.keywords.automaton import Automaton
from detectors.model.decision import Evidence

_VERSION = "1"
_SHOWN = 5  # terms of a missing group that an explanation names


class Keywords(Detector):
    """One piece of evidence for each text rule that a message satisfies; its code is the rule's id. ``TEXT_EVASION``
    where a keyword stands in a disguised form, ``TEXT_EVASION_MANY`` where two different ones do.
    """

    name = "keywords"
    sees = SMS
    CODES = frozenset({"TEXT_EVASION", "TEXT_EVASION_MANY"})

    def __init__(self, automaton: Automaton) -> None:
        self._automaton = automaton

    @property
    def codes(self) -> frozenset[str]:
        """Of the rules too."""
        return self.CODES | {rule.id for rule in self._automaton.pack.text}

    def inspect(self, batch: Batch) -> None:
        match = self._automaton.match
        for n in self._automaton.worth(*batch.texts.haystack, batch.named):
            i, sms, normalised = batch.sms[n]
            rules, evasions = match(sms.text, normalised, batch.named.get(n, ()))
            for rule, span in rules:
                batch.add(i, Evidence(rule.id, rule.id, str(rule.version), span, detail=rule.fraud_class))
            if evasions:
                keyword, kind, span = evasions[0]
                code = "TEXT_EVASION_MANY" if any(e.keyword is not keyword for e in evasions) else "TEXT_EVASION"
                detail = f"kind={kind} class={keyword.fraud_class}"
                batch.add(i, Evidence(code, keyword.word, _VERSION, span, detail=detail))

    def near(self, batch: Batch) -> Iterator[NearMiss]:
        """Rules of which one group of terms is missing."""
        for n, (_, sms, normalised) in enumerate(batch.sms):
            for rule, missing in self._automaton.near(sms.text, normalised, batch.named.get(n, ())):
                terms = rule.all[missing]
                more = f", ... ({len(terms)} in all)" if len(terms) > _SHOWN else ""
                yield NearMiss(rule.id, rule.id, str(rule.version), f"none of: {', '.join(terms[:_SHOWN])}{more}")
