"""Risk signs of SIM cards (press conference of Hunan, 10 June 2022), by rules as data: ``cards.toml``.

A card event is judged by what is known of its card. To a call or message of that card these signs are added only where
something else speaks against it: who opened many cards, or is abroad, has done nothing yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from detectors.contract import Batch, Detector
from detectors.model.decision import Evidence
from detectors.model.events import CardEvent, Event
from detectors.rulepack import CardRule
from detectors.simcard.facts import NOTHING, WOKEN_MS, CardFacts, Known

_COUNTS: Final = ("identity_cards", "identity_channels", "agent_cards")


class SimCards(Detector):
    """Signs from the life of a card; the code is the rule's id.

    Args:
        networks: beginnings of PLMN (3GPP TS 23.003: MCC, or MCC and MNC) from which fraud comes.
    """

    name = "simcard"
    counts = True

    def __init__(self, rules: Sequence[CardRule], networks: Sequence[str], facts: CardFacts) -> None:
        self._rules = [(rule, [(rule.measure, rule.threshold), *rule.also.items()]) for rule in rules]
        self._networks, self._facts = tuple(networks), facts

    @property
    def codes(self) -> frozenset[str]:
        """The ids of its rules."""
        return frozenset(rule.id for rule, _ in self._rules)

    def inspect(self, batch: Batch) -> None:
        events, facts = batch.events, self._facts
        cards = [i for i, event in enumerate(events) if type(event) is CardEvent] if CardEvent in batch.kinds else []
        # In the order of the events: what a card is found to be counts from then on.
        for i in sorted({*cards, *batch.hits, *batch.shadow}):
            event, card = events[i], batch.a[i]
            if not card:
                continue
            try:
                if type(event) is CardEvent:
                    facts.learn(card, event)
                    if event.phase == "re-verified":
                        continue
                known = facts.of(card, event.time)
                if known is not NOTHING or event.visited_plmn:
                    self._judge(batch, i, event, known)
            except Exception as error:  # noqa: BLE001 - raised again where nobody guards
                batch.failed(i, error)

    def _judge(self, batch: Batch, i: int, event: Event, known: Known) -> None:
        acts = type(event) is CardEvent or i in batch.hits
        found = self._measured(event, known)
        for rule, needed in self._rules if found else ():
            if all(found.get(name, 0) >= threshold for name, threshold in needed):
                detail = " ".join(f"{name}={found[name]}" for name, _ in needed)
                evidence = Evidence(rule.id, rule.id, str(rule.version), detail=detail)
                if acts:
                    batch.add(i, evidence)
                else:  # what else speaks against the event is on trial, so this is too
                    batch.hold(i, evidence, None)

    def _measured(self, event: Event, known: Known) -> dict[str, int]:
        """Measures above 0."""
        found = {name: count for name, count in zip(_COUNTS, known[1:4], strict=True) if count}
        if known.woke and 0 <= event.time - known.woke < WOKEN_MS:
            found["woken"] = 1
        if event.visited_plmn and event.visited_plmn.startswith(self._networks):
            found["high_risk_roaming"] = 1
        return found
