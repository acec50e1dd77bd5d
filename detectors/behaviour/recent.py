"""Which events came before: a producer that retries, or a chunk that is decided again, must not count twice."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

_NONE: frozenset[int] = frozenset()


class Recent:
    """The ids of the newest events: at least ``size`` of them, at most twice as many, 60 bytes each.

    Kept is Python's own hash of an id, 64 bits: that a new event is taken for an old one is never seen in practice.
    """

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._young: set[int] = set()
        self._old: set[int] = set()
        self.duplicates = 0  #: events that had come before: named, not counted

    def repeated(self, ids: Sequence[str]) -> Collection[int]:
        """Positions in ``ids`` of those that came before, in ``ids`` itself too. All are remembered."""
        fresh = set(map(hash, ids))
        if (
            len(fresh) == len(ids)
            and len(self._young) + len(fresh) <= self._size
            and self._young.isdisjoint(fresh)
            and self._old.isdisjoint(fresh)
        ):  # nearly always: four passes in C
            self._young |= fresh
            return _NONE
        found = {i for i, name in enumerate(ids) if self._came_before(hash(name))}
        self.duplicates += len(found)
        return found

    def forget(self, ids: Iterable[str]) -> None:
        """As if these had not come: what decided them failed."""
        hashes = set(map(hash, ids))
        self._young -= hashes
        self._old -= hashes

    def _came_before(self, hashed: int) -> bool:
        if hashed in self._young or hashed in self._old:
            return True
        if len(self._young) >= self._size:
            self._old, self._young = self._young, set()
        self._young.add(hashed)
        return False
