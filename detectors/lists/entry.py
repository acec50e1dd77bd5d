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
    IMMUTABLE = 3  #: a regulator's block, which no allow list lifts
    PROTECTED = 4


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
    """A number; with ``prefix`` all numbers that begin with it; with ``last`` all of a range of equal length.

    ``number`` may also be a key found in message text: ``domain:bad.example``, ``qq:12345``, ``card:...``.
    """

    number: Canonical
    provenance: Provenance
    prefix: bool = False
    last: Canonical = ""

    @property
    def pattern(self) -> str:
        """As it is written in a list: ``+86170*``, ``+33162000000-+33162999999``, ``10086``."""
        return f"{self.number}*" if self.prefix else f"{self.number}-{self.last}" if self.last else self.number
