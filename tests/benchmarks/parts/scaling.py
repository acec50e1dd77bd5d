"""One worker and two on all cores together with the broker, and what each event costs both sides.

The events lie ready in an open transaction; when all workers are ready it is committed, and all begin at once.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from loadtest.driver import Row
from tests.benchmarks import machine
from tests.benchmarks.broker import Broker, Decisions, filled, topics
from tests.benchmarks.contenders import CONTENDERS, LOOK, PATIENCE, Place, PlaceOf, Process, running
from tests.benchmarks.parts.throughput import check, rate_of, watch
from tests.benchmarks.schema import WORKER, Scaling

WORKERS = (1, 2)


async def once(count: int, place: Place, broker: Broker, rows: Sequence[Row]) -> Scaling:
    """``count`` workers of one group."""
    async with topics(place.bootstrap, place.prefix, place.partitions):
        with ExitStack() as stack:
            async with filled(place.bootstrap, place.prefix, rows):
                homes = [replace(place, folder=place.folder / str(i)) for i in range(count)]
                processes = [stack.enter_context(running(CONTENDERS[WORKER], home, ())) for home in homes]
                await together(processes)
            async with Decisions(place.bootstrap, place.prefix, place.partitions) as decisions:
                async with asyncio.timeout(PATIENCE):
                    first, last = await watch(decisions, processes, broker, len(rows))
                found = await decisions.read()
    check(f"{count} workers", found, len(rows))
    done, rate = last.done - first.done, rate_of(found)
    worker, of_broker = ((b - a) / done for a, b in zip(first[1:3], last[1:3], strict=True))
    return Scaling(count, rate, worker * rate, of_broker * rate, worker * 1e6, of_broker * 1e6)


async def together(processes: Sequence[Process]) -> None:
    """Until all are ready at one moment: one that comes takes partitions from the others, which are not for a while."""
    async with asyncio.timeout(PATIENCE):
        while sum(process.ready() for process in processes) < len(processes):  # noqa: ASYNC110 - they do not notify
            await asyncio.sleep(LOOK)


async def measure(place_of: PlaceOf, broker: Broker, rows: Sequence[Row], rounds: int) -> list[Scaling]:
    """One and two in turn. The broker may use all cores meanwhile."""
    found = []
    machine.move(broker.pid, ())
    try:
        for _ in range(rounds):
            for count in WORKERS:
                found.append(await once(count, place_of(), broker, rows))
                print(f"{count} workers: {found[-1].rate:,.0f}/s", file=sys.stderr)  # noqa: T201
    finally:
        machine.move(broker.pid, machine.BROKER_CORES)
    return found
