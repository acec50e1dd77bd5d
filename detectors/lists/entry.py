"""One entry of a number list."""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

from detectors.model.numbers import Canonical


class ListKind(IntEnum):
    """Which list an entry is on. A higher value wins over a lower one."""

    GREY = 0
    BLOCK = 1
    ALLOW = 2
    PROTECTED = 3


class Provenance(Struct, frozen=True):
    """All of an entry but its number: shared by the thousands of entries of one source."""

    kind: ListKind
    source: str
    reason: str = ""
    weight: float | None = None  #: None: the policy's weight for that kind of list
    added: int = 0  #: event time, ms UTC, from which it counts
    expires: int | None = None  #: event time, ms UTC, from which it no longer counts

    def in_force(self, time: int) -> bool:
        """Whether it counts for an event at ``time`` (ms UTC)."""
        return self.added <= time and (self.expires is None or time < self.expires)


class Entry(Struct, frozen=True):
    """A number, or with ``prefix`` all numbers that begin with it."""

    number: Canonical
    provenance: Provenance
    prefix: bool = False
