"""Entries to a table: in arrays from the first, as 2 million Python objects would take a gigabyte."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.lists.entry import Entry, ListKind, Provenance
from detectors.lists.table import COVER, EXACT, Meta, Place, Table, cut, place, strongest_first
from detectors.normalise import key as k


class Removal(msgspec.Struct, frozen=True):
    """Takes entries of a number or pattern away: all of them, or those of one list, source or feed."""

    kind: ListKind | None = None
    source: str | None = None
    feed: str | None = None  #: None: of any layer below

    def takes(self, p: Provenance, feed: str = "") -> bool:
        """Whether it takes an entry with this provenance away, in a layer of ``feed``."""
        return self.kind in (None, p.kind) and self.source in (None, p.source) and self.feed in (None, feed)


Removals = dict[Place, tuple[Removal, ...]]


class Builder:
    """Collects entries, in any order; the same entries twice count once."""

    def __init__(self) -> None:
        self._keys, self._owners = array("Q"), array("I")
        self._covers: set[tuple[int, int, int, int, int]] = set()
        self._texts: dict[str, set[int]] = {}
        self._ids: dict[Provenance, int] = {}

    def add(self, entry: Entry) -> None:
        """Take one."""
        owner = self._id(entry.provenance)
        match place(entry):
            case (low, high):
                self._covers.add((low, high, *_reach(entry), owner))
            case str(text):
                self._texts.setdefault(text, set()).add(owner)
            case int(value):
                self._keys.append(value)
                self._owners.append(owner)

    def add_table(self, table: Table, removed: Removals) -> None:
        """Take all of a table but what was removed."""
        ids = np.array([self._id(p) for p in table.provenances], dtype=np.uint32)
        kept = np.ones(len(table.keys), dtype=bool)
        for at, removals in removed.items():
            if isinstance(at, int):
                low, high = np.searchsorted(table.keys, np.array([at, at + 1], dtype=np.uint64))
                for i in range(int(low), int(high)):
                    kept[i] = not _taken(table.provenance(int(table.owners[i])), removals)
        self._keys.frombytes(table.keys[kept].tobytes())
        self._owners.frombytes(ids[table.owners[kept]].astype(np.uint32).tobytes())
        for low, high, length, digits, owner in table.covers.tolist():
            if not _taken(table.provenance(owner), removed.get((low, high), ())):
                self._covers.add((low, high, length, digits, int(ids[owner])))
        for text, owners in table.texts.items():
            left = [o for o in owners if not _taken(table.provenance(o), removed.get(text, ()))]
            if left:
                self._texts.setdefault(text, set()).update(int(ids[o]) for o in left)

    def build(self) -> Table:
        """The table. The builder is spent."""
        known = sorted(self._used(), key=strongest_first)
        rank = np.zeros(len(self._ids), dtype=np.uint32)
        rank[[self._ids[p] for p in known]] = np.arange(len(known), dtype=np.uint32)
        keys, owners = self._numbers(rank)
        rows = sorted((*cover[:4], int(rank[cover[4]])) for cover in self._covers)
        covers = np.array(rows, dtype=COVER)
        starts, offsets, over = cut(covers)
        names = [msgspec.json.encode(p) for p in known]
        texts = {text: sorted(int(rank[o]) for o in found) for text, found in sorted(self._texts.items())}
        sections: dict[str, Any] = {
            "keys": keys,
            "owners": owners,
            "covers": covers,
            "starts": starts,
            "offsets": offsets,
            "over": over,
            "spans": np.cumsum([0, *map(len, names)], dtype=np.uint64),
            "names": b"".join(names),
            "texts": msgspec.json.encode(texts),
        }
        counts = np.bincount(owners, minlength=len(known))
        for owner in [row[4] for row in rows] + [owner for found in texts.values() for owner in found]:
            counts[owner] += 1
        sizes = [int(sum(n for p, n in zip(known, counts, strict=True) if p.kind is kind)) for kind in ListKind]
        return Table(sections | {"meta": msgspec.json.encode(Meta(tuple(sizes), _digest(sections)))})

    def _used(self) -> list[Provenance]:
        """Those that entries have: what was removed leaves no trace."""
        used = {int(owner) for owner in np.unique(np.frombuffer(self._owners, dtype=np.uint32))}
        used |= {cover[4] for cover in self._covers} | {owner for found in self._texts.values() for owner in found}
        return [provenance for provenance, owner in self._ids.items() if owner in used]

    def _numbers(self, rank: NDArray[np.uint32]) -> tuple[k.Keys, NDArray[Any]]:
        keys = np.frombuffer(self._keys, dtype=np.uint64)
        owners = rank[np.frombuffer(self._owners, dtype=np.uint32)]
        order = np.lexsort((owners, keys))
        keys, owners = keys[order], owners[order]
        fresh = np.ones(len(keys), dtype=bool)
        fresh[1:] = (keys[1:] != keys[:-1]) | (owners[1:] != owners[:-1])
        narrow = np.uint16 if len(rank) <= 1 << 16 else np.uint32
        return keys[fresh], owners[fresh].astype(narrow)

    def _id(self, provenance: Provenance) -> int:
        return self._ids.setdefault(provenance, len(self._ids))


def build(entries: Iterable[Entry]) -> Table:
    """The table of some entries."""
    builder = Builder()
    for entry in entries:
        builder.add(entry)
    return builder.build()


def _digest(sections: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for section in sections.values():
        digest.update(section)
    return digest.hexdigest()[:16]


def _reach(entry: Entry) -> tuple[int, int]:
    """``(length, digits)``: the length that numbers must have (0: any), and how many leading digits are fixed."""
    first, last = k.digits_of(entry.number), k.digits_of(entry.last)
    if entry.prefix:
        return 0, len(first)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=True)) if a != b), len(first))
    return len(first), min(same, EXACT - 1)


def _taken(provenance: Provenance, removals: Iterable[Removal]) -> bool:
    return any(removal.takes(provenance) for removal in removals)
