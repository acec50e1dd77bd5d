"""One run of the benchmark: the machine, one broker, the parts that were asked for, one after the other."""

from __future__ import annotations

import logging
import statistics
import subprocess
import sys
import tempfile
import time  # noqa: TID251 - a benchmark reads the clock
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from detectors.model.events import SmsEvent
from tests.benchmarks import machine
from tests.benchmarks.broker import Broker, started
from tests.benchmarks.contenders import Place, PlaceOf
from tests.benchmarks.growth import CURVES
from tests.benchmarks.parts import latency, memory, partitions, peers, scaling
from tests.benchmarks.schema import WORKER, Curve, Floor, Replayed, Results, Workload
from tests.benchmarks.workload import (
    LISTED,
    NUMBERS,
    PARTITIONS,
    PREFIXES,
    callers_of,
    make_lists,
    rows_of,
    traffic,
)

PARTS: Final = ("floor", "peers", "latency", "growth", "scaling", "memory", "replay")
OFF_KAFKA: Final = {"floor", "replay"}


@dataclass(frozen=True)
class Plan:
    """What to measure. Counts are for a machine of two cores and some ten minutes in all.

    Attributes:
        rounds: of what has a bar to meet.
        fewer: rounds of what has none.
        events: of a contender in a round; ``fewer_events`` of what is only compared with itself.
        floor_events: of each kind in a round of the engine alone.
        memory_callers: of the worker whose memory is measured.
        quick: also leave the dear points of the curves out; for trying the benchmark itself.
    """

    parts: tuple[str, ...] = PARTS
    contenders: tuple[str, ...] = peers.NAMES
    kinds: tuple[str, ...] = ("sms", "call", "mix")
    rounds: int = 5
    fewer: int = 3
    events: int = 240_000
    fewer_events: int = 120_000
    floor_events: int = 20_000
    numbers: int = NUMBERS
    memory_callers: int = memory.CALLERS
    quick: bool = False


class Bench:
    """The parts, in the order in which they need one another."""

    def __init__(self, plan: Plan, home: Path) -> None:
        self.plan, self.home, self._places = plan, home, count()
        home.joinpath("lists").mkdir()
        self.lists = make_lists(home / "lists", plan.numbers)
        self.events = traffic(plan.events, self.lists.listed)
        self.fewer = traffic(plan.fewer_events, self.lists.listed)
        self.rows = rows_of(self.events)

    def workload(self) -> Workload:
        """For the report."""
        lists, texts = self.lists, [len(event.text) for event in self.events if isinstance(event, SmsEvent)]
        return Workload(
            numbers=lists.numbers, prefixes=PREFIXES, patterns=lists.pattern_count, rules=lists.rules,
            events=self.plan.events, callers=callers_of(self.plan.events), listed=LISTED,
            text=round(statistics.mean(texts), 1), partitions=PARTITIONS, build_seconds=round(lists.build_seconds, 1),
        )  # fmt: skip

    def floor(self, results: Results) -> None:
        """The engine alone, in a process of its own."""
        plan = self.plan
        args = ["--rounds", plan.rounds, "--count", plan.floor_events, "--lists", self.home / "lists", "--json"]
        results.floor = alone("stages", *args, "--kinds", *plan.kinds, type=dict[str, Floor])

    def growth(self, results: Results) -> None:
        """The curves of the engine, each in a process of its own."""
        results.growth = results.growth or {}
        quick = ["--quick"] if self.plan.quick else []
        for name in CURVES:
            results.growth[name] = alone("growth", name, "--rounds", self.plan.rounds, *quick, type=Curve)

    def replay(self, results: Results) -> None:
        """In as many processes as there are cores."""
        command = [sys.executable, "-m", "tests.benchmarks.replayed", "--rounds", str(self.plan.fewer)]
        with machine.on(()):
            done = subprocess.run([*command, "--lists", str(self.home / "lists")], stdout=subprocess.PIPE, check=True)
        results.replay = msgspec.json.decode(done.stdout, type=list[Replayed])

    async def on_kafka(self, results: Results) -> None:
        """All that needs a broker."""
        plan, parts = self.plan, self.plan.parts
        folder = tempfile.TemporaryDirectory(dir=machine.in_memory(), ignore_cleanup_errors=True)
        with folder as log, started(Path(log)) as broker:
            place_of = self._place_of(broker)
            if "peers" in parts:
                names, why = peers.usable(plan.contenders)
                results.skipped |= why
                results.peers = await peers.measure(place_of, broker, self.rows, plan.rounds, names)
            if "latency" in parts:
                capacity = await self._capacity(place_of, broker, results)
                results.latency = await latency.measure(place_of, self._enough(capacity), plan.rounds, capacity)
            if "scaling" in parts:
                results.scaling = await scaling.measure(place_of, broker, rows_of(self.fewer), plan.fewer)
            if "growth" in parts:
                counts = partitions.COUNTS[:2] if plan.quick else partitions.COUNTS
                curve = await partitions.measure(place_of, broker, self.fewer, plan.fewer, counts)
                results.growth = {"partitions": curve}
            if "memory" in parts:
                results.memory = await memory.measure(place_of, plan.rounds - 1, plan.memory_callers)

    def _place_of(self, broker: Broker) -> PlaceOf:
        def place() -> Place:
            number = next(self._places)
            return Place(broker.bootstrap, f"bench{number}.", self.home / f"run{number}", self.lists)

        return place

    async def _capacity(self, place_of: PlaceOf, broker: Broker, results: Results) -> float:
        """Of the worker, as measured among its peers, or now."""
        runs = (results.peers or {}).get(WORKER)
        if not runs:
            runs = (await peers.measure(place_of, broker, self.rows, 1, [WORKER]))[WORKER]
        return statistics.median(run.rate for run in runs)

    def _enough(self, capacity: float) -> list[Any]:
        """Rows for a run of the latency part."""
        needed = int(capacity * latency.SHARE * latency.SECONDS)
        if needed <= len(self.rows):
            return self.rows
        return rows_of(traffic(needed, self.lists.listed))


def alone(module: str, *args: object, type: Any) -> Any:  # noqa: A002 - msgspec's own name for it
    """What a module of the benchmark prints, run on the worker's core."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, args)]
    with machine.on(machine.WORKER_CORES):
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=type)


def measure(plan: Plan) -> Results:
    """Everything, in a folder that is removed."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a topic made a moment ago is asked for again
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, machine.on(machine.BROKER_CORES):
        where, now = machine.describe(), datetime.now(UTC)
        bench = Bench(plan, Path(folder))
        results = Results(
            date=now.strftime("%Y-%m-%d %H:%M UTC"), seconds=0.0, rounds=plan.rounds, commit=machine.commit(),
            machine=where, workload=bench.workload(),
        )  # fmt: skip
        if "floor" in plan.parts:
            bench.floor(results)
        if set(plan.parts) - OFF_KAFKA:
            uvloop.run(bench.on_kafka(results))  # the driver is to be late as little as can be
        if "growth" in plan.parts:
            bench.growth(results)
        if "replay" in plan.parts:
            bench.replay(results)
        results.seconds = round(time.monotonic() - begun, 1)
    return results
