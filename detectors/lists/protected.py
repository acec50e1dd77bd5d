"""Numbers that nothing may block, in either direction, whatever lists, rules or faults say."""

from __future__ import annotations

from detectors.lists.entry import ListKind
from detectors.lists.index import NumberIndex
from detectors.model.events import CardEvent, Event
from detectors.normalise.phone import canonical

#: Police, fire, ambulance, traffic; SMS police; regulator's and anti-fraud centre's lines; operators' service lines.
CORE = frozenset(
    {
        "110",
        "119",
        "120",
        "122",
        "12110",
        "12381",
        "12321",
        "96110",
        "10000",
        "10010",
        "10086",
        "10099",
        "12345",
    }
)


class Protected:
    """Answers whether an event touches a protected number: the core above, or a ``protected`` list entry."""

    def __init__(self, index: NumberIndex) -> None:
        self._index = index

    def touches(self, event: Event) -> bool:
        """True if the acting or the called number is protected, in the raw *or* the normalised form."""
        raws = [event.a_number, event.a_e164]
        if not isinstance(event, CardEvent):
            raws += [event.b_number, event.b_e164]
        return any(self.covers(canonical(raw), event.time) for raw in raws if raw)

    def covers(self, number: str, time: int) -> bool:
        """True if this canonical number is protected at event time ``time`` (ms UTC)."""
        if number in CORE:
            return True
        found = self._index.find(number, time)
        return found is not None and found.kind is ListKind.PROTECTED
