"""One chaos run: broker, proxy, workers, load, faults; then silence, and the checks."""

from __future__ import annotations

import asyncio
import random
import signal
import tempfile
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stream.clock import Clock, SystemClock
from stream.settings import Settings
from tests.chaos.broker import ChaosBroker
from tests.chaos.checks import Check, Evidence, outcome_of
from tests.chaos.faults import WORKERS, Chaos, Fault, World, schedule
from tests.chaos.monitor import Monitor
from tests.chaos.offsets import drained
from tests.chaos.publisher import Publisher
from tests.chaos.supervisor import Exit, Supervisor
from tests.chaos.traffic import Traffic, write_lists
from tests.chaos.verify import Outcome

START: Final = 60.0  # seconds until all partitions are served for the first time
DRAIN: Final = 120.0  # seconds until all is decided after the load has stopped
PREFIX: Final = "chaos."
MODES: Final = ("at-least-once", "exactly-once")


@dataclass(frozen=True)
class Plan:
    """What is to be done."""

    seconds: float
    faults: Mapping[str, int]
    rate: float = 1_500.0
    seed: int = 1
    delivery: str = MODES[0]


@dataclass
class Result:
    """What came of it."""

    plan: Plan
    folder: Path
    faults: list[Fault] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)
    resident: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)  #: by phase
    late: float = 0.0  #: the publisher's worst lag behind its schedule

    @property
    def ok(self) -> bool:
        """Whether all checks hold."""
        return bool(self.checks) and all(check.ok for check in self.checks)


class Run:
    """The parts of a run, and what they are joined by."""

    def __init__(self, plan: Plan, folder: Path, tell: Callable[[str], None], clock: Clock) -> None:
        self.plan, self.folder, self.tell, self.clock = plan, folder, tell, clock
        self.result = Result(plan, folder)
        self.broker = ChaosBroker(folder / "kafka")
        self.lists = folder / "lists.csv"
        write_lists(self.lists)

    def environ(self) -> dict[str, str]:
        """Of every worker."""
        return {
            "LANJIE_BOOTSTRAP": self.broker.proxied,
            "LANJIE_GROUP": PREFIX + "group",
            "LANJIE_TOPIC_PREFIX": PREFIX,
            "LANJIE_METRICS_PORT": "0",
            "LANJIE_LISTS": str(self.lists),
            "LANJIE_DELIVERY": self.plan.delivery,
            "LANJIE_CHECKPOINTS": str(self.folder / "checkpoints"),  # who takes a shard over needs them too
        }

    async def all(self) -> Result:
        """From the start of the broker to the verdict."""
        async with self._phase("start"):
            await self.broker.up()
            await self.broker.create_topics(self.environ())
        self.settings = Settings(bootstrap=self.broker.direct, topic_prefix=PREFIX, group=PREFIX + "group")
        try:
            stuck, publisher = await self._flow()
            async with self._phase("check"):
                self.result.outcome = await outcome_of(self.settings, self.lists)
                self.result.checks = Evidence(
                    self.result.outcome,
                    publisher.acked,
                    unknown=publisher.unknown,
                    exits=self.result.exits,
                    faults=self.result.faults,
                    peak=self.workers.peak,
                    stuck=stuck,
                    exactly_once=self.plan.delivery == MODES[1],
                ).checks()
        finally:
            await self.broker.down()
        return self.result

    async def _flow(self) -> tuple[str, Publisher]:
        """Load and faults. Returns what is stuck at the end, if something is."""
        rng = random.Random(self.plan.seed)
        chaos: Chaos | None = None
        self.workers = Supervisor(
            self.environ(), self.folder / "workers", self.clock, lambda: chaos.names() if chaos else ("start",)
        )
        publisher = Publisher(self.settings, Traffic(self.plan.seed), rate=self.plan.rate, clock=self.clock)
        monitor = Monitor(self.settings, publisher.acked, self.clock)
        for _ in range(WORKERS):
            self.workers.add()
        flow = asyncio.create_task(publisher.run())
        watching = [asyncio.create_task(monitor.run()), asyncio.create_task(self.workers.watch())]
        try:
            async with self._phase("start"):
                await self._first(monitor)
            async with self._phase("faults"):
                faults = schedule(self.plan.faults, self.plan.seconds, rng)
                chaos = Chaos(World(self.broker, self.workers), faults, clock=self.clock, tell=self.tell)
                self.result.faults = faults
                begun = self.clock.monotonic()
                await chaos.run(monitor, rng)
                await asyncio.sleep(max(0.0, begun + self.plan.seconds - self.clock.monotonic()))
            async with self._phase("drain"):
                publisher.stop()
                await flow
                stuck = await drained(self.settings, DRAIN, clock=self.clock)
                self.result.resident = self.workers.resident()
        finally:
            for task in (flow, *watching):
                task.cancel()
            await self.workers.stop()
            self.result.exits, self.result.late = self.workers.exits, publisher.late
        return stuck, publisher

    async def _first(self, monitor: Monitor) -> None:
        if await monitor.recovery(0.0, START) is None:
            raise RuntimeError(f"the workers do not keep up {START:.0f} s after their start: {monitor.behind()}")
        self.tell("all partitions are served; now the faults")

    @asynccontextmanager
    async def _phase(self, name: str) -> Any:
        started = self.clock.monotonic()
        try:
            yield
        finally:
            took = self.result.seconds.get(name, 0.0) + self.clock.monotonic() - started
            self.result.seconds[name] = round(took, 1)


def new_folder() -> Path:
    """For one run: broker, workers' logs, lists."""
    return Path(tempfile.mkdtemp(prefix="lanjie-chaos-"))


async def run(plan: Plan, folder: Path, tell: Callable[[str], None]) -> Result:
    """Do it. SIGTERM ends it in order: nothing is left running."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await Run(plan, folder, tell, SystemClock()).all()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
