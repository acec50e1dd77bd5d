"""Numbers that nothing may block, in either direction, whatever lists, rules or faults say."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from detectors.lists.entry import ListKind
from detectors.lists.index import NumberIndex
from detectors.model.events import CardEvent, Event
from detectors.normalise.phone import canonical

#: Police, fire, ambulance, traffic, GSM emergency (3GPP TS 22.101); SMS police;
#: regulator's and anti-fraud centre's lines; operators' service lines.
CORE = frozenset(
    {
        "110",
        "119",
        "120",
        "122",
        "112",
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

#: What may stand before a code when it is dialled: IP-call access, country code, area code of another city.
_DIALLED = re.compile(
    r"(?:179[015]\d|12593|10193)?0{0,2}(?:86)?0?(?:10|2\d|[3-9]\d{2})?0?(" + "|".join(sorted(CORE)) + r")"
)
_SCHEME = re.compile(r"(?:tel|sips?):")
_SUPPRESSED_CLI = re.compile(r"[*#]3[01]#")  # 3GPP TS 22.030


_ENDS = tuple(CORE)


def dials_core(raw: str) -> bool:
    """Whether a number as dialled reaches a core number: read generously, for a wrong yes harms nobody."""
    plain = raw.removeprefix("+")
    if plain.isascii() and plain.isdigit():  # nearly every number, and nearly none has such an end
        return plain.endswith(_ENDS) and _DIALLED.fullmatch(plain) is not None
    return _dials_core(raw)


@lru_cache(maxsize=1 << 14)
def _dials_core(raw: str) -> bool:
    text = _SCHEME.sub("", unicodedata.normalize("NFKC", raw).strip().lower())
    if text.startswith("urn:service:sos"):  # RFC 5031
        return True
    text = re.split(r"[;@]", _SUPPRESSED_CLI.sub("", text))[0]
    digits = "".join(c if c.isalpha() else str(unicodedata.decimal(c, "")) for c in text)
    return _DIALLED.fullmatch(re.sub(r"[^\W\d].*", "", digits)) is not None  # a pause or filler ends the number


class Protected:
    """Answers whether an event touches a protected number: the core above, or a ``protected`` list entry."""

    def __init__(self, index: NumberIndex) -> None:
        self._index = index
        self._listed = index.sizes[ListKind.PROTECTED] > 0

    def touches(self, event: Event) -> bool:
        """True if the acting or the called number is protected, in the raw *or* the normalised form."""
        raws = {event.a_number, event.a_e164}
        if not isinstance(event, CardEvent):
            raws |= {event.b_number, event.b_e164}
        return any(dials_core(raw) or self.covers(canonical(raw), event.time) for raw in raws if raw)

    def covers(self, number: str, time: int) -> bool:
        """True if this canonical number is protected at event time ``time`` (ms UTC)."""
        if number in CORE:
            return True
        if not self._listed:
            return False
        found = self._index.find(number, time)
        return found is not None and found.kind is ListKind.PROTECTED
