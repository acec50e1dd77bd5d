"""What the lists say about a number: tables in layers, the newest on top, each with what it takes from those below."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from detectors.lists.build import Builder, Removal, Removals, build
from detectors.lists.entry import Entry, ListKind, Provenance
from detectors.lists.table import Match, Table, strongest_first
from detectors.model.numbers import Canonical
from detectors.normalise import key as k
from detectors.rollout import NO_ROLLOUT, Rollout


class Layer(NamedTuple):
    """A table, and what it removes from the layers below it.

    Attributes:
        feed: the list feed that it is the content of; "" for files and for what people entered.
        serial: what its maker calls this version of the content.
        staged: it is new content on trial, and the feed's content in force is a layer too.
    """

    table: Table
    removed: Removals = {}  # noqa: RUF012 - never written to
    feed: str = ""
    serial: str = ""
    staged: bool = False


class NumberIndex:
    """Look-up of numbers, prefixes and ranges. Never changed: a new version is a new index.

    Every entry over a number is considered; among those in force at the event's time the highest ``ListKind`` wins
    (protected > immutable > allow > block > grey), then exact over prefix, then the longest prefix.

    Args:
        entries: make the only layer, unless ``layers`` are given.
        layers: from the lowest to the newest.
        rollout: the stages of the feeds; what is *protected* is so in every stage.
    """

    def __init__(
        self, entries: Iterable[Entry] = (), *, layers: Sequence[Layer] = (), rollout: Rollout = NO_ROLLOUT
    ) -> None:
        self.layers = tuple(layers) or (Layer(build(entries)),)
        self._renewed = {layer.feed for layer in self.layers if layer.staged}
        self.rollout, self.on_trial = rollout, self._trials(rollout)
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
        return NumberIndex(layers=(*self.layers, Layer(build(added), removed)), rollout=self.rollout)

    def staged(self, rollout: Rollout) -> NumberIndex:
        """The same layers in other stages. Costs next to nothing: the brake does it between two events."""
        other = copy.copy(self)
        other.rollout, other.on_trial = rollout, self._trials(rollout)
        return other

    def _trials(self, rollout: Rollout) -> set[str]:
        """Feeds of which a part acts, or acts on some: only then do views differ."""
        trials = {feed for feed, stage in rollout.feeds.items() if stage.mode != "enforce"}
        return self._renewed | {layer.feed for layer in self.layers if layer.feed in trials}

    def compacted(self) -> Table:
        """All layers in one table. Seconds for millions: in another process."""
        builder = Builder()
        for i, layer in enumerate(self.layers):
            gone: Removals = {}
            for above in self.layers[i + 1 :]:
                for place, removals in above.removed.items():
                    here = (Removal(r.kind, r.source) for r in removals if r.feed in (None, layer.feed))
                    gone[place] = (*gone.get(place, ()), *here)
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
        """The entry that counts for ``number`` at event time ``time`` (ms UTC), whatever the stages."""
        best = self._best(self._matches(number), time)
        return best.provenance if best else None

    def views(self, number: Canonical, time: int, subject: Canonical) -> tuple[Match | None, Match | None]:
        """The entry that counts for ``number`` where ``subject`` acts, and the one that would if all was enforced."""
        if not self.on_trial:
            found = self._best(self._matches(number), time)
            return found, found
        now, then = [], []
        for match, layer in self._all(number):
            acts, would = self._counts(layer, subject)
            if acts or match.provenance.kind is ListKind.PROTECTED:
                now.append(match)
            if would or match.provenance.kind is ListKind.PROTECTED:
                then.append(match)
        return self._best(now, time), self._best(then, time)

    def _counts(self, layer: Layer, subject: Canonical) -> tuple[bool, bool]:
        """Whether a layer counts for a subject, and whether it would if its feed was enforced."""
        if layer.feed not in self.on_trial:
            return True, True
        acts = self.rollout.feed_acts(layer.feed, subject)
        older = self._is_older(layer)
        return acts != older, not older

    def _is_older(self, layer: Layer) -> bool:
        return not layer.staged and layer.feed in self._renewed

    @staticmethod
    def _best(matches: Iterable[Match], time: int) -> Match | None:
        best: Match | None = None
        for match in matches:
            if match.provenance.in_force(time) and (best is None or _order(match) < _order(best)):
                best = match
        return best

    def explain(self, number: Canonical) -> list[Match]:
        """Every entry over ``number``, in force or not, the strongest first."""
        return sorted(self._matches(number), key=_order)

    def _matches(self, number: Canonical) -> Iterator[Match]:
        for match, _ in self._all(number):
            yield match

    def _all(self, number: Canonical) -> Iterator[tuple[Match, Layer]]:
        above: list[Removals] = []
        for layer in reversed(self.layers):
            for match in layer.table.matches(number):
                gone = (removal for removed in above for removal in removed.get(match.place, ()))
                if not any(removal.takes(match.provenance, layer.feed) for removal in gone):
                    yield self._from(layer, match), layer
            above.append(layer.removed)

    def _from(self, layer: Layer, match: Match) -> Match:
        if not layer.feed:
            return match
        return match._replace(feed=layer.feed, serial=layer.serial, older=self._is_older(layer))

    def _digest(self) -> str:
        if len(self.layers) == 1:
            return self.layers[0].table.digest
        digest = hashlib.sha256()
        for table, removed, feed, _, staged in self.layers:
            gone = sorted((repr(place), sorted(map(repr, each))) for place, each in removed.items())
            digest.update(f"{table.digest}{gone}{feed, staged}".encode())
        return digest.hexdigest()[:16]


def _order(match: Match) -> tuple[int, int, tuple[object, ...]]:
    """The strongest first: kind, then how specific; equals in the one order that all tables have."""
    return -match.provenance.kind, -match.digits, strongest_first(match.provenance)
