"""SIGHUP: lists and rules are read again and put in force between two chunks; what is refused changes nothing."""

from __future__ import annotations

import asyncio
import logging

from detectors.engine import Engine, Snapshot
from detectors.model.errors import LanjieError
from stream.clock import Clock
from stream.metrics import Metrics
from stream.model_files import read_model
from stream.rule_files import build_in_background
from stream.settings import Settings
from stream.sources import read_lists, report

log = logging.getLogger(__name__)


class Reloader:
    """Reloads for one engine, one at a time. What is slow is done by another process (rules) or thread (lists)."""

    def __init__(self, engine: Engine, settings: Settings, *, metrics: Metrics, clock: Clock) -> None:
        self._engine, self._settings, self._metrics, self._clock = engine, settings, metrics, clock
        self._wanted = False
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """Reload soon. Asked while a reload runs, there is one more after it."""
        self._wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._wanted:
            self._wanted = False
            await self.reload()

    async def reload(self) -> None:
        """Read, build, swap."""
        started = self._clock.monotonic()
        try:
            automaton = await build_in_background(self._settings.rules)
            self._metrics.automaton_seconds.set(self._clock.monotonic() - started)
            index = await asyncio.to_thread(read_lists, self._settings.lists, self._metrics)
            model = read_model(self._settings.model) if self._settings.model else None
            snapshot = Snapshot.of(automaton, index, model)
            self._engine.swap(snapshot)
        except (LanjieError, OSError) as error:
            self._metrics.reloads.labels("refused").inc()
            log.error("reload refused, lists and rules in force stay: %s", error)  # noqa: TRY400 - the user's mistake
        else:
            self._metrics.reloads.labels("done").inc()
            seconds, now = self._clock.monotonic() - started, self._clock.wall_ms() / 1000
            report(snapshot, self._metrics, seconds=seconds, now=now)
