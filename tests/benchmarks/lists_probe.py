"""Processes that `lists_scale` starts: one that loads a snapshot and looks up, one whose lists are swapped as it runs.

    python -m tests.benchmarks.lists_probe load FILE.lanjie
    python -m tests.benchmarks.lists_probe swap FILE.lanjie OUT.lanjie DELTA...

Both print JSON lines. ``load`` then waits for a line on stdin, so that several of them can hold the map together.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import re
import sys
import time  # noqa: TID251 - a benchmark reads the clock
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import msgspec

from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.lists.index import Layer
from detectors.model.events import CallEvent
from detectors.normalise import key as k
from detectors.rulepack import load_rules
from stream.number_files import compact_in_background, open_table
from tests.benchmarks.events import T0

LOOK_UPS = 300_000
BATCH = 500
CALLERS = 20_000
LISTED = 0.02  # of the callers of the loop
QUIET = 5.0  # seconds before, and after
LOADS = 6  # of each compacted file: the swaps are to be many, compactions take long


def show(found: object) -> None:
    """One JSON line on stdout."""
    sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
    sys.stdout.flush()


def load_table(path: Path) -> NumberIndex:
    """What a worker does with a snapshot file."""
    return NumberIndex(layers=[Layer(open_table(path))])


def rollup() -> dict[str, float]:
    """MiB of this process: all that is resident, its proportional share, and what is its own."""
    text = Path("/proc/self/smaps_rollup").read_text()
    found = {n: int(re.search(rf"^{n}: +(\d+) kB", text, re.M)[1]) for n in ("Rss", "Pss", "Private_Dirty")}
    return {name: kib / 1024 for name, kib in found.items()}


def of_map(name: str) -> dict[str, float]:
    """MiB of the map of one file."""
    text = Path("/proc/self/smaps").read_text()
    block = next(b for b in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", text) if name in b.partition("\n")[0])
    return {n: int(re.search(rf"^{n}: +(\d+) kB", block, re.M)[1]) / 1024 for n in ("Rss", "Pss")}


def load(path: Path) -> None:
    """Load cold and warm, look up everywhere, tell times and memory."""
    warm_up = NumberIndex()
    warm_up.find("+8613800000000", T0)
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    gc.collect()
    before = rollup()
    started = time.perf_counter()
    index = load_table(path)
    loaded = time.perf_counter() - started
    keys, rng = index.layers[0].table.keys, random.Random(3)
    started = time.perf_counter()
    found = sum(index.find(k.number_of(int(keys[rng.randrange(len(keys))])), T0) is not None for _ in range(LOOK_UPS))
    looked = time.perf_counter() - started
    gc.collect()
    after = rollup()
    show({
        "entries": len(index), "seconds": loaded, "found": found, "look_up_us": looked / LOOK_UPS * 1e6,
        "added": {name: after[name] - before[name] for name in after},
    })  # fmt: skip
    sys.stdin.readline()
    show(of_map(path.name))


class Loop:
    """A loop that decides batches of calls, and times each turn from the end of the last one."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.turns, self.phase = engine, dict[str, list[float]](), "before"
        keys, rng = engine.snapshot.lists.layers[0].table.keys, random.Random(5)
        listed = [k.number_of(int(keys[rng.randrange(len(keys))])) for _ in range(int(CALLERS * LISTED))]
        self._callers = listed + [f"+8619{rng.randrange(10**9):09}" for _ in range(CALLERS - len(listed))]
        self._rng, self._count = rng, 0

    async def run(self) -> None:
        """Until cancelled. A turn holds all that anybody does on this loop, so a swap that blocks it would show."""
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            callers = self._rng.choices(self._callers, k=BATCH + 1)
            events = [
                CallEvent(id="c", time=T0 + (self._count + i) * 20, a_number=a, b_number=b)
                for i, (a, b) in enumerate(pairwise(callers))
            ]
            self._count += BATCH
            self.engine.decide(events)
            now = time.perf_counter()
            self.turns.setdefault(self.phase, []).append(now - last)
            last = now


async def spin(seconds: float) -> None:
    """Keep another process busy: what a busy second CPU alone does to the loop."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
    await asyncio.sleep(seconds)
    process.kill()
    await process.wait()


def busy() -> tuple[float, float]:
    """Seconds of CPU that the machine has spent, and of them this process and the children that have ended."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split(maxsplit=9)[1:9]]
    all_but_idle = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
    return all_but_idle, sum(os.times()[:4])


async def replace_lists(loop: Loop, base: Path, out: Path, deltas: list[Path]) -> tuple[int, float]:
    """A compaction for each delta, and swaps to its result and back. Returns swaps, and seconds of one compaction."""
    swaps, compacting = 0, 0.0
    for delta in deltas:
        loop.phase = "compacting in another process"
        started = time.perf_counter()
        await compact_in_background(base, [delta], out)
        compacting += time.perf_counter() - started
        loop.phase = "loading in a thread, swapping"
        for i in range(LOADS):
            index = await asyncio.to_thread(load_table, base if i % 2 else out)
            loop.engine.swap(replace(loop.engine.snapshot, lists=index))
            swaps += 1
    return swaps, compacting / len(deltas)


async def swap(base: Path, out: Path, deltas: list[Path]) -> None:
    """Quiet, then beside a process that only spins, then compactions and swaps, then quiet again."""
    loop = Loop(Engine(Snapshot.build(load_rules(), load_table(base))))
    gc.collect()
    gc.freeze()  # as the worker does
    loop.phase = "warming up"
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(2)
    started, before = time.perf_counter(), busy()
    loop.phase = "before"
    await asyncio.sleep(QUIET)
    loop.phase = "beside a process that only spins"
    await spin(QUIET)
    swaps, compaction = await replace_lists(loop, base, out, deltas)
    loop.phase = "after"
    await asyncio.sleep(QUIET)
    task.cancel()
    everybody, own = (now - then for now, then in zip(busy(), before, strict=True))
    others = (everybody - own) / (time.perf_counter() - started)
    show({"swaps": swaps, "compaction": compaction, "others": others, "turns": loop.turns})


def main() -> None:
    """By the first argument."""
    what, *paths = sys.argv[1:]
    if what == "load":
        load(Path(paths[0]))
    else:
        base, out, *deltas = map(Path, paths)
        asyncio.run(swap(base, out, deltas))


if __name__ == "__main__":
    main()
