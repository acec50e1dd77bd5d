"""A pack that counts over other windows comes into force once they are filled from the log: ``stream.backfill``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from detectors.engine import Engine, Snapshot
from detectors.keywords import Automaton
from detectors.registry import Memory
from stream.backfill import Backfill
from stream.clock import Clock

log = logging.getLogger(__name__)


class Refill:
    """Fills windows for one engine, one pack at a time; of several the last counts.

    Args:
        compose: makes the snapshot of a pack with the lists and stages of the moment.
    """

    def __init__(
        self,
        engine: Engine,
        backfill: Callable[[], Backfill],
        *,
        compose: Callable[[Automaton], Snapshot],
        clock: Clock,
    ) -> None:
        self._engine, self._backfill, self._compose, self._clock = engine, backfill, compose, clock
        self._task: asyncio.Task[None] | None = None
        self._filled: Automaton | None = None
        self.problem = ""

    def needed(self, automaton: Automaton) -> bool:
        """Whether a pack counts over other windows than the engine does. If not, what is being filled is moot."""
        self.stop()
        return automaton.pack.window_seconds != self._engine.snapshot.rules.window_seconds

    def start(self, automaton: Automaton) -> None:
        """Fill the windows of a pack, then put it in force with the lists and stages that the engine has by then."""
        self._task = asyncio.get_running_loop().create_task(self._run(automaton))

    @property
    def running(self) -> bool:
        """Whether windows are being filled."""
        return self._task is not None and not self._task.done()

    @property
    def done(self) -> bool:
        """Whether windows have been filled, and nobody has taken note."""
        return self._filled is not None

    def take_problem(self) -> str:
        """Why windows could not be filled, once; "" if there was nothing."""
        problem, self.problem = self.problem, ""
        return problem

    def take(self) -> Automaton | None:
        """The pack that is in force now, once."""
        filled, self._filled = self._filled, None
        return filled

    def stop(self) -> None:
        """Give up what is being filled."""
        if self._task is not None:
            self._task.cancel()
        self._task = self._filled = None

    async def _run(self, automaton: Automaton) -> None:
        current, started = self._engine, self._clock.monotonic()
        window = automaton.pack.window_seconds

        def switch(memories: Mapping[int, Memory]) -> None:
            current.adopt(memories, self._compose(automaton))
            self._filled = automaton

        log.info("rules %s count over %d s: their windows are being filled", automaton.pack.version, window)
        backfill = self._backfill()
        try:
            await backfill.run(lambda: current.empty(self._compose(automaton)), switch)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("the windows of the new rules could not be filled; the old rules stay in force")
            self.problem = f"the windows of the new rules could not be filled: {type(error).__name__}"
            return
        seconds = self._clock.monotonic() - started
        log.info("windows of %d s filled with %s events in %.1f s", window, f"{backfill.events:,}", seconds)
