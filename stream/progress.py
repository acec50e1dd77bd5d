"""How far a worker is: what its agents, its shards and the filling of windows tell one another."""

from __future__ import annotations

import asyncio
from typing import Final

#: Seconds. A dead worker's partitions are free after this; above 3 heartbeats, so that a busy one is not thrown out.
SESSION_TIMEOUT: Final = 10.0
Key = tuple[str, int]  #: topic, partition


class StoodStill(Exception):  # noqa: N818 - what it did, and why it stops
    """The process did not run for longer than its session: others have its partitions by now, and it does not know."""


class Progress:
    """Attributes:
    decided: of each input partition the offset that is decided next.
    undelivered: chunks that are decided, but whose decisions the broker has not acknowledged.
    gate: before the next round.
    """

    def __init__(self) -> None:
        self.decided: dict[Key, int] = {}
        self.undelivered = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._ran: float | None = None  # clock.monotonic() when ``runs`` was said last

    def runs(self, now: float) -> None:
        """Said several times within a session.

        Raises:
            StoodStill: it was not.
        """
        self.check(now)
        self._ran = now

    def check(self, now: float) -> None:
        """Before events are decided by what is counted here.

        Raises:
            StoodStill: others may have decided meanwhile.
        """
        if self._ran is not None and now - self._ran > SESSION_TIMEOUT:
            raise StoodStill(f"for {now - self._ran:.0f} s")

    def of(self, shard: int) -> dict[str, int]:
        """By topic what is decided of the partitions of this number."""
        return {topic: offset for (topic, number), offset in self.decided.items() if number == shard}

    def forget(self, shard: int) -> None:
        """Nothing is known of the partitions of this number any more."""
        for key in [key for key in self.decided if key[1] == shard]:
            del self.decided[key]
