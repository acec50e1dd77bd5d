"""A large import while events flow: what it does to the latency of decisions, how soon it is in force, what it takes.

    python -m tests.benchmarks.changes                      # 2.24 million numbers, half of capacity
    python -m tests.benchmarks.changes --numbers 100000 --share 0.3

One worker on a real broker. First the capacity of this machine with broker, worker and publisher on it: the highest of
some rates, by a schedule (open loop, latency from the *scheduled* time), at which p99 stays within 250 ms. Then events
at a share of that, and in the midst of them `lanjie lists import`. Compared: p99 in the seconds before the command
starts with p99 from there to 2 s after it ended. The command gives way to all others (nice 19): an operator's terminal
is not on the worker's cores, and this machine has but two for all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time  # noqa: TID251 - a benchmark
import uuid
from pathlib import Path

import aiohttp
import psutil
from aiokafka import AIOKafkaConsumer

from loadtest.driver import Driver, Schedule, record_of
from stream.cli.kafka_local import find_kafka
from stream.clock import SystemClock
from stream.kafka import Kafka
from stream.settings import Settings
from stream.topics import ALL, DECISIONS
from stream.topics_admin import ensure_topics
from stream.updates.workers import worker_states
from stream.wire import decode_decision, dump_json
from tests.benchmarks.events import list_lines, workload

LANJIE = str(Path(sys.executable).with_name("lanjie"))
RATES = (3000, 4500, 6750, 10_000, 15_000)  # events a second
STEP = 8.0  # seconds of each; the first quarter warms up
LIMIT = 250.0  # ms
BEFORE, AFTER = 20.0, 2.0  # seconds


class Bench:
    """One pipeline on the broker."""

    def __init__(self, bootstrap: str, home: Path) -> None:
        prefix = f"changes{uuid.uuid4().hex[:6]}."
        self.settings = Settings(bootstrap=bootstrap, topic_prefix=prefix, group=prefix + "g", data_dir=home / "cli")
        self.home = home
        self.consumer: AIOKafkaConsumer | None = None
        self.env = os.environ | {
            "LANJIE_BOOTSTRAP": bootstrap,
            "LANJIE_TOPIC_PREFIX": prefix,
            "LANJIE_GROUP": prefix + "g",
            "LANJIE_METRICS_PORT": "0",
            "LANJIE_DATA_DIR": str(home / "worker"),
            "LANJIE_LISTS": str(home / "first.csv"),
        }
        (home / "first.csv").write_text("number\n13600000001\n")

    async def start(self) -> subprocess.Popen[bytes]:
        """A worker that is ready."""
        process = subprocess.Popen([LANJIE, "worker"], env=self.env, stderr=(self.home / "worker.log").open("wb"))  # noqa: ASYNC220
        found = self.home / "worker" / f"worker-{process.pid}.json"
        async with aiohttp.ClientSession() as session:
            while True:
                await asyncio.sleep(0.1)
                if process.poll() is not None:
                    raise RuntimeError((self.home / "worker.log").read_text())
                if found.is_file():
                    async with session.get(json.loads(found.read_bytes())["url"] + "/ready") as answer:
                        if answer.status == 200:
                            return process

    def flow(self, count: int, rate: float | None) -> subprocess.Popen[bytes]:
        """A process that publishes."""
        command = [sys.executable, "-m", "tests.benchmarks.changes", "--flow", f"{count},{rate or 0}"]
        return subprocess.Popen(command, env=self.env)

    async def publish(self, count: int, rate: float | None, first: int = 0) -> None:
        """Events as a schedule wants them, or at once."""
        events = workload(count, seed=first + 3)
        async with Driver(self.settings.kafka, SystemClock()) as driver:
            records = (record_of(event, prefix=self.settings.topic_prefix) for event in events)
            await driver.publish(records, Schedule(rate=rate))

    async def decided(self, count: int, into: list[tuple[int, int]]) -> None:
        """Read decisions until there are ``count`` in all: (when, latency in microseconds) of each."""
        if self.consumer is None:
            self.consumer = AIOKafkaConsumer(
                self.settings.named(DECISIONS).name,
                bootstrap_servers=self.settings.bootstrap,
                auto_offset_reset="earliest",
            )
            await self.consumer.start()
        while len(into) < count:
            for batch in (await self.consumer.getmany(timeout_ms=500)).values():
                for record in batch:
                    decision = decode_decision(record.value or b"")
                    into.append((record.timestamp, decision.latency_us or 0))


def p(values: list[int], q: float) -> float:
    """Quantile in milliseconds."""
    return statistics.quantiles(values, n=1000)[round(q * 1000) - 1] / 1000 if len(values) > 1 else 0.0


def peak(pid: int) -> float:
    """Peak resident set of a process, MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


async def capacity_of(bench: Bench, found: list[tuple[int, int]]) -> float:
    """The highest rate that this machine sustains."""
    best = RATES[0] / 2
    for rate in (RATES[0], *RATES):  # the first time warms up
        count, before = int(rate * STEP), len(found)
        flowing = bench.flow(count, rate)
        await bench.decided(before + count, found)
        await asyncio.to_thread(flowing.wait)
        steady = sorted(found[before:])[count // 4 :]
        p99 = p([us for _, us in steady], 0.99)
        print(f"{rate:,}/s: p99 {p99:.0f} ms", file=sys.stderr)  # noqa: T201
        if p99 > LIMIT and best >= RATES[0]:
            break
        best = rate
    return best


async def measure(bench: Bench, snapshot: Path, share: float) -> dict[str, object]:
    await ensure_topics(bench.settings.kafka, [bench.settings.named(topic) for topic in ALL])
    worker = await bench.start()
    try:
        found: list[tuple[int, int]] = []
        capacity = await capacity_of(bench, found)
        rate, warmed = capacity * share, len(found)
        print(f"capacity {capacity:,.0f} events/s; now {rate:,.0f}/s", file=sys.stderr)  # noqa: T201
        resident = psutil.Process(worker.pid).memory_info().rss / 2**20
        total = int(rate * (BEFORE + AFTER + 25))
        flowing = bench.flow(total, rate)
        await asyncio.sleep(BEFORE + 5)
        hwm_before, started = peak(worker.pid), time.time()
        importing = await asyncio.create_subprocess_exec(
            *[
                "nice",
                "-n",
                "19",
                LANJIE,
                "lists",
                "import",
                str(snapshot),
                "--feed",
                "bench",
                "--stage",
                "enforce",
                "--reason",
                "bench",
            ],
            env=bench.env,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await importing.communicate()
        ended = time.time()
        await asyncio.to_thread(flowing.wait)
        states = await worker_states(bench.settings)
        (state,) = states.values()
        await bench.decided(warmed + total, found)
        before = [us for at, us in found if started - BEFORE <= at / 1000 < started]
        during = [us for at, us in found if started <= at / 1000 < ended + AFTER]
        return {
            "capacity": capacity,
            "rate": rate,
            "said": said.decode().strip().splitlines(),
            "command_seconds": ended - started,
            "in_force_after_ms": state.delay_ms,
            "before_ms": {str(q): p(before, q) for q in (0.5, 0.99, 0.999)},
            "during_ms": {str(q): p(during, q) for q in (0.5, 0.99, 0.999)},
            "p99_ratio": p(during, 0.99) / p(before, 0.99),
            "decided": len(found),
            "resident_mib": resident,
            "peak_before_mib": hwm_before,
            "peak_after_mib": peak(worker.pid),
        }
    finally:
        if bench.consumer:
            await bench.consumer.stop()
        worker.terminate()
        worker.wait(20)


async def flow(count: int, rate: float | None) -> None:
    """The process that publishes."""
    bench = Bench(os.environ["LANJIE_BOOTSTRAP"], Path(tempfile.mkdtemp()))
    bench.settings = Settings.from_env()
    await bench.publish(count, rate, first=1 if rate else 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", type=int, default=2_240_000)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--bootstrap", default=os.environ.get("LANJIE_BOOTSTRAP"))
    parser.add_argument("--flow", help=argparse.SUPPRESS)
    args = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    if args.flow:
        count, rate = args.flow.split(",")
        asyncio.run(flow(int(count), float(rate) or None))
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "numbers.txt").write_text("\n".join(list_lines(args.numbers)) + "\n")
        started = time.monotonic()
        subprocess.run(
            [LANJIE, "lists", "build", str(home / "numbers.txt"), "-o", str(home / "numbers.lanjie")], check=True
        )
        built = time.monotonic() - started
        kafka = find_kafka(home / "kafka", Kafka.plain(args.bootstrap) if args.bootstrap else None)
        try:
            result = asyncio.run(measure(Bench(kafka.bootstrap, home), home / "numbers.lanjie", args.share))
        finally:
            if kafka.kafka.started:
                kafka.kafka.down()
    result |= {"numbers": args.numbers, "share": args.share, "build_seconds": built}
    sys.stdout.buffer.write(dump_json(result))


if __name__ == "__main__":
    main()
