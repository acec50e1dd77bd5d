"""Long messages: each segment is judged by what came of its message so far.

Words that are cut in two between segments, or spread over them, would not be found in any. The phone shows a message
once all of its segments are there (3GPP TS 23.040, 9.2.3.24.1), so whoever stops the last one stops the message, and
nothing has to wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from detectors.model.events import MAX_TEXT, Event, SmsEvent

_Key = tuple[str, str, int | None, int]


class Whole(NamedTuple):
    """Events with the texts by which they are judged.

    Attributes:
        own: index -> where the event's own text is, in that by which it is judged.
    """

    events: Sequence[Event]
    own: Mapping[int, tuple[int, int]]


class Segments:
    """What came of long messages in the last one to two spans of event time, in two generations of bounded size.

    A message is told by its numbers, its reference and how many segments it has. Without a reference the same segment
    with another text begins a new message. A segment that comes again is judged by what was known when it first came.
    """

    def __init__(self, span_ms: int = 300_000, max_messages: int = 20_000) -> None:
        self._span, self._max = span_ms, max_messages
        self._young: dict[_Key, dict[int, str]] = {}  # segments by number, in the order in which they came
        self._old: dict[_Key, dict[int, str]] = {}
        self._since = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def whole(self, events: Sequence[Event]) -> Whole:
        """Remember the segments among ``events``, and lay each to what is known of its message."""
        own: dict[int, tuple[int, int]] = {}
        found: list[Event] | None = None
        for i, event in enumerate(events):
            if type(event) is SmsEvent and event.segments > 1:
                found = list(events) if found is None else found
                text, start = self._add(event)
                if len(text) > len(event.text):
                    own[i] = start, start + len(event.text)
                    found[i] = replace(event, text=text)
        return Whole(events if found is None else found, own)

    def _add(self, event: SmsEvent) -> tuple[str, int]:
        """What is known of the message, and where this segment begins in it."""
        self._turn(event.time)
        a, b = event.a_e164 or event.a_number, event.b_e164 or event.b_number
        key = a, b, event.concat_ref, event.segments
        parts = self._young.get(key) or self._old.pop(key, {})
        if parts.get(event.segment, event.text) != event.text:
            parts = {}
        self._young[key] = parts
        parts[event.segment] = event.text
        if sum(map(len, parts.values())) > MAX_TEXT:  # longer than any message there is
            self._young[key] = {event.segment: event.text}
            return event.text, 0
        came = list(parts)
        known = sorted(came[: came.index(event.segment) + 1])
        start = sum(len(parts[n]) for n in known if n < event.segment)
        return "".join(parts[n] for n in known), start

    def _turn(self, time: int) -> None:
        if time < self._since - 2 * self._span:
            self._since = time  # it was set by a clock that is ahead
        if time - self._since >= self._span or len(self._young) >= self._max:
            kept = self._young if time - self._since < 2 * self._span else {}  # after a silence all is old
            self._young, self._old, self._since = {}, kept, max(time, self._since)
