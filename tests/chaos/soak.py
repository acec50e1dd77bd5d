"""One worker for a long time at a steady load: does its memory grow, does its latency creep?

    python -m tests.chaos.soak                                            # 30 minutes, 1,000,000 callers, 70 %
    python -m tests.chaos.soak --minutes 120 --rate 5000 --json soak.json

First the capacity of this machine with broker, worker and publisher on it: the highest of some rates at which the p99
of a step stays within 250 ms. Then a share of that from a population of callers. The resident set is taken every 5 s;
its slope is a least-squares line through all after two windows (20 minutes), from when on as many callers are forgotten
as come. Exit 1 if the slope is above the limit, and surely so: by more than two standard errors.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
from rich.console import Console
from rich.table import Table

from stream.clock import Clock, SystemClock
from stream.wire import dump_json
from tests.chaos.broker import ChaosBroker
from tests.chaos.probe import Probe, Reading
from tests.chaos.run import PREFIX, new_folder
from tests.chaos.supervisor import Supervisor
from tests.chaos.traffic import write_lists

RATES: Final = (2_000, 3_000, 4_500, 6_000, 8_000, 10_000, 13_000)
STEP: Final = 10.0  # seconds of each
LIMIT_MS: Final = 250.0
EVERY: Final = 5.0  # seconds between samples
ENOUGH: Final = 60  # samples after the warm-up, below which a slope says nothing
#: MiB an hour. What is kept about callers is bounded; a worker that grows by a gigabyte in a day is not.
SLOPE: Final = 40.0
#: Seconds until memory is what it will be: two windows of the shipped rules.
WARM_UP: Final = 1200.0
GONE: Final = 60.0  # seconds until a worker without metrics counts as lost


@dataclass(frozen=True)
class Line:
    """A least-squares line. ``error``: standard error of the slope."""

    slope: float
    error: float


def fit(points: list[tuple[float, float]]) -> Line:
    """Through (hours, MiB)."""
    n = len(points)
    if n < 3:
        return Line(0.0, 0.0)
    x, y = (statistics.fmean(each) for each in zip(*points, strict=True))
    spread = sum((hours - x) ** 2 for hours, _ in points)
    slope = sum((hours - x) * (mib - y) for hours, mib in points) / spread
    rest = sum((mib - y - slope * (hours - x)) ** 2 for hours, mib in points)
    return Line(slope, (rest / (n - 2) / spread) ** 0.5)


class Soak:
    """One worker, and a process that publishes."""

    def __init__(self, folder: Path, *, callers: int, clock: Clock) -> None:
        self._folder, self._callers, self._clock = folder, callers, clock
        self._broker = ChaosBroker(folder / "kafka")
        self._first = 0  # number of the next event
        self.readings: list[Reading] = []
        self.capacity = self.rate = 0.0

    async def run(self, minutes: float, share: float, rate: float | None) -> None:
        """All of it."""
        write_lists(self._folder / "lists.csv")
        await self._broker.up()
        self._environ = {
            "LANJIE_BOOTSTRAP": self._broker.direct,
            "LANJIE_GROUP": PREFIX + "group",
            "LANJIE_TOPIC_PREFIX": PREFIX,
            "LANJIE_METRICS_PORT": "0",
            "LANJIE_LISTS": str(self._folder / "lists.csv"),
        }
        self.workers = Supervisor(self._environ, self._folder / "workers", self._clock)
        try:
            await self._broker.create_topics(self._environ)
            self._probe = Probe(self.workers.add(), self._clock)
            await self._probe.ready(GONE)
            self.capacity = 0.0 if rate else await self._capacity()
            self.rate = rate or self.capacity * share
            _tell(f"now {self.rate:,.0f} events/s from {self._callers:,} callers for {minutes:g} minutes")
            await self._steady(minutes * 60)
        finally:
            await self.workers.stop()
            await self._broker.down()

    async def _flow(self, rate: float, seconds: float) -> asyncio.subprocess.Process:
        """A process that publishes."""
        first, self._first = self._first, self._first + int(rate * seconds * 1.1) + 1_000
        what = f"{rate},{seconds},{first},{self._callers}"
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.chaos.flow", what), env=os.environ | self._environ
        )

    async def _capacity(self) -> float:
        best = RATES[0] / 2
        for rate in (RATES[0], *RATES):  # the first time warms up
            flowing = await self._flow(rate, STEP)
            await asyncio.sleep(STEP / 2)
            before = await self._probe.read()
            await flowing.wait()
            after = await self._probe.read()
            p99, lag = after.since(before).quantile(0.99) * 1000, after.lag
            _tell(f"{rate:,}/s: p99 {p99:.0f} ms, {lag:,.0f} records behind")
            if p99 > LIMIT_MS and best >= RATES[0]:
                break
            best = rate
        return float(best)

    async def _steady(self, seconds: float) -> None:
        await self._probe.caught_up(GONE)
        flowing, begun = await self._flow(self.rate, seconds), self._clock.monotonic()
        try:
            while (at := self._clock.monotonic() - begun) < seconds:
                self.readings.append(await self._probe.read())
                if len(self.readings) % 24 == 1:
                    self._progress(at / 60, self.readings[-1])
                await asyncio.sleep(EVERY)
        finally:
            if flowing.returncode is None:
                flowing.terminate()
                await flowing.wait()

    @staticmethod
    def _progress(minutes: float, last: Reading) -> None:
        _tell(f"{minutes:5.1f} min: {last.resident:.0f} MiB, {last.active:,.0f} callers, {last.lag:,.0f} behind")

    def report(self) -> dict[str, Any]:
        """Figures."""
        begun = self.readings[0].at
        steady = [each for each in self.readings if each.at - begun >= WARM_UP]
        line = fit([(each.at / 3600, each.resident) for each in steady])
        minutes = [
            after.since(before) for before, after in zip(self.readings[::12], self.readings[12::12], strict=False)
        ]
        first, last = self.readings[0], self.readings[-1]
        return {
            "capacity": self.capacity,
            "rate": self.rate,
            "callers": self._callers,
            "samples": len(self.readings),
            "samples_after_warm_up": len(steady),
            "slope_mib_per_hour": round(line.slope, 1),
            "standard_error": round(line.error, 1),
            "limit": SLOPE,
            "ok": len(steady) >= ENOUGH and line.slope - 2 * line.error <= SLOPE and not self.workers.exits[:-1],
            "resident_mib": [round(each.resident) for each in self.readings[::12]],
            "active_callers": [round(each.active) for each in self.readings[::12]],
            "p50_ms": [round(each.quantile(0.5) * 1000, 1) for each in minutes],
            "p99_ms": [round(each.quantile(0.99) * 1000, 1) for each in minutes],
            "worst_lag": max(each.lag for each in self.readings),
            "garbage": {name: value - first.garbage.get(name, 0.0) for name, value in last.garbage.items()},
            "exits": [end.code for end in self.workers.exits],
        }


def _tell(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


def show(report: dict[str, Any], console: Console) -> None:
    """For people."""
    table = Table(title=f"{report['rate']:,.0f} events/s, {report['callers']:,} callers; by minute")
    for name in ("minute", "resident MiB", "callers in windows", "p50 ms", "p99 ms"):
        table.add_column(name, justify="right")
    columns = (report["resident_mib"], report["active_callers"], report["p50_ms"], report["p99_ms"])
    for minute, (mib, callers, p50, p99) in enumerate(zip(*columns, strict=False)):
        table.add_row(f"{minute}", f"{mib}", f"{callers:,}", f"{p50}", f"{p99}")
    console.print(table)
    for name, value in report["garbage"].items():
        console.print(f"{name}: {value:,.6g}", highlight=False)
    console.print(
        f"slope {report['slope_mib_per_hour']} ± {report['standard_error']} MiB/hour; limit {report['limit']}; "
        f"worst lag {report['worst_lag']:,.0f}; exits {report['exits']}: {'ok' if report['ok'] else 'FAILED'}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--callers", type=int, default=1_000_000)
    parser.add_argument("--share", type=float, default=0.7, help="of this machine's capacity")
    parser.add_argument("--rate", type=float, help="events a second, instead of measuring the capacity")
    parser.add_argument("--json", type=Path, help="takes the results")
    args, folder = parser.parse_args(), new_folder()
    logging.basicConfig(level=logging.CRITICAL)
    assert psutil.virtual_memory().available > 2 << 30, "less than 2 GiB of memory are free"
    soak, ok = Soak(folder, callers=args.callers, clock=SystemClock()), False
    try:
        asyncio.run(soak.run(args.minutes, args.share, args.rate))
        report = soak.report()
        show(report, Console(width=110))
        if args.json:
            args.json.write_bytes(dump_json(report))
        ok = report["ok"]
    finally:
        shutil.rmtree(folder / "kafka" / "data", ignore_errors=True)
        if ok:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            _tell(f"logs: {folder}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
