"""What the lists say about a number: tables in layers, the newest on top, each with what it takes from those below."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from detectors.lists.build import Builder, Removals, build
from detectors.lists.entry import Entry, ListKind, Provenance
from detectors.lists.table import Match, Table, strongest_first
from detectors.model.numbers import Canonical
from detectors.normalise import key as k


class Layer(NamedTuple):
    """A table, and what it removes from the layers below it."""

    table: Table
    removed: Removals = {}  # noqa: RUF012 - never written to


class NumberIndex:
    """Look-up of numbers, prefixes and ranges. Never changed: a new version is a new index.

    Every entry over a number is considered; among those in force at the event's time the highest ``ListKind`` wins
    (protected > immutable > allow > block > grey), then exact over prefix, then the longest prefix.

    Args:
        entries: make the only layer, unless ``layers`` are given.
        layers: from the lowest to the newest.
    """

    def __init__(self, entries: Iterable[Entry] = (), *, layers: Sequence[Layer] = ()) -> None:
        self.layers = tuple(layers) or (Layer(build(entries)),)
        self.sizes = dict.fromkeys(ListKind, 0)
        for layer in self.layers:
            for kind, size in layer.table.sizes.items():
                self.sizes[kind] += size
        self.version = f"{len(self)}-{self._digest()}"
        self._long = any(layer.table.texts for layer in self.layers)

    def __len__(self) -> int:
        return sum(self.sizes.values())

    def with_delta(self, added: Iterable[Entry], removed: Removals) -> NumberIndex:
        """A new index with ``added`` on top of this one and without what ``removed`` takes away."""
        return NumberIndex(layers=(*self.layers, Layer(build(added), removed)))

    def compacted(self) -> Table:
        """All layers in one table. Seconds for millions: in another process."""
        builder = Builder()
        for i, layer in enumerate(self.layers):
            gone: Removals = {}
            for above in self.layers[i + 1 :]:
                for place, removals in above.removed.items():
                    gone[place] = gone.get(place, ()) + removals
            builder.add_table(layer.table, gone)
        return builder.build()

    def touched(self, numbers: Sequence[Canonical], keys: k.Keys) -> list[int]:
        """Positions in ``numbers`` (with their ``keys``) of those that an entry may be over: in real traffic a few of
        hundreds.

        0.4 us a number in batches of 1,000; asking ``find`` about each costs ten times that.
        """
        order = np.argsort(keys)  # sorted, the searches stay in the cache
        found = np.zeros(len(keys), dtype=bool)
        for layer in self.layers:
            found[order] |= layer.table.touched(keys[order])
        positions: list[int] = np.flatnonzero(found).tolist()
        if self._long:
            texts = [i for i, n in enumerate(numbers) if any(n in layer.table.texts for layer in self.layers)]
            positions = sorted({*positions, *texts})
        return positions

    def find(self, number: Canonical, time: int) -> Provenance | None:
        """The entry that counts for ``number`` at event time ``time`` (ms UTC)."""
        best: Match | None = None
        for match in self._matches(number):
            if match.provenance.in_force(time) and (best is None or _order(match) < _order(best)):
                best = match
        return best.provenance if best else None

    def explain(self, number: Canonical) -> list[Match]:
        """Every entry over ``number``, in force or not, the strongest first."""
        return sorted(self._matches(number), key=_order)

    def _matches(self, number: Canonical) -> Iterator[Match]:
        above: list[Removals] = []
        for layer in reversed(self.layers):
            for match in layer.table.matches(number):
                gone = (removal for removed in above for removal in removed.get(match.place, ()))
                if not any(removal.takes(match.provenance) for removal in gone):
                    yield match
            above.append(layer.removed)

    def _digest(self) -> str:
        if len(self.layers) == 1:
            return self.layers[0].table.digest
        digest = hashlib.sha256()
        for layer in self.layers:
            digest.update(f"{layer.table.digest}{sorted(map(repr, layer.removed.items()))}".encode())
        return digest.hexdigest()[:16]


def _order(match: Match) -> tuple[int, int, tuple[object, ...]]:
    """The strongest first: kind, then how specific; equals in the one order that all tables have."""
    return -match.provenance.kind, -match.digits, strongest_first(match.provenance)
