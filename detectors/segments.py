"""Long messages: each segment is judged by what came of its message so far.

Words that are cut in two between segments, or spread over them, would not be found in any. The phone shows a message
once all of its segments are there (3GPP TS 23.040, 9.2.3.24.1), so whoever stops the last one stops the message, and
nothing has to wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from detectors.model.events import Event, SmsEvent
from detectors.model.numbers import Canonical
from detectors.normalise.phone import canonical
from detectors.spans import Spans

#: Characters of a segment: 153 septets, 140 octets or 67 of UCS-2 (TS 23.040). What says to be one and is longer is a
#: whole message already.
SEGMENT: Final = 160
#: Segments of a message that are kept, the newest: a message costs no more than so many of its length.
KEPT: Final = 10

_Key = tuple[Canonical, Canonical, int | None, int]


class Whole(NamedTuple):
    """Events with the texts by which they are judged.

    Attributes:
        own: index -> where the event's own text is, in that by which it is judged.
    """

    events: Sequence[Event]
    own: Mapping[int, tuple[int, int]]


class _Part(NamedTuple):
    text: str
    event: int  #: hash of the event's id, so that what comes again is known


class Segments(Spans[_Key, "dict[int, _Part]"]):
    """What came of long messages: by number of the segment, in the order in which they came.

    A message is told by its numbers, its reference and how many segments it has. Once all are there, the next one
    begins another message. A segment that comes again is judged by what was known when it first came. Nothing of it
    goes into a checkpoint: texts of people are in no file.
    """

    def __init__(self, span_ms: int = 300_000, max_messages: int = 20_000) -> None:
        super().__init__(span_ms, max_messages)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._span, self._max)

    def whole(self, events: Sequence[Event]) -> Whole:
        """Remember the segments among ``events``, and lay each to what is known of its message."""
        own: dict[int, tuple[int, int]] = {}
        found: list[Event] | None = None
        for i, event in enumerate(events):
            if type(event) is SmsEvent and event.segments > 1 and len(event.text) <= SEGMENT:
                text, start = self._add(event)
                if len(text) > len(event.text):
                    found = list(events) if found is None else found
                    own[i] = start, start + len(event.text)
                    found[i] = replace(event, text=text)
        return Whole(events if found is None else found, own)

    def _add(self, event: SmsEvent) -> tuple[str, int]:
        """What is known of the message, and where this segment begins in it."""
        self._turn(event.time)
        a, b = canonical(event.a_e164 or event.a_number), canonical(event.b_e164 or event.b_number)
        key = a, b, event.concat_ref, event.segments
        parts = self._young.get(key) or self._old.pop(key, {})
        number, part = event.segment, _Part(event.text, hash(event.id))
        known = parts.get(number)
        if known != part:
            if known is not None and len(parts) == min(event.segments, KEPT):
                parts = {}
            parts.pop(number, None)
            parts[number] = part
            if len(parts) > KEPT:
                del parts[next(iter(parts))]
        self._young[key] = parts
        came = list(parts)
        there = sorted(came[: came.index(number) + 1])
        start = sum(len(parts[n].text) for n in there if n < number)
        return "".join(parts[n].text for n in there), start
