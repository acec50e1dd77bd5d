"""A log with known truth: events, labels keyed by event id (never inside the event), and the number list to use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from detectors.model.events import Event

FRAUDULENT = frozenset({"fraud", "illegal"})  #: labels that ought to be stopped; advertising is not one of them
SYNTHETIC = "synthetic"  #: source of events that we made up
LIST_HEADER = "number,list,weight,reason,source,added,expires"
DAY_MS = 86_400_000


class Label(Struct, frozen=True):
    """What an event really is.

    Attributes:
        label: fraud, illegal, ad, ham or other.
        cls: the source's own finer class.
        source: where the event was taken from; ``synthetic`` for what we made up.
    """

    label: str
    cls: str = msgspec.field(name="class")
    source: str


@dataclass(frozen=True)
class LabelledLog:
    """Events in the order of event time, their labels, and a number list as CSV."""

    name: str
    events: Sequence[Event]
    labels: dict[str, Label]
    lists: str

    def limited(self, count: int) -> LabelledLog:
        """At most ``count`` events: all synthetic scenarios as far as they fit, and every n-th of the others."""
        keep = {e.id for e in self.events if self.labels[e.id].source == SYNTHETIC}
        others = [event.id for event in self.events if event.id not in keep]
        if len(self.events) <= count:
            return self
        if len(keep) > count // 2:  # a log of nothing but scenarios, or a very small limit
            keep, others = set(), [event.id for event in self.events]
        room = count - len(keep)
        keep |= {others[i * len(others) // room] for i in range(room)}
        events = [event for event in self.events if event.id in keep]
        return LabelledLog(self.name, events, {event.id: self.labels[event.id] for event in events}, self.lists)


def in_order(events: Iterable[Event]) -> list[Event]:
    """Sorted by event time; the id decides between equals, so the order does not depend on the source's."""
    return sorted(events, key=lambda event: (event.time, event.id))


def digest(text: str) -> int:
    """A stable number from a text: the same on every machine and in every run."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def dump_labels(labels: dict[str, Label]) -> bytes:
    """Labels as JSON lines."""
    rows = [{"id": key, **msgspec.to_builtins(label)} for key, label in labels.items()]
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def load_labels(data: bytes) -> dict[str, Label]:
    """The reverse of ``dump_labels``."""
    found: dict[str, Label] = {}
    for line in data.splitlines():
        row = msgspec.json.decode(line, type=dict[str, str])
        found[row.pop("id")] = msgspec.convert(row, Label)
    return found
