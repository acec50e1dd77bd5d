"""Immutable look-up of numbers and prefixes to the entry that counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from detectors.lists.entry import Entry, ListKind, Provenance
from detectors.model.numbers import Canonical


class NumberIndex:
    """What is known about a number. Built once, never changed; a new version is a new index.

    An exact entry and every prefix that covers the number are considered; among those in force at the
    event's time the highest ``ListKind`` wins (protected > allow > block > grey), then exact over prefix,
    then the longest prefix.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._exact: dict[Canonical, tuple[Provenance, ...]] = {}
        prefixes: dict[int, dict[str, tuple[Provenance, ...]]] = {}
        shared: dict[tuple[Provenance, ...], tuple[Provenance, ...]] = {}
        digest = 0
        self.sizes = dict.fromkeys(ListKind, 0)
        for entry in entries:
            table = prefixes.setdefault(len(entry.number), {}) if entry.prefix else self._exact
            before = table.get(entry.number, ())
            if entry.provenance in before:
                continue
            # One tuple object serves all numbers of the same provenance: 2 million entries, a handful of tuples.
            known = tuple(sorted((*before, entry.provenance), key=_strongest_first))
            table[entry.number] = shared.setdefault(known, known)
            self.sizes[entry.provenance.kind] += 1
            digest ^= _digest(entry)  # order of arrival does not matter
        self._prefixes = sorted(prefixes.items(), reverse=True)
        self.version = f"{len(self)}-{digest:016x}"

    def __len__(self) -> int:
        return sum(self.sizes.values())

    def find(self, number: Canonical, time: int) -> Provenance | None:
        """The entry that counts for ``number`` at event time ``time`` (ms UTC)."""
        best: Provenance | None = None
        for provenance in self._exact.get(number, ()):
            if provenance.in_force(time):
                best = provenance
                break
        for length, table in self._prefixes:
            for provenance in table.get(number[:length], ()) if length <= len(number) else ():
                if provenance.in_force(time) and (best is None or provenance.kind > best.kind):
                    best = provenance
                    break
        return best


def _strongest_first(provenance: Provenance) -> tuple[int, str, int, int, float, str]:
    p = provenance
    # expiry last to first, so that of two equals the one that lasts is named
    return (-p.kind, p.source, p.added, -(p.expires or 1 << 62), p.weight or 0.0, p.reason)


def _digest(entry: Entry) -> int:
    p = entry.provenance
    text = f"{entry.number}|{entry.prefix:d}|{p.kind:d}|{p.source}|{p.reason}|{p.weight}|{p.added}|{p.expires}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
