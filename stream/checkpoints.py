"""What is counted, on disk now and then: a worker that comes back reads the log from there on, not a window back.

1. **Hold** the next round, until the broker has all that is decided: memory and log are the same.
2. **Fork.** The child has the memory of that moment, writes it at its leisure and ends; the worker goes on at once.

Milliseconds for 1 and 2, whatever the number of callers. A folder that all workers share also serves those who take a
shard over from another. What is damaged, old or of another build is not used: the log tells the same, only slower.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from detectors.engine import Engine
from stream import checkpoint
from stream.checkpoint import Checkpoint
from stream.clock import Clock
from stream.metrics import Metrics
from stream.progress import Progress
from stream.settings import Settings

log = logging.getLogger(__name__)

HOLD: Final = 0.25  # seconds that the agents are held at most; else the next time
_LOOK: Final = 0.001  # seconds between looks whether all is delivered
_NICE: Final = 10


class Checkpoints:
    """Those of one worker."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        progress: Progress,
        *,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._every, self._folder = settings.checkpoint_seconds, settings.checkpoint_folder
        self._name = f"{settings.topic_prefix}{settings.group}"
        self._max_callers = settings.max_callers
        self._engine, self._progress = engine, progress
        self._metrics, self._clock = metrics, clock

    def read(self, shard: int) -> Checkpoint | None:
        """The last one of a shard, if it can be used."""
        return checkpoint.read(self._path(shard), self._fits()) if self._every else None

    async def run(self, ends: Callable[[], Mapping[int, int]]) -> None:
        """Take one now and then, until cancelled.

        Args:
            ends: asked for our shards, each with the offset after our last decision there.
        """
        while self._every:
            await asyncio.sleep(self._every)
            try:
                await self._take(ends)
            except OSError as error:
                log.warning("%s: %s: no checkpoint; tried again in %g s", self._folder, error.strerror, self._every)

    async def _take(self, ends: Callable[[], Mapping[int, int]]) -> None:
        started, gate = self._clock.monotonic(), self._progress.gate
        if not gate.is_set():  # somebody else holds them
            return
        gate.clear()
        try:
            async with asyncio.timeout(HOLD):
                while self._progress.undelivered:  # noqa: ASYNC110 - a matter of milliseconds
                    await asyncio.sleep(_LOOK)
            child = self._fork(ends())
        except TimeoutError:
            return
        finally:
            gate.set()
        self._metrics.checkpoint_hold.observe(self._clock.monotonic() - started)
        if child:
            _, status = await asyncio.to_thread(os.waitpid, child, 0)
            self._metrics.checkpoints.labels("refused" if status else "done").inc()
            self._metrics.checkpoint_seconds.set(self._clock.monotonic() - started)

    def _fork(self, ends: Mapping[int, int]) -> int:
        """The process that writes; 0 if there is nothing to write."""
        found = {
            shard: Checkpoint(self._engine.memory(shard), self._progress.of(shard), end) for shard, end in ends.items()
        }
        if not found:
            return 0
        self._folder.mkdir(parents=True, exist_ok=True)
        if child := os.fork():
            return child
        try:  # from here on nothing of the worker may be touched: no loop, no log, no lock
            gc.disable()
            os.nice(_NICE)
            for shard, each in found.items():
                checkpoint.write(self._path(shard), each, self._fits())
        except BaseException:  # noqa: BLE001 - told by the status
            os._exit(1)
        os._exit(0)

    def _fits(self) -> str:
        return f"{self._name}/{self._engine.snapshot.rules.window_seconds}/{self._max_callers}"

    def _path(self, shard: int) -> Path:
        return self._folder / f"{self._name}-{shard}.memory"
