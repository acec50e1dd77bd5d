"""Risk signs of SIM cards (press conference of Hunan, 10 June 2022), by rules as data: ``cards.toml``.

A card event is judged by what is known of its card. To a call or message of that card these signs are added only where
something else speaks against it: who opened many cards, or is abroad, has done nothing yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from detectors.contract import Batch, Detector, NearMiss
from detectors.model.decision import Evidence
from detectors.model.events import CardEvent, Event
from detectors.rulepack import CardRule
from detectors.simcard.facts import NOTHING, CardFacts, Known
from detectors.simcard.register import AGENT_FROM, IDENTITY_FROM

_NEAR: Final = 0.7  #: part of a threshold that is told as "nearly"
_VERIFIED: Final = "re-verified"
#: From which on counts are remembered. Constants, so that what is known does not depend on which rules there are: they
#: may be in shadow, and a new one is to know what came before it.
_LEAST: Final = {"identity_cards": IDENTITY_FROM, "identity_channels": 2, "agent_cards": AGENT_FROM}
_COUNTS: Final = ("identity_cards", "identity_channels", "agent_cards")


class SimCards(Detector):
    """Signs from the life of a card; the code is the rule's id.

    Args:
        networks: beginnings of PLMN (3GPP TS 23.003: MCC, or MCC and MNC) from which fraud comes.
        against: codes that speak against whoever calls or sends.
    """

    name = "simcard"
    counts = True

    def __init__(
        self, rules: Sequence[CardRule], networks: Sequence[str], against: Collection[str], facts: CardFacts
    ) -> None:
        self._rules = [(rule, {rule.measure: rule.threshold, **rule.also}) for rule in rules]
        self._networks, self._against, self._facts = tuple(networks), frozenset(against), facts

    @property
    def codes(self) -> frozenset[str]:
        """The ids of its rules."""
        return frozenset(rule.id for rule, _ in self._rules)

    def seen(self, batch: Batch) -> list[int]:
        """Card events, and what something else speaks against, of cards."""
        cards = [i for i, event in enumerate(batch.events) if type(event) is CardEvent] if batch.has_cards else []
        # In the order of the events: what a card is found to be counts from then on.
        return [i for i in sorted({*cards, *batch.hits, *batch.shadow}) if batch.a[i]]

    def inspect(self, batch: Batch) -> None:
        facts = self._facts
        for i in self.seen(batch):
            event, card = batch.events[i], batch.a[i]
            try:
                if type(event) is CardEvent:
                    if i not in batch.repeated:
                        facts.learn(card, event, _LEAST)
                    if event.phase == _VERIFIED:
                        continue
                known = facts.of(card)
                if known is not NOTHING or event.visited_plmn:
                    self._judge(batch, i, event, known)
            except Exception as error:  # noqa: BLE001 - raised again where nobody guards
                batch.failed(i, error)

    def near(self, batch: Batch) -> Iterator[NearMiss]:
        """Rules whose every measure is most of the way to its threshold."""
        event = batch.events[0]
        measures = self._measures(event, self._facts.of(batch.a[0]))
        if type(event) is CardEvent:  # too little to be remembered
            measures = {name: getattr(event, name) or 0 for name in _COUNTS} | measures
        for rule, needed in self._rules:
            found = [(name, measures.get(name, 0), threshold) for name, threshold in needed.items()]
            if all(value >= _NEAR * t for _, value, t in found) and any(value < t for _, value, t in found):
                lacks = ", ".join(f"{name} {value} of {t}" for name, value, t in found)
                yield NearMiss(rule.id, rule.id, str(rule.version), lacks)

    def _judge(self, batch: Batch, i: int, event: Event, known: Known) -> None:
        """Where what else speaks against the event is on trial, so are these signs, but not those of predecessors."""
        acts = type(event) is CardEvent or self._speak_against(batch.hits.get(i, ()))
        if not acts and not self._speak_against(batch.shadow.get(i, ())):
            return
        found = self._measures(event, known)
        for rule, needed in self._rules if found else ():
            if all(found.get(name, 0) >= threshold for name, threshold in needed.items()):
                detail = " ".join(f"{name}={found[name]}" for name in needed)
                evidence = Evidence(rule.id, rule.id, str(rule.version), detail=detail)
                if acts:
                    batch.add(i, evidence)
                elif rule.id not in batch.rollout.rules or batch.rollout.is_about(rule.id, evidence.version):
                    batch.hold(i, evidence, None)

    def _speak_against(self, evidence: Collection[Evidence]) -> bool:
        return any(each.code in self._against for each in evidence)

    def _measures(self, event: Event, known: Known) -> dict[str, int]:
        """Those above 0."""
        found = known.measures(event.time)
        if event.visited_plmn and event.visited_plmn.startswith(self._networks):
            found["high_risk_roaming"] = 1
        return found
