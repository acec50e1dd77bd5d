"""The process that publishes for the soak: ``RATE,SECONDS,FIRST,CALLERS``; the pipeline is in the environment."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

from loadtest.driver import Driver, Record, Schedule
from stream.clock import Clock, SystemClock
from stream.settings import Settings
from tests.chaos.traffic import Traffic


def records(settings: Settings, first: int, count: int, callers: int, clock: Clock) -> Iterator[Record]:
    """Events of the moment, numbered from ``first``."""
    traffic = Traffic(first, callers=callers)
    for n in range(first, first + count):
        now = clock.wall_ms()
        item = traffic.item(n, now)
        yield Record(settings.named(item.topic).name, item.key, item.value or b"", item.headers, now)


async def flow(rate: float, seconds: float, first: int, callers: int) -> None:
    """Publish."""
    settings, clock = Settings.from_env(), SystemClock()
    async with Driver(settings.kafka, clock) as driver:
        await driver.publish(records(settings, first, int(rate * seconds), callers, clock), Schedule(rate=rate))


if __name__ == "__main__":
    given = sys.argv[1].split(",")
    asyncio.run(flow(float(given[0]), float(given[1]), int(given[2]), int(given[3])))
