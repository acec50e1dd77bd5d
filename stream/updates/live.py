"""From changes on the topics, and from files on SIGHUP, to the snapshot that the engine decides by.

What is slow is done elsewhere: tables are mapped and checked in a thread, the automaton is built by another process.
The engine swaps between two rounds. What cannot be had changes nothing, is told, and is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from typing import Final

import msgspec

from detectors.engine import Engine, Snapshot
from detectors.keywords import Automaton
from detectors.lists import NumberIndex
from detectors.lists.index import Layer
from detectors.model.errors import LanjieError
from detectors.rollout import Rollout
from detectors.score import ScoreModel
from stream.backfill import Backfill
from stream.clock import Clock
from stream.deadletter import DeadLetters
from stream.metrics import Metrics
from stream.model_files import read_model
from stream.output import Output
from stream.rule_files import build_in_background
from stream.settings import Settings
from stream.sources import read_lists, report
from stream.topics import WORKERS
from stream.updates.aside import aside
from stream.updates.build import Kept, Problems, index_of, rollout_of
from stream.updates.follower import Follower
from stream.updates.library import Library
from stream.updates.refill import Refill
from stream.updates.shown import show
from stream.updates.state import State
from stream.updates.workers import WorkerState

log = logging.getLogger(__name__)

#: Seconds until what could not be had is tried again.
RETRY: Final = 5.0
#: Seconds until a pack that could not be built is built again: that takes a second, in which other changes wait.
REBUILD: Final = 60.0
NOTHING: Final = "nothing"  #: the source of no automaton
FILLING: Final = "the windows of the new rules are being filled from the log"
#: Seconds between looks at what was asked, where no topics are followed.
IDLE: Final = 0.1


class Live:
    """Keeps one engine up to date.

    Attributes:
        problems: what could not be had, so that something older, or nothing, is in force in its place.
    """

    def __init__(self, settings: Settings, *, metrics: Metrics, clock: Clock) -> None:
        self._settings, self._metrics, self._clock = settings, metrics, clock
        self._library = Library(settings)
        self._follower = Follower(settings, metrics=metrics, clock=clock) if settings.updates else None
        self._automaton: Automaton | None = None
        self._source: object = None  # of the automaton: the digest of a published pack, or None for a folder
        self._base: tuple[Layer, ...] = ()  # of the list files
        self._model: ScoreModel | None = None
        self._feeds: dict[str, Kept] = {}
        self._failed: tuple[str, float, LanjieError] | None = None  # pack, when to try again, why
        self._asked = False
        self._refill: Refill | None = None
        self.problems: Problems = []

    async def first(self) -> Snapshot:
        """The first snapshot, once all that is on the topics has been read and could be had.

        Raises:
            LanjieError, OSError: files cannot be used.
        """
        started = self._clock.monotonic()
        await self._read_files()
        if self._follower:
            await self._follower.start()
        while True:
            snapshot = await self._build(files=True)
            if snapshot and not self.problems:
                self._report(snapshot, started)
                return snapshot
            for problem in self.problems:
                log.error("not ready: %s", problem)
            retry = self._clock.monotonic() + RETRY
            while self._clock.monotonic() < retry:
                await asyncio.sleep(IDLE)
                if self._follower and await self._follower.follow():
                    break

    def ask(self) -> None:
        """Read the files again soon."""
        self._asked = True

    async def run(self, engine: Engine, output: Output, backfill: Callable[[], Backfill]) -> None:
        """Follow the topics, and the wishes of ``ask``, until cancelled.

        Args:
            backfill: makes what fills windows of another length.
        """
        dead_letters = DeadLetters(output)
        self._refill = Refill(
            engine,
            backfill,
            compose=lambda rules: self._compose(rules, engine.snapshot.lists),
            clock=self._clock,
        )
        await self._tell(engine, output, delay_ms=0)
        retry = 0.0
        while True:
            came = await self._follower.follow() if self._follower else await asyncio.sleep(IDLE, 0)
            if self._follower and self._follower.refused:
                refused, self._follower.refused = self._follower.refused, []
                await dead_letters.send(refused)
            again = self.problems and self._clock.monotonic() >= retry
            if came or self._asked or again or self._refill.done or self._refill.problem:
                try:
                    await self._renew(engine)
                except Exception as error:  # whatever it is, what is in force goes on deciding
                    log.exception("lists and rules in force stay")
                    self.problems = [type(error).__name__]
                retry = self._clock.monotonic() + RETRY
                await self._tell(engine, output, delay_ms=self._delay() if came else 0)

    async def stop(self) -> None:
        """Disconnect."""
        if self._refill:
            self._refill.stop()
        if self._follower:
            await self._follower.stop()

    async def _renew(self, engine: Engine) -> None:
        """Build and swap; what is refused changes nothing."""
        started = self._clock.monotonic()
        self._throw_switch(engine)
        asked, self._asked = self._asked, False
        file_problems = []
        if asked:
            try:
                await self._read_files()
            except (LanjieError, OSError) as error:
                file_problems = [str(error)]
        snapshot = await self._build(files=asked)
        self.problems += file_problems
        if snapshot:
            try:
                engine.swap(snapshot)
            except LanjieError as error:
                self.problems.append(str(error))
        for problem in self.problems:
            log.error("refused, what was in force stays: %s", problem)
        if asked:
            self._metrics.reloads.labels("refused" if self.problems else "done").inc()
        self._report(engine.snapshot, started)
        if file_problems and len(self.problems) == len(file_problems):
            self.problems = []  # told; files are read again when somebody asks, not by themselves

    def _throw_switch(self, engine: Engine) -> None:
        """At once: in an emergency nobody waits for what else has to be fetched and built."""
        state, now = self._follower.state if self._follower else State(), engine.snapshot
        if state.enforcement == now.rollout.enforcement:
            return
        engine.swap(now.staged(now.rollout.switched(enforcement=state.enforcement)))
        self._metrics.enforcement.set(state.enforcement)
        by = f" by {state.switch.change.author}" if state.switch else ""
        log.warning("enforcement is %s%s", "on" if state.enforcement else "off: every event passes", by)

    async def _read_files(self) -> None:
        settings = self._settings
        base = await asyncio.to_thread(read_lists, settings.lists, self._metrics) if settings.lists else None
        model = read_model(settings.model) if settings.model else None
        self._base, self._model = base.layers if base else (), model

    async def _build(self, *, files: bool) -> Snapshot | None:
        """The snapshot of what is known now; ``problems`` are those of this time. None: there are no rules yet."""
        self.problems = [self._follower.problem] if self._follower and self._follower.problem else []
        state = self._follower.state if self._follower else State()
        try:
            await self._load_rules(state, again=files)
        except LanjieError as error:
            if self._automaton is None and state.pack is None:
                raise  # a folder that we were told to use
            self.problems.append(f"rules: {error}")
        index = await index_of(state, self._library, self._base, last=self._feeds, problems=self.problems)
        if (automaton := self._automaton) is None:
            return None
        return self._compose(automaton, index)

    def _compose(self, automaton: Automaton, index: NumberIndex) -> Snapshot:
        """With the model, and with the stages of these very rules."""
        versions = {rule.id: str(rule.version) for rule in automaton.pack.rules}
        state = self._follower.state if self._follower else State()
        # The stages of feeds are those of the index: what could not be had is as it was, stage and all.
        known = rollout_of(state, versions)
        stages = Rollout(known.rules, index.rollout.feeds, enforcement=known.enforcement)
        return Snapshot.of(automaton, index, self._model, stages)

    async def _load_rules(self, state: State, *, again: bool) -> None:
        """Build the automaton of the published pack, else of the folder that the settings name, if it is another one.

        Raises:
            LanjieError: it cannot be had.
        """
        if self._refill and (filled := self._refill.take()):
            self._automaton = filled
        if self._refill and (problem := self._refill.take_problem()):
            self._source = NOTHING  # it is built and filled again
            raise LanjieError(problem)
        content = state.pack.value.content if state.pack else None
        source = content.digest if content else None
        if self._automaton is None or source != self._source or (again and content is None):
            started = self._clock.monotonic()
            if self._failed and self._failed[0] == source and started < self._failed[1] and not again:
                raise self._failed[2]
            folder = await self._library.pack(content) if content else self._settings.rules
            try:
                built, self._source = await build_in_background(folder), source
            except LanjieError as error:
                self._failed = (source or "", started + REBUILD, error)
                raise
            if self._refill and self._refill.needed(built):
                self._refill.start(built)  # until its windows are filled the old rules are in force
            else:
                self._automaton = built
            self._metrics.automaton_seconds.set(self._clock.monotonic() - started)

    def _report(self, snapshot: Snapshot, started: float) -> None:
        now = self._clock.wall_ms() / 1000
        report(snapshot, self._metrics, seconds=self._clock.monotonic() - started, now=now)
        if self._follower:
            show(self._follower.state, self._metrics)

    def _delay(self) -> int:
        """Milliseconds from when the newest change was on its topic to now, when it is in force."""
        delay = max(0, self._clock.wall_ms() - self._follower.newest) if self._follower else 0
        self._metrics.change_delay.observe(delay / 1000)
        return delay

    async def _tell(self, engine: Engine, output: Output, *, delay_ms: int) -> None:
        """Other workers' operators, and our own next start."""
        if self._follower is None:
            return
        state, now = self._follower.state, self._clock.wall_ms()
        refused = [*self.problems, *([FILLING] if self._refill and self._refill.running else [])]
        told = WorkerState(
            state.serial, engine.lists_version, engine.rules_version, now, delay_ms, "; ".join(refused)[:500]
        )
        name = f"{self._settings.group}/{socket.gethostname()}/{os.getpid()}".encode()
        topic = self._settings.named(WORKERS).name
        await output.send_one(topic, 0, name, msgspec.json.encode(told), [])
        await self._follower.save()
        contents = [c for held in state.feeds.values() for c in (held.value.content, held.value.live) if c]
        pack = [state.pack.value.content] if state.pack else []
        await aside(self._library.keep_only, {c.digest for c in (*contents, *pack)}, now / 1000)
