"""The composition root: the only place where the parts of a worker are built and joined.

    settings ── Live (files, topics) ── engine ─────┐
             ── Output (producer) ── DeadLetters ───┼── one Interceptor per input topic ── ChunkApp (consumer)
             ── Metrics ── HealthServer ────────────┘

Faust's own Worker is not used: it parses the command line, owns the loop and its exit code does not tell a crash from
a stop reliably.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, Final, TypeVar, cast

import uvloop
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry

from detectors.engine import Engine
from detectors.model.errors import LanjieError
from stream.agents.intercept import Interceptor
from stream.backfill import Progress
from stream.clock import Clock, SystemClock
from stream.deadletter import DeadLetters
from stream.metrics import Metrics
from stream.output import Output
from stream.process import Deadline, StateFile
from stream.settings import Settings
from stream.topics import ALL, DECISIONS, INPUTS
from stream.topics_admin import ensure_topics
from stream.transport import ChunkApp, ChunkConsumer, ChunkSchema
from stream.updates.brakes import Brakes
from stream.updates.live import Live
from stream.web.health import HealthServer

log = logging.getLogger(__name__)
T = TypeVar("T")

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1  # the supervisor restarts us from the last commit
#: Seconds. A dead worker's partitions are free after this; above 3 heartbeats, so that a busy one is not thrown out.
SESSION_TIMEOUT: Final = 10.0
HEARTBEAT: Final = 2.0
#: Seconds. What is redelivered after a crash is at most what was decided in this time.
COMMIT_INTERVAL: Final = 1.0
#: Seconds that a chunk may wait for its commit before we call the worker sick. Above Output's delivery timeout,
#: which ends in a failure of its own.
COMMIT_STUCK: Final = 60.0
WATCH_INTERVAL: Final = 0.5


def build_app(
    settings: Settings,
    *,
    engine: Engine,
    output: Output,
    metrics: Metrics,
    progress: Progress,
    clock: Clock | None = None,
) -> ChunkApp:
    """The Faust app with one agent per input topic.

    Faust's default assignor is kept (standby replicas above 0 select it): it co-partitions the inputs, so that one
    worker sees the calls, SMS and cards of a number. aiokafka's round robin does not.
    """
    clock = clock or SystemClock()
    inputs = [settings.named(topic) for topic in INPUTS]
    app = ChunkApp(
        settings.group,
        chunk_topics=[topic.name for topic in inputs],
        max_in_flight=settings.max_in_flight,
        clock=clock,
        broker=";".join(f"kafka://{address}" for address in settings.bootstrap.split(",")),
        store="memory://",
        datadir=settings.data_dir / "faust",
        autodiscover=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=1,
        processing_guarantee="at_least_once",
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=True,
        stream_buffer_maxsize=2 * settings.max_in_flight,  # never full: ChunkConsumer stops fetching before
        broker_max_poll_records=settings.max_chunk,
        broker_commit_interval=COMMIT_INTERVAL,
        broker_session_timeout=SESSION_TIMEOUT,
        broker_heartbeat_interval=HEARTBEAT,
        broker_rebalance_timeout=30.0,
    )
    dead_letters = DeadLetters(output)
    for topic in inputs:
        interceptor = Interceptor(
            topic,
            settings.named(DECISIONS),
            engine=engine,
            output=output,
            dead_letters=dead_letters,
            metrics=metrics,
            clock=clock,
            progress=progress,
        )
        channel = app.topic(topic.name, schema=ChunkSchema(allow_empty=False))
        app.agent(channel, name=f"intercept.{topic.kind}", concurrency=1)(cast(Any, interceptor.run))
    return app


class Worker:
    """One worker from start to exit. It is its own health probe."""

    def __init__(self, settings: Settings, *, registry: CollectorRegistry, clock: Clock | None = None) -> None:
        self.settings, self.clock = settings, clock or SystemClock()
        self.metrics = Metrics(registry)
        self.health = HealthServer(self, registry, host=settings.metrics_host, port=settings.metrics_port)
        self.metrics.watch(lag=self._lag, in_flight=self._in_flight, ready=lambda: float(not self.unready()))
        self._progress = Progress()
        self._app: ChunkApp | None = None
        self._engine: Engine | None = None
        self._live = Live(settings, metrics=self.metrics, clock=self.clock)
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._watchdog: Deadline | None = None

    async def run(self) -> int:
        """Start, work until told to stop or something fails, drain, stop. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._ask_to_reload)
        url = await self.health.start()
        state = StateFile(self.settings.data_dir, url)
        log.info("health and metrics: %s", url)
        try:
            await self._work()
        finally:
            state.remove()
            await self.health.stop()
        return EXIT_FAILED if self._failure else EXIT_OK

    async def _work(self) -> None:
        settings = self.settings
        await ensure_topics(
            settings.bootstrap, [settings.named(topic) for topic in ALL], replication=settings.replication
        )
        if (snapshot := await self._unless_stopped(self._live.first())) is None:
            return
        gc.freeze()  # millions of list entries are not to be walked by every full collection
        self._engine = engine = Engine(snapshot, market=settings.market or None)
        self._watch_engine(engine)
        output = Output(settings.bootstrap, self._fail)
        await output.start()
        self._app = app = build_app(
            settings, engine=engine, output=output, metrics=self.metrics, clock=self.clock, progress=self._progress
        )
        brakes = Brakes(settings, output, metrics=self.metrics, clock=self.clock)
        following = asyncio.create_task(self._live.run(engine, output, self._progress, self._assigned))
        try:
            app.finalize()
            await app.start()
            await self._watch(app, engine, brakes, following)
        finally:
            self._deadline()
            following.cancel()
            brakes.stop()
            await self._live.stop()
            await self._drain(app)
            await output.stop()

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What ``work`` returns; None if we are told to stop before."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not task.done():
            task.cancel()
            return None
        return task.result()

    def _watch_engine(self, engine: Engine) -> None:
        self.metrics.active_callers.set_function(lambda: engine.active_callers)
        self.metrics.late_events.set_function(lambda: engine.late_events)
        self.metrics.duplicate_events.set_function(lambda: engine.duplicate_events)

    async def _watch(self, app: ChunkApp, engine: Engine, brakes: Brakes, following: asyncio.Task[None]) -> None:
        """Until told to stop or something fails. Polls: Faust's consumer thread cannot wake an event of this loop."""
        while not self._stop.is_set():
            if app.crashed:
                self._fail(app.crash_reason or RuntimeError("Faust crashed"))
            if following.done():
                self._fail(following.exception() or RuntimeError("nobody follows lists and rules any more"))
            if (consumer := self._consumer()) and (part := consumer.part):  # 0 while partitions move
                engine.part = part
                mine = self._assigned()
                for gone in self._progress.decided.keys() - mine.keys() if mine else ():
                    del self._progress.decided[gone]
            trips, engine.trips = engine.trips, []
            brakes.tell(trips)
            try:
                await asyncio.wait_for(self._stop.wait(), WATCH_INTERVAL)
            except TimeoutError:
                continue

    async def _drain(self, app: ChunkApp) -> None:
        """Finish what is in flight, commit, leave the group. After a failure do not wait for what cannot finish."""
        if self._failure and isinstance(app.consumer, ChunkConsumer):
            await app.consumer.crash(self._failure)
        await app.stop()

    def _ask_to_stop(self) -> None:
        log.info("asked to stop: draining")
        self._deadline()
        self._stop.set()

    def _ask_to_reload(self) -> None:
        self._live.ask()

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
            self.metrics.delivery_failures.inc()
            log.critical("stopping, to go on from the last commit after a restart: %s", type(error).__name__)
        self._stop.set()

    def _deadline(self) -> None:
        """From now on there are ``shutdown_seconds``, also if the loop is stuck."""
        if self._watchdog is None:
            self._watchdog = Deadline(self.settings.shutdown_seconds)
            self._watchdog.start()

    # -- Probe

    def sick(self) -> list[str]:
        """Reasons to restart the worker."""
        reasons = []
        if self._failure:
            reasons.append(f"failed: {type(self._failure).__name__}")
        if (consumer := self._consumer()) and (age := consumer.oldest_age(self.clock.monotonic())) > COMMIT_STUCK:
            reasons.append(f"the oldest chunk waits for its commit for {age:.0f} s")
        return reasons

    def unready(self) -> list[str]:
        """Reasons to wait."""
        reasons = self.sick()
        if self._stop.is_set():
            reasons.append("stopping")
        if self._engine is None:
            reasons.append("lists and rules are being loaded")
        elif not sum(self._engine.snapshot.list_sizes.values()):
            reasons.append("the number lists are empty: set LANJIE_LISTS, or say `lanjie lists import`")
        if not (consumer := self._consumer()) or not consumer.assignment():
            reasons.append("no partitions are assigned")
        elif self._app and self._app.rebalancing:
            reasons.append("partitions are being reassigned")
        return reasons

    def about(self) -> dict[str, Any]:
        """For the index."""
        consumer = self._consumer()
        return {
            "name": "lanjie worker",
            "pid": os.getpid(),
            "group": self.settings.group,
            "partitions": sorted(f"{tp.topic}/{tp.partition}" for tp in consumer.assignment()) if consumer else [],
        }

    def _consumer(self) -> ChunkConsumer | None:
        consumer = self._app.consumer if self._app and self._app.started else None
        return consumer if isinstance(consumer, ChunkConsumer) and consumer.connected else None

    def _assigned(self) -> dict[tuple[str, int], int]:
        """Our partitions, with what is committed of each. None while they move."""
        consumer = self._consumer()
        if consumer is None or self._app is None or self._app.rebalancing:
            return {}
        return consumer.committed()

    def _lag(self) -> dict[tuple[str, int], int]:
        return consumer.lag() if (consumer := self._consumer()) else {}

    def _in_flight(self) -> float:
        return consumer.in_flight if (consumer := self._consumer()) else 0


def run_worker(settings: Settings) -> int:
    """Run a worker in this process until SIGTERM, SIGINT or a failure. Returns the exit code."""
    logging.basicConfig(
        level=settings.log_level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # Not App(loop="uvloop"), which crashes in Faust 0.15; the policy also serves the consumer's thread.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    try:
        return asyncio.run(_run(settings, registry))
    except (LanjieError, OSError) as problem:
        log.critical("%s", problem)
        return EXIT_FAILED


async def _run(settings: Settings, registry: CollectorRegistry) -> int:
    return await Worker(settings, registry=registry).run()
