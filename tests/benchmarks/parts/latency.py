"""Kafka-to-Kafka latency of a worker at a share of its capacity, beside an echo at the same rate in the same run, and
beside two bare loops: around the same engine, and around the floor's work, which any design has to do.

Open loop: an event is sent when the schedule says, and its latency runs from that moment until the broker has appended
its decision, so every wait counts, the driver's own too. The broker stamps whole milliseconds; half of one is added.
Driver and broker share the cores that are not the worker's, for all contenders alike.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import psutil

from loadtest.driver import NAP, Driver, Row, Schedule, Slice
from stream.clock import SystemClock
from stream.kafka import Kafka
from tests.benchmarks.broker import Decided, Decisions, topics
from tests.benchmarks.contenders import CONTENDERS, LOOK, PATIENCE, Contender, Place, PlaceOf, running
from tests.benchmarks.parts.throughput import check
from tests.benchmarks.schema import BARE, ECHO, FLOOR, WORKER, Latency, Tail

SHARE = 0.6  # of the capacity
SECONDS, WARM_UP = 7.0, 2.0  # of a run; of them not counted
NAMES = (WORKER, ECHO, FLOOR, BARE)


def slices_of(rows: Sequence[Row], prefix: str, rate: float) -> list[Slice]:
    """What is due within one nap of the driver goes out together."""
    size = max(1, round(rate * NAP))
    found = []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        due = [(start + i) / rate for i in range(len(part))]
        found.append(Slice(due, [row._replace(where=(prefix + row.where[0], row.where[1])) for row in part]))
    return found


async def once(contender: Contender, place: Place, rows: Sequence[Row], rate: float) -> Tail:
    """One run: wait until it is ready, drive, read back."""
    async with topics(place.bootstrap, place.prefix, place.partitions):
        with running(contender, place) as process:
            await process.until_ready()
            used = psutil.Process(process.pid)
            slices, schedule = slices_of(rows, place.prefix, rate), Schedule(rate=rate)
            async with (
                Driver(Kafka.plain(place.bootstrap), SystemClock()) as driver,
                Decisions(place.bootstrap, place.prefix, place.partitions) as decisions,
            ):
                stamps: list[int] = []
                before = sum(used.cpu_times()[:2])
                published = await driver.publish_slices(slices, schedule, stamps=stamps)
                cpu = (sum(used.cpu_times()[:2]) - before) / published.seconds
                async with asyncio.timeout(PATIENCE):
                    while await decisions.count() < len(rows):
                        process.check()
                        await asyncio.sleep(LOOK)
                found = await decisions.read()
    check(contender.name, found, len(rows))
    return tail_of(found, stamps, rate, late=published.late_ms, cpu=cpu)


def tail_of(decisions: Sequence[Decided], stamps: Sequence[int], rate: float, *, late: float, cpu: float) -> Tail:
    """Of what was due after the warm-up. ``stamps``: when each event was due, ms; event n has the id ``b{n}``."""
    first = int(WARM_UP * rate)
    numbers = ((int(each.event_id[1:]), each.at) for each in decisions)
    waited = sorted(at + 0.5 - stamps[n] for n, at in numbers if n >= first)

    def at(share: float) -> float:
        return waited[min(len(waited) - 1, int(share * len(waited)))]

    return Tail(
        events=len(waited), p50=at(0.5), p99=at(0.99), p999=at(0.999), most=waited[-1], late=late, cpu=cpu
    )  # fmt: skip


async def measure(place_of: PlaceOf, rows: Sequence[Row], rounds: int, capacity: float) -> Latency:
    """All in turn, ``rounds`` times. ``capacity``: of the worker, events a second."""
    rate = capacity * SHARE
    rows = rows[: int(rate * SECONDS)]
    found = Latency(capacity, SHARE, rate, SECONDS - WARM_UP, {name: [] for name in NAMES})
    for _ in range(rounds):
        for name, tails in found.runs.items():
            tails.append(await once(CONTENDERS[name], place_of(), rows, rate))
            print(f"latency, {name}: p99 {tails[-1].p99:.1f} ms at {rate:,.0f}/s", file=sys.stderr)  # noqa: T201
    return found
