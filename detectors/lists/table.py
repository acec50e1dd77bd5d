"""Entries as sorted arrays: 8 bytes a number and 2 or 4 for its provenance. Built once, never changed; it is the same
in memory and in a file that the workers of a machine map and share (detectors/lists/file.py).

    keys, owners           numbers, sorted, and the provenance of each (equal keys: several entries for a number)
    covers                 prefixes and ranges: what they reach from and to, how specific they are, their provenance
    starts, offsets, over  the number space cut where a cover begins or ends; for each piece, the covers over it
    texts                  keys that are no numbers of up to 15 digits, with their provenances
    meta                   entries by list, and a digest of all the rest
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.lists.entry import Entry, ListKind, Provenance
from detectors.normalise import key as k

SECTIONS = ("keys", "owners", "covers", "starts", "offsets", "over", "spans", "names", "texts", "meta")
COVER = np.dtype([("low", "<u8"), ("high", "<u8"), ("length", "<u1"), ("digits", "<u1"), ("owner", "<u4")])
EXACT = 255  #: how specific an exact entry is; a prefix: its digits


Place = str | int | tuple[int, int]


class Match(NamedTuple):
    """An entry over a number."""

    place: Place
    digits: int  #: how many it fixes: ``EXACT`` for a number of its own
    owner: int
    provenance: Provenance
    feed: str = ""  #: of the layer that it is in, as an index has it
    serial: str = ""
    older: bool = False  #: in what the feed had before the content that is on trial


class Meta(msgspec.Struct, frozen=True):
    """What is worked out once, when the table is built."""

    sizes: tuple[int, ...]  #: entries by ``ListKind``
    digest: str


class Table:
    """Look-up in the arrays. ``sections`` maps each name in ``SECTIONS`` to its array or bytes."""

    def __init__(self, sections: dict[str, Any]) -> None:
        self.sections = sections
        self.keys: k.Keys = sections["keys"]
        self.owners, self.covers = sections["owners"], sections["covers"]
        self._starts, self._offsets, self._over = sections["starts"], sections["offsets"], sections["over"]
        self._spans, self._names = sections["spans"], sections["names"]
        # Single look-ups go through these: a number out of a numpy array costs ten times one out of a list.
        self._sorted = memoryview(self.keys)
        self._start, self._offset = memoryview(self._starts), memoryview(self._offsets)
        self._piece = memoryview(self._over)
        self.texts: dict[str, list[int]] = msgspec.json.decode(bytes(sections["texts"]))
        meta = msgspec.json.decode(bytes(sections["meta"]), type=Meta)
        self.sizes = {ListKind(kind): size for kind, size in enumerate(meta.sizes)}
        self.digest = meta.digest  #: 16 hex digits; the same for the same entries in any order
        self._known: dict[int, Provenance] = {}

    def __len__(self) -> int:
        return len(self.keys) + len(self.covers) + sum(map(len, self.texts.values()))

    @property
    def provenances(self) -> list[Provenance]:
        """All of them; an entry's owner is the index here. The stronger of two has the lower index."""
        return [self.provenance(i) for i in range(len(self._spans) - 1)]

    def touched(self, keys: k.Keys) -> NDArray[np.bool_]:
        """For each key whether any entry may be over it. Sorted keys are looked up several times faster."""
        if len(self.keys):
            at = np.searchsorted(self.keys, keys)
            at[at == len(self.keys)] = 0
            found: NDArray[np.bool_] = self.keys[at] == keys
        else:
            found = np.zeros(len(keys), dtype=bool)
        if len(self.covers):
            piece = np.searchsorted(self._starts, keys, side="right")
            found |= self._offsets[piece] != self._offsets[piece + 1]
        return found

    def matches(self, number: str) -> Iterator[Match]:
        """Every entry over ``number``, in force or not."""
        value = k.key(number)
        if k.is_exact(number):
            at = bisect_left(self._sorted, value)
            while at < len(self._sorted) and self._sorted[at] == value:
                yield self._match(value, EXACT, int(self.owners[at]))
                at += 1
        else:
            yield from (self._match(number, EXACT, owner) for owner in self.texts.get(number, ()))
        if not value:
            return
        length = len(k.digits_of(number))
        piece = bisect_right(self._start, value)
        for i in self._piece[self._offset[piece] : self._offset[piece + 1]]:
            low, high, needed, digits, owner = self.covers[i].item()
            if not needed or needed == length:
                yield self._match((low, high), digits, owner)

    def entries(self) -> Iterator[Entry]:
        """All entries, as objects. Slow for millions: for exports and tests."""
        for value, owner in zip(self.keys.tolist(), self.owners.tolist(), strict=True):
            yield Entry(k.number_of(value), self.provenance(owner))
        for low, high, length, _, owner in self.covers.tolist():
            if length:
                yield Entry(k.number_of(low), self.provenance(owner), last=k.number_of(high - 1))
            else:
                yield Entry(k.number_of(low), self.provenance(owner), prefix=True)
        for text, owners in self.texts.items():
            yield from (Entry(text, self.provenance(owner)) for owner in owners)

    def _match(self, at: Place, digits: int, owner: int) -> Match:
        return Match(at, digits, owner, self.provenance(owner))

    def provenance(self, owner: int) -> Provenance:
        """What entries of this owner say; decoded when first asked for."""
        found = self._known.get(owner)
        if found is None:
            data = self._names[int(self._spans[owner]) : int(self._spans[owner + 1])]
            found = self._known[owner] = msgspec.json.decode(bytes(data), type=Provenance)
        return found


def cut(covers: NDArray[Any]) -> tuple[k.Keys, NDArray[np.uint32], NDArray[np.uint32]]:
    """``starts, offsets, over``: ``over[offsets[i]:offsets[i + 1]]`` are the covers over the keys of piece ``i``, which
    ends before ``starts[i]``. Nothing is over the first piece, nor over the last.
    """
    edges: dict[int, tuple[list[int], list[int]]] = {}
    for i, cover in enumerate(covers):
        edges.setdefault(int(cover["low"]), ([], []))[0].append(i)
        edges.setdefault(int(cover["high"]), ([], []))[1].append(i)
    offsets, over, active = [0, 0], [], set[int]()
    for _, (begin, end) in sorted(edges.items()):
        active.difference_update(end)
        active.update(begin)
        over.extend(sorted(active))
        offsets.append(len(over))
    return (
        np.array(sorted(edges), dtype=np.uint64),
        np.array(offsets, dtype=np.uint32),
        np.array(over, dtype=np.uint32),
    )


def strongest_first(p: Provenance) -> tuple[int, str, int, int, float, str]:
    """Orders provenances; of two that differ only in expiry the one that lasts comes first."""
    return (-p.kind, p.source, p.added, -(p.expires or 1 << 62), p.weight or 0.0, p.reason)


def place(entry: Entry) -> Place:
    """What tells where an entry is from any other: its text, its key, or the bounds ``[low, high)`` that it covers."""
    if entry.prefix:
        return k.prefix_bounds(entry.number)
    if entry.last:
        return k.key(entry.number), k.key(entry.last) + 1
    return k.key(entry.number) if k.is_exact(entry.number) else entry.number
