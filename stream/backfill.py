"""The windows of a new engine, filled from the log beside the live traffic, then switched to.

Needed when a rule pack counts over another length of time: what the old windows hold cannot be converted.

1. **Again.** The memory of each of our shards is made from the log (``stream.rebuild``) with the new rules, for one of
   their windows back. The live traffic has half of the time at least.
2. **Until** little is missing: what was decided meanwhile is made again as well.
3. **Hold** the next round, wait until what is decided is on the topic, make that again,
   switch, let go.

A deadline bounds 1 and 2: what is missing then is missing, which is told. If shards move meanwhile it starts anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from detectors.engine import Engine
from detectors.registry import Memory
from stream.clock import Clock
from stream.progress import Progress
from stream.rebuild import Rebuild
from stream.shards import Shards

log = logging.getLogger(__name__)

NEARLY: Final = 2_000  # events that may be missing when the agents are held: a tenth of a second
DEADLINE: Final = 600.0  # seconds
HOLD: Final = 1.0  # seconds that the agents are held at most
PAUSE: Final = 0.5  # seconds until it is tried again
_DELIVERED: Final = 0.002  # seconds between looks whether all is delivered


class Moved(Exception):  # noqa: N818 - no error: it starts anew
    """Partitions were reassigned."""


class Backfill:
    """Fills the windows of all shards that this worker has."""

    def __init__(self, shards: Shards, progress: Progress, *, clock: Clock) -> None:
        self._shards, self._progress, self._clock = shards, progress, clock
        self.events = 0  #: that were decided again

    async def run(self, make: Callable[[], Engine], switch: Callable[[Mapping[int, Memory]], None]) -> None:
        """Fill engines that ``make`` makes, one a shard, then ``switch`` to their memories between two chunks."""
        deadline = self._clock.monotonic() + DEADLINE
        while True:
            while not self._shards.live or self._shards.recovering:  # noqa: ASYNC110 - shards come when they come
                await asyncio.sleep(PAUSE)
            seconds = max(1.0, deadline - self._clock.monotonic())
            filling = {n: self._shards.rebuild_of(n, make(), seconds) for n in self._shards.live}
            try:
                for each in filling.values():
                    await each.start()
                await self._fill(filling)
                switch({n: each.engine.memory() for n, each in filling.items()})
            except Moved:
                log.info("partitions moved: the windows are filled anew")
                await asyncio.sleep(PAUSE)
            else:
                return
            finally:
                self._progress.gate.set()
                for each in filling.values():
                    await each.stop()

    async def _fill(self, filling: Mapping[int, Rebuild]) -> None:
        """When this returns the agents are held."""
        while await self._advance(filling, gently=True) > NEARLY:
            pass
        while True:
            self._progress.gate.clear()
            try:
                async with asyncio.timeout(HOLD):
                    while self._progress.undelivered:  # noqa: ASYNC110 - a matter of milliseconds
                        await asyncio.sleep(_DELIVERED)
                    await self._advance(filling)
            except TimeoutError:  # the broker is slow: let the traffic go, and try again
                self._progress.gate.set()
                await asyncio.sleep(PAUSE)
            else:
                break
        if skipped := sum(each.skipped for each in filling.values()):
            log.warning("windows: %d records are left out, there was no time for them", skipped)

    async def _advance(self, filling: Mapping[int, Rebuild], *, gently: bool = False) -> int:
        made = 0
        for each in filling.values():
            made += (now := await each.advance(gently=gently))
            self.events += now
            if filling.keys() != self._shards.live:
                raise Moved
        return made
