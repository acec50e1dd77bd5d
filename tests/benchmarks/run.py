"""lanjie against its peers on one broker, in turn, with the same events: ratios, not absolute figures.

    make bench                          # 3 rounds
    make bench ARGS="--rounds 5 --lists 2240000"

Each contender is a fresh process that finds its topics already full. The clock is the broker's own append time of
the first and the last decision, so start-up does not count and no contender times itself.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from rich.console import Console
from rich.table import Table

from stream.cli.kafka_local import find_kafka
from stream.kafka import Kafka
from stream.topics import ALL, DECISIONS, topic_for
from stream.wire import dump_json, encode_event
from tests.benchmarks.events import list_lines, workload

HERE = Path(__file__).parent
QUIET = 10  # looks in a row, 0.05 s apart, in which nothing more came
CONTENDERS = {
    # name: (events per round, command). The stock agent is slow, and its rate does not depend on the count.
    "lanjie worker": (200_000, lambda *_: [str(Path(sys.executable).with_name("lanjie")), "worker"]),
    "lanjie worker, exactly once": (200_000, lambda *_: [str(Path(sys.executable).with_name("lanjie")), "worker"]),
    "bare aiokafka": (200_000, lambda *a: [sys.executable, "-m", "tests.benchmarks.peers.bare_aiokafka", *a]),
    "stock Faust agent": (16_000, lambda *a: [sys.executable, "-m", "tests.benchmarks.peers.stock_faust", *a]),
}


async def prepare(bootstrap: str, prefix: str, count: int) -> None:
    """Create the topics of one run and fill them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    stamped = {"message.timestamp.type": "LogAppendTime"}
    await admin.create_topics(
        [NewTopic(prefix + t.name, t.partitions, 1, topic_configs=stamped if t is DECISIONS else {}) for t in ALL]
    )
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=1 << 18)
    await producer.start()
    pending = [
        await producer.send(
            prefix + topic_for(event).name,
            encode_event(event),
            event.a_number.encode(),
        )
        for event in workload(count)
    ]
    await asyncio.gather(*pending)
    await producer.stop()


async def finished(bootstrap: str, prefix: str, count: int, process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Wait for ``count`` decisions. Returns (seconds from the first to the last, the process's CPU seconds)."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    tps = [TopicPartition(prefix + DECISIONS.name, p) for p in range(DECISIONS.partitions)]
    cpu_at_first: float | None = None
    used = psutil.Process(process.pid)
    before = quiet = 0
    while True:
        done = sum((await consumer.end_offsets(tps)).values())
        if done and cpu_at_first is None:
            cpu_at_first = sum(used.cpu_times()[:2])
        # Markers of transactions have offsets too: so it is done when there is as much, and no more comes.
        quiet = quiet + 1 if done == before else 0
        before = done
        if done >= count and quiet >= QUIET:
            break
        if process.poll() is not None:
            raise RuntimeError(f"{prefix}: the contender exited with {process.returncode} after {done} of {count}")
        await asyncio.sleep(0.05)
    cpu = sum(used.cpu_times()[:2]) - (cpu_at_first or 0.0)
    first, last = [], []
    consumer.assign(tps)
    for tp, end in (await consumer.end_offsets(tps)).items():
        for offset, into in ((0, first), (max(0, end - 2), last)):  # the very last may be a marker, which nobody gets
            if end:
                consumer.seek(tp, offset)
                into += [record.timestamp for record in (await consumer.getmany(tp, timeout_ms=5_000))[tp]]
    await consumer.stop()
    return (max(last) - min(first)) / 1000, cpu


async def one(name: str, bootstrap: str, round_no: int, lists: Path) -> dict[str, float]:
    """One run of one contender."""
    count, command = CONTENDERS[name]
    prefix = f"bench{os.getpid()}.{round_no}.{list(CONTENDERS).index(name)}."
    await prepare(bootstrap, prefix, count)
    env = os.environ | {
        "LANJIE_BOOTSTRAP": bootstrap,
        "LANJIE_TOPIC_PREFIX": prefix,
        "LANJIE_GROUP": prefix + "group",
        "LANJIE_LISTS": f"block:{lists}",
        "LANJIE_METRICS_PORT": "0",
        "LANJIE_DELIVERY": "exactly-once" if "exactly once" in name else "at-least-once",
    }
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command(bootstrap, prefix, str(lists)), env=env, stdout=log, stderr=log)  # noqa: ASYNC220
        try:
            seconds, cpu = await asyncio.wait_for(finished(bootstrap, prefix, count, process), 300)
        finally:
            process.kill()
            process.wait()
    return {"events_per_second": count / seconds, "events_per_cpu_second": count / cpu}


async def measure(bootstrap: str, rounds: int, lists: Path) -> dict[str, list[dict[str, float]]]:
    """All contenders in turn, ``rounds`` times: a slow minute of the machine hits them alike."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for round_no in range(rounds):
        for name, runs in results.items():
            runs.append(await one(name, bootstrap, round_no, lists))
            rate = runs[-1]["events_per_second"]
            print(f"round {round_no + 1}/{rounds} {name}: {rate:,.0f} events/s", file=sys.stderr)  # noqa: T201
    return results


def report(results: dict[str, list[dict[str, float]]], entries: int) -> dict[str, object]:
    """Medians and ratios to the stock agent."""
    medians = {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for name, runs in results.items()
    }
    stock = medians["stock Faust agent"]
    table = Table(title=f"{entries:,} numbers on the lists; medians; spread min-max")
    for column in ("contender", "events/s", "spread", "x stock", "events per CPU second", "x stock"):
        table.add_column(column, justify="left" if column == "contender" else "right")
    for name, median in medians.items():
        rates = [run["events_per_second"] for run in results[name]]
        table.add_row(
            name,
            f"{median['events_per_second']:,.0f}",
            f"{min(rates):,.0f} - {max(rates):,.0f}",
            f"{median['events_per_second'] / stock['events_per_second']:.1f}",
            f"{median['events_per_cpu_second']:,.0f}",
            f"{median['events_per_cpu_second'] / stock['events_per_cpu_second']:.1f}",
        )
    Console(width=110).print(table)
    return {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "numbers_on_lists": entries,
        "runs": results,
        "medians": medians,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lists", type=int, default=100_000, help="numbers on the block list")
    parser.add_argument("--bootstrap", default=os.environ.get("LANJIE_BOOTSTRAP"))
    args = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.ERROR)  # a topic made a moment ago is retried, with a warning
    with tempfile.TemporaryDirectory() as home:
        lists = Path(home) / "block.txt"
        lists.write_text("\n".join(list_lines(args.lists)) + "\n")
        found = find_kafka(Path(home) / "kafka", Kafka.plain(args.bootstrap) if args.bootstrap else None)
        try:
            results = asyncio.run(measure(found.bootstrap, args.rounds, lists))
        finally:
            if found.kafka.started:
                found.kafka.down()
    out = Path(".lanjie/bench.json")
    out.parent.mkdir(exist_ok=True)
    out.write_bytes(dump_json(report(results, args.lists)))
    print(f"written: {out}")  # noqa: T201


if __name__ == "__main__":
    main()
