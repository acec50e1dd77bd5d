"""The composition root: the only place where the parts of a worker are built and joined.

    settings ── Live (files, topics) ── engine ── Shards ─┐
             ── Output (producer) ── Outbox ──────────────┼── Interceptor, a Desk per topic ── ChunkApp (consumer)
             ── Metrics ── HealthServer ──────────────────┘

Faust's own Worker is not used: it parses the command line, owns the loop and its exit code does not tell a crash from
a stop reliably.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar, cast

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry

from detectors.engine import Engine
from detectors.model.errors import LanjieError
from stream.agents.desk import Desk
from stream.agents.intercept import Interceptor
from stream.backfill import Backfill
from stream.breaker import Breakers
from stream.checkpoints import Checkpoints
from stream.clock import Clock, SystemClock
from stream.condition import Condition
from stream.log_level import LogLevel
from stream.log_lines import set_up_logs
from stream.loop import LoopPolicy
from stream.metrics import Metrics
from stream.outbox import AtLeastOnce, Outbox
from stream.output import Output
from stream.process import Deadline, StateFile
from stream.progress import SESSION_TIMEOUT, Progress, StoodStill
from stream.settings import Settings
from stream.shards import Shards
from stream.topics import ALL, DECISIONS, INPUTS, LISTS, RULES, dlq
from stream.topics_admin import TopicsError, ensure_topics
from stream.traces import Traces
from stream.tracing import build_traces
from stream.transactions import ExactlyOnce
from stream.transport import ChunkApp, ChunkConsumer, ChunkSchema, Holder
from stream.updates.brakes import Brakes
from stream.updates.live import Live
from stream.web.health import HealthServer

log = logging.getLogger(__name__)
T = TypeVar("T")

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1  # the supervisor restarts us from the last commit
HEARTBEAT: Final = 2.0
#: Seconds. What is redelivered after a crash is at most what was decided in this time.
COMMIT_INTERVAL: Final = 1.0
WATCH_INTERVAL: Final = 0.5
#: Objects between two collections. A round has thousands, which are gone after it without any: with Python's 700 there
#: were two collections a round, and every second or so a full one, in which all waited for 12 ms.
GC_OBJECTS: Final = 20_000
#: Full chunks that are decided in one go. More of them share what a round costs however small it is, so a backlog is
#: gone sooner: at 46,000 events/s p99.9 was 50 to 61 ms where it was 55 to 96 with one (four runs each).
ROUND_CHUNKS: Final = 3
KAFKA_RETRY: Final = 5.0  # seconds between tries to reach Kafka at the start
_WRITTEN: Final = (DECISIONS, *INPUTS, *(dlq(topic) for topic in (*INPUTS, LISTS, RULES)))


def build_app(
    settings: Settings,
    *,
    engine: Engine,
    outbox: Outbox,
    fail: Callable[[BaseException], None],
    metrics: Metrics,
    progress: Progress,
    traces: Traces | None = None,
    holder: Holder | None = None,
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
        max_chunk=settings.max_chunk,
        max_records=settings.max_chunk * settings.max_in_flight,
        clock=clock,
        holder=holder,
        consumer_group_instance_id=settings.instance or None,
        **settings.kafka.faust_options(),
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
        stream_buffer_maxsize=1 << 16,  # chunks; never full: ChunkConsumer stops fetching before
        broker_commit_interval=COMMIT_INTERVAL,
        broker_session_timeout=SESSION_TIMEOUT,
        broker_heartbeat_interval=HEARTBEAT,
        broker_rebalance_timeout=30.0,
    )
    interceptor = Interceptor(
        engine=engine,
        outbox=outbox,
        fail=fail,
        clock=clock,
        progress=progress,
        max_events=ROUND_CHUNKS * settings.max_chunk,
    )
    for topic in inputs:
        desk = Desk(
            topic,
            group=settings.group,
            engine=engine,
            metrics=metrics,
            clock=clock,
            traces=traces or Traces(),
            deadline=settings.deadlines[topic.kind],
            lists_only_after=settings.lists_only_after,
            cloudevents=settings.cloudevents,
        )
        channel = app.topic(topic.name, schema=ChunkSchema(allow_empty=False))
        app.agent(channel, name=f"intercept.{topic.kind}", concurrency=1)(cast(Any, interceptor.agent(desk)))
    return app


def build_outbox(settings: Settings, output: Output) -> Outbox:
    """The way out that the settings ask for."""
    decisions = settings.named(DECISIONS).name
    if settings.delivery == "exactly-once":
        name = f"{settings.topic_prefix}{settings.group}"
        return ExactlyOnce(output, decisions, group=settings.group, name=name)
    return AtLeastOnce(output, decisions)


class Worker:
    """One worker from start to exit."""

    def __init__(self, settings: Settings, *, registry: CollectorRegistry, clock: Clock | None = None) -> None:
        self.settings, self.clock = settings, clock or SystemClock()
        self.metrics = Metrics(registry)
        self.condition = Condition(settings.group, self.clock)
        self.health = HealthServer(self.condition, registry, host=settings.metrics_host, port=settings.metrics_port)
        self.metrics.watch(self.condition)
        self._live = Live(settings, metrics=self.metrics, clock=self.clock)
        self._stop = asyncio.Event()
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
        return EXIT_FAILED if self.condition.failure else EXIT_OK

    async def _work(self) -> None:
        settings, traces = self.settings, build_traces(self.settings)
        if await self._unless_stopped(self._topics_there()) is None:
            return
        if (snapshot := await self._unless_stopped(self._live.first())) is None:
            return
        gc.freeze()  # millions of list entries are not to be walked by every full collection
        gc.set_threshold(GC_OBJECTS, 10, 100)
        self.condition.engine = engine = Engine(
            snapshot,
            market=settings.market or None,
            max_callers=settings.max_callers,
            guard=Breakers(self.clock, self.metrics),
            on_fault=settings.on_fault,
        )
        self._watch_engine(engine)
        output = Output(settings.kafka, self._fail, [settings.named(topic).name for topic in _WRITTEN])
        await output.start()
        _check_partitions(settings, output)
        outbox = build_outbox(settings, output)
        progress = Progress()
        checkpoints = Checkpoints(settings, engine, progress, metrics=self.metrics, clock=self.clock)
        self.condition.shards = shards = Shards(
            settings,
            engine,
            outbox,
            progress,
            checkpoints=checkpoints,
            make=engine.empty,
            metrics=self.metrics,
            clock=self.clock,
            fail=self._fail,
        )
        self.condition.app = app = build_app(
            settings, engine=engine, outbox=outbox, fail=self._fail, metrics=self.metrics, clock=self.clock,
            progress=progress, traces=traces, holder=shards,
        )  # fmt: skip
        brakes = Brakes(settings, output, metrics=self.metrics, clock=self.clock)
        following = asyncio.create_task(
            self._live.run(engine, output, lambda: Backfill(shards, progress, clock=self.clock))
        )
        keeping = asyncio.create_task(checkpoints.run(shards.ends))
        try:
            app.finalize()
            await app.start()
            await self._watch(app, engine, brakes, following, progress)
        finally:
            self._deadline()
            following.cancel()
            keeping.cancel()
            brakes.stop()
            await self._live.stop()
            await self._drain(app)
            await shards.stop()
            await output.stop()
            await traces.stop()

    async def _topics_there(self) -> bool:
        """Wait for Kafka, and for our topics there."""
        settings = self.settings
        while True:
            try:
                topics = [settings.named(topic) for topic in ALL]
                await ensure_topics(settings.kafka, topics, replication=settings.replication)
            except TopicsError as problem:
                self.condition.waiting_for = str(problem)
                log.error("%s; tried again every %g s", problem, KAFKA_RETRY)  # noqa: TRY400 - no trace: it says all
                await asyncio.sleep(KAFKA_RETRY)
            else:
                self.condition.waiting_for = ""
                return True

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

    async def _watch(
        self, app: ChunkApp, engine: Engine, brakes: Brakes, following: asyncio.Task[None], progress: Progress
    ) -> None:
        """Until told to stop or something fails. Polls: Faust's consumer thread cannot wake an event of this loop."""
        while not self._stop.is_set():
            try:
                progress.runs(self.clock.monotonic())
            except StoodStill as error:
                self._fail(error)
            if app.crashed:
                self._fail(app.crash_reason or RuntimeError("Faust crashed"))
            if following.done():
                self._fail(following.exception() or RuntimeError("nobody follows lists and rules any more"))
            if (consumer := self.condition.consumer) and (part := consumer.part):  # 0 while partitions move
                engine.part = part
            brakes.tell(list(engine.trips))
            engine.trips.clear()
            try:
                await asyncio.wait_for(self._stop.wait(), WATCH_INTERVAL)
            except TimeoutError:
                continue

    async def _drain(self, app: ChunkApp) -> None:
        """Finish what is in flight, commit, leave the group. After a failure do not wait for what cannot finish."""
        if self.condition.failure and isinstance(app.consumer, ChunkConsumer):
            await app.consumer.crash(self.condition.failure)
        await app.stop()

    def _ask_to_stop(self) -> None:
        log.info("asked to stop: draining")
        self._deadline()
        self.condition.stopping = True
        self._stop.set()

    def _ask_to_reload(self) -> None:
        self._live.ask()

    def _fail(self, error: BaseException) -> None:
        if self.condition.failure is None:
            self.condition.failure = error
            self.metrics.delivery_failures.inc()
            log.critical("stopping, to go on from the last commit after a restart: %s", type(error).__name__)
            if isinstance(error, StoodStill):
                os._exit(EXIT_FAILED)  # nothing to drain: all that is here is somebody else's by now
        self._stop.set()

    def _deadline(self) -> None:
        """From now on there are ``shutdown_seconds``, also if the loop is stuck."""
        if self._watchdog is None:
            self._watchdog = Deadline(self.settings.shutdown_seconds)
            self._watchdog.start()


def _check_partitions(settings: Settings, output: Output) -> None:
    """
    Raises:
        TopicsError: a shard is partition n of all of them, so they must have the same number.
    """
    counts = {name: output.partitions(name) for name in (settings.named(topic).name for topic in (*INPUTS, DECISIONS))}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise TopicsError(f"partitions: {found}; expected the same number of all: add partitions to the smaller ones")


def run_worker(settings: Settings) -> int:
    """Run a worker in this process until SIGTERM, SIGINT or a failure. Returns the exit code."""
    set_up_logs(settings.log_level, settings.log_format, SystemClock())
    # Not App(loop="uvloop"), which crashes in Faust 0.15; the policy also serves the consumer's thread.
    asyncio.set_event_loop_policy(LoopPolicy())
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    try:
        return asyncio.run(_run(settings, registry))
    except (LanjieError, OSError) as problem:
        log.critical("%s", problem)
        return EXIT_FAILED


async def _run(settings: Settings, registry: CollectorRegistry) -> int:
    LogLevel(settings.log_level).listen()
    return await Worker(settings, registry=registry).run()
