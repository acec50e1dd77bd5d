"""What a worker with the lists mapped takes: idle, and with a million callers in its windows; and how soon it is ready.

A second, idle worker holds the same map meanwhile, as on a machine with several of them.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time  # noqa: TID251 - a benchmark reads the clock
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from detectors.model.events import CallEvent, Event
from tests.benchmarks.broker import Decisions, fill, topics
from tests.benchmarks.contenders import CONTENDERS, LOOK, PATIENCE, Place, PlaceOf, Process, running
from tests.benchmarks.events import T0
from tests.benchmarks.schema import WORKER, Memory
from tests.benchmarks.workload import rows_of

CALLERS = 1_000_000
SPAN_MS = 200_000  #: of their calls: within half a window, so that all are active at the end
PART = 100_000  #: events at a time


def calls(count: int) -> Iterator[Event]:
    """One of each caller."""
    for i in range(count):
        time_ms = T0 + i * SPAN_MS // count
        yield CallEvent(id=f"m{i}", time=time_ms, a_number=f"138{i:08}", b_number=f"139{i * 7919 % 10**8:08}")


def taken(pid: int) -> dict[str, float]:
    """MiB of a process: all that is resident, its proportional share, and what is its own alone."""
    full = psutil.Process(pid).memory_full_info()
    return {name: getattr(full, name) / 2**20 for name in ("rss", "pss", "uss")}


def mapped(pid: int, name: str) -> dict[str, float]:
    """MiB of its map of one file: what is resident of it, and the process's share."""
    text = Path(f"/proc/{pid}/smaps").read_text()
    block = next(b for b in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", text) if name in b.partition("\n")[0])
    return {n.lower(): int(re.search(rf"^{n}: +(\d+) kB", block, re.M)[1]) / 1024 for n in ("Rss", "Pss")}


async def ready(process: Process, started: float) -> float:
    """Seconds until it is."""
    await process.until_ready()
    return time.monotonic() - started


async def start_once(place: Place) -> float:
    """Of a worker on empty topics."""
    async with topics(place.bootstrap, place.prefix, place.partitions):
        started = time.monotonic()
        with running(CONTENDERS[WORKER], place) as process:
            return await ready(process, started)


async def loaded(place: Place, events: Sequence[Event]) -> Memory:
    """A worker before and after these events."""
    async with topics(place.bootstrap, place.prefix, place.partitions):
        started = time.monotonic()
        with running(CONTENDERS[WORKER], place) as process:
            took = await ready(process, started)
            idle = taken(process.pid)
            for at in range(0, len(events), PART):
                await fill(place.bootstrap, place.prefix, rows_of(events[at : at + PART], place.partitions))
            async with (
                Decisions(place.bootstrap, place.prefix, place.partitions) as decisions,
                asyncio.timeout(PATIENCE),
            ):
                while await decisions.count() < len(events):
                    process.check()
                    await asyncio.sleep(LOOK)
            active = int(process.metric("lanjie_active_callers"))
            shared = mapped(process.pid, place.lists.compiled.name)
            return Memory(active, idle, taken(process.pid), shared, [took])


async def measure(place_of: PlaceOf, starts: int, callers: int = CALLERS) -> Memory:
    """Starts one by one, then the large one beside an idle one."""
    times = [await start_once(place_of()) for _ in range(starts)]
    other = place_of()
    async with topics(other.bootstrap, other.prefix, other.partitions):
        with running(CONTENDERS[WORKER], other) as idle:
            await idle.until_ready()
            found = await loaded(place_of(), list(calls(callers)))
    found.ready = [*times, *found.ready]
    print(f"memory: {found.callers:,} callers, {found.loaded['rss']:.0f} MiB", file=sys.stderr)  # noqa: T201
    return found
