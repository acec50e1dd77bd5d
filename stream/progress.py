"""How far a worker is: what its agents, its shards and the filling of windows tell one another."""

from __future__ import annotations

import asyncio

Key = tuple[str, int]  #: topic, partition


class Progress:
    """Attributes:
    decided: of each input partition the offset that is decided next.
    undelivered: chunks that are decided, but whose decisions the broker has not acknowledged.
    gate: before the next chunk is decided.
    """

    def __init__(self) -> None:
        self.decided: dict[Key, int] = {}
        self.undelivered = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def of(self, shard: int) -> dict[str, int]:
        """By topic what is decided of the partitions of this number."""
        return {topic: offset for (topic, number), offset in self.decided.items() if number == shard}

    def forget(self, shard: int) -> None:
        """Nothing is known of the partitions of this number any more."""
        for key in [key for key in self.decided if key[1] == shard]:
            del self.decided[key]
