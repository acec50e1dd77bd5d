"""What an event costs a worker as the partitions grow: the same events, spread thinner."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from detectors.model.events import Event
from tests.benchmarks.broker import Broker
from tests.benchmarks.contenders import CONTENDERS, PlaceOf
from tests.benchmarks.parts.throughput import run_once
from tests.benchmarks.schema import WORKER, Curve, Point
from tests.benchmarks.workload import rows_of

COUNTS = (4, 8, 16, 64)


async def measure(
    place_of: PlaceOf, broker: Broker, events: Sequence[Event], rounds: int, counts: Sequence[int] = COUNTS
) -> Curve:
    """All counts in turn, ``rounds`` times."""
    points = [Point(count, []) for count in counts]
    spread = {count: rows_of(events, count) for count in counts}
    for _ in range(rounds):
        for point in points:
            place = replace(place_of(), partitions=point.x)
            run = await run_once(CONTENDERS[WORKER], place, broker, spread[point.x])
            point.us.append(run.cpu_us)
            point.rate.append(run.rate)
            print(f"{point.x} partitions: {run.cpu_us:.1f} us of CPU", file=sys.stderr)  # noqa: T201
    return Curve("Partitions", "partitions of each topic", "us of the worker's CPU an event", points)
