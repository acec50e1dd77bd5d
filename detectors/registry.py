"""The one explicit list of detectors, in the order in which they look, and what they remember between events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from detectors.behaviour import CallBehaviour, CallerWindows, Flood, Novelty, Received, Recent, VictimWatch
from detectors.behaviour.flood import CODE as FLOOD_CODE
from detectors.behaviour.victims import CODES as VICTIM_CODES
from detectors.campaign import CampaignIndex, Campaigns, TextCounts
from detectors.content import Content
from detectors.contract import Detector
from detectors.keywords import Automaton, Keywords
from detectors.lists import NumberIndex, NumberLists
from detectors.rulepack import RulePack
from detectors.score import MessageScore, ScoreModel
from detectors.segments import Segments
from detectors.signalling import Signalling
from detectors.simcard import CardFacts, SimCards


@dataclass(frozen=True, slots=True)
class Memory:
    """What is counted from event to event, in bounded memory. It outlives a change of rules or lists."""

    windows: CallerWindows
    novelty: Novelty
    victims: VictimWatch
    campaigns: CampaignIndex
    texts: TextCounts
    recent: Recent
    received: Received
    cards: CardFacts
    segments: Segments

    @classmethod
    def empty(cls, rules: RulePack, *, max_callers: int) -> Memory:
        """Nothing seen yet. All bounds are in proportion to that on callers: of a million, 200,000 new numbers and as
        many victims, texts, receivers and SIM cards, 20,000 campaigns and long messages, 100,000 recent events; two
        filters of 4 MiB say who was heard before.
        """
        fifth = max(1, max_callers // 5)
        return cls(
            CallerWindows(rules.window_seconds * 1000, max_callers),
            Novelty(bits=(32 * max_callers).bit_length(), max_new=fifth),
            VictimWatch(max_callees=fifth),
            CampaignIndex(max_campaigns=max(1, max_callers // 50)),
            TextCounts(max_texts=fifth),
            Recent(max(1, max_callers // 10)),
            Received(max_receivers=fifth),
            CardFacts(max_cards=fifth),
            Segments(max_messages=max(1, max_callers // 50)),
        )


#: Speak for the acting number being a victim, or honest, and not a risk.
ABOUT_THE_OTHER: Final = VICTIM_CODES | {"LIST_BLOCK_CALLEE", FLOOD_CODE}
#: Of the detectors, in their order: labels of metrics.
NAMES: Final = ("lists", "signalling", "content", "keywords", "score", "behaviour", "campaign", "flood", "simcard")


def _against(rules: RulePack) -> set[str]:
    """Codes that speak against whoever acts."""
    return {code for code, each in rules.policy.symbols.items() if each.weight > 0} - ABOUT_THE_OTHER


def build_detectors(
    rules: RulePack, lists: NumberIndex, automaton: Automaton, memory: Memory, model: ScoreModel | None = None
) -> tuple[Detector, ...]:
    """Every detector there is. A new one is added here and nowhere else. Later ones see what earlier ones found; those
    that count come last, as the others may look at several batches at once (``Engine.look``).
    """
    return (
        NumberLists(lists),
        Signalling(),
        Content(),
        Keywords(automaton),
        *((MessageScore(model),) if model else ()),
        CallBehaviour(rules.all_behaviour, memory.windows, memory.novelty),
        Campaigns(memory.campaigns, memory.texts),
        Flood(memory.received),
        SimCards(rules.all_cards, rules.high_risk_networks, _against(rules), memory.cards),  # asks what others found
    )
