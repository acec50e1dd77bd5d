"""The same counts for an event log: what `lanjie cards watch` would have told, in its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from detectors.model.events import CardEvent
from detectors.simcard import Register
from stream.wire import WireError, decode_event, encode_event

_CARD: Final = b'"card"'  # in every card event; decoding all others would take most of the time


def with_counts(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines as they are, and after each those that it causes. Counts that are in the log already stay as well: a
    second one with the same id changes nothing.
    """
    register = Register()
    for line in lines:
        yield line
        if _CARD in line and (event := _card(line)):
            for count in register.see(event):
                yield encode_event(count.event)


def _card(line: bytes) -> CardEvent | None:
    try:
        event = decode_event(line)
    except WireError:
        return None
    return event if isinstance(event, CardEvent) else None
