"""How fast one contender decides what lies ready for it.

The process is started on topics that are full already. The rate is that of the broker's own append times, and the CPU
is read beside it, so nobody times himself. What comes first is warm-up: start, first fetches, the JIT of a JVM.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from loadtest.driver import Row
from tests.benchmarks.broker import Broker, Decided, Decisions, actions, fill, topics
from tests.benchmarks.contenders import LOOK, PATIENCE, Contender, Place, Process, running
from tests.benchmarks.machine import cpu_of
from tests.benchmarks.schema import Run

WARM_UP = 0.25  # of the events
QUIET = 6  # looks in a row in which nothing more came: markers of transactions have offsets too


class Watched(NamedTuple):
    """Decisions on the topic, and seconds of CPU by then."""

    done: int
    contenders: float
    broker: float


async def run_once(contender: Contender, place: Place, broker: Broker, rows: Sequence[Row]) -> Run:
    """Fill, start, wait, read back."""
    rows = rows[: round(len(rows) * contender.share)]
    async with topics(place.bootstrap, place.prefix, place.partitions):
        await fill(place.bootstrap, place.prefix, rows)
        with running(contender, place) as process:
            async with Decisions(place.bootstrap, place.prefix, place.partitions) as decisions:
                async with asyncio.timeout(PATIENCE):
                    first, last = await watch(decisions, [process], broker, len(rows))
                found = await decisions.read()
    check(contender.name, found, len(rows))
    done = last.done - first.done
    return Run(
        events=len(rows),
        rate=rate_of(found),
        cpu_us=(last.contenders - first.contenders) / done * 1e6,
        broker_us=(last.broker - first.broker) / done * 1e6,
        actions=actions(found),
    )


async def watch(
    decisions: Decisions, processes: Sequence[Process], broker: Broker, count: int
) -> tuple[Watched, Watched]:
    """Until all is decided: what was read after the warm-up, and when the last decision came."""
    first = last = Watched(0, 0.0, 0.0)
    quiet, pids = 0, [process.pid for process in processes]
    while last.done < count or quiet < QUIET:
        await asyncio.sleep(LOOK)
        for process in processes:
            process.check()
        done = await decisions.count()
        quiet = quiet + 1 if done == last.done else 0
        if not quiet:
            last = Watched(done, cpu_of(pids), cpu_of([broker.pid]))
            if first.done < WARM_UP * count:
                first = last
    return first, last


def rate_of(decisions: Sequence[Decided]) -> float:
    """Decisions a second, without the warm-up."""
    times = sorted(each.at for each in decisions)
    skipped = int(len(times) * WARM_UP)
    return (len(times) - skipped) / max(1, times[-1] - times[skipped]) * 1000


def check(name: str, decisions: Sequence[Decided], count: int) -> None:
    """Who leaves events out, or decides some twice, is not measured."""
    different = len({each.event_id for each in decisions})
    if (len(decisions), different) != (count, count):
        raise RuntimeError(f"{name}: {len(decisions):,} decisions on {different:,} events; expected {count:,} of each")
