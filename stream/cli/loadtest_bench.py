"""`lanjie loadtest bench`: how many events a second the driver itself can send."""

from __future__ import annotations

import gc
import os
import platform
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any, Final

import click
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from detectors.model.errors import LanjieError
from loadtest import sample
from loadtest.driver import Driver, Record, Schedule, record_of
from loadtest.prepared import NullProducer, Prepared
from stream import refused
from stream.cli.kafka_local import ExistingKafka
from stream.cli.loadtest_broker import delete_topics, on_loop, settings_for
from stream.clock import SystemClock
from stream.kafka import Kafka
from stream.logs import LogReader
from stream.topics import INPUTS
from stream.topics_admin import ensure_topics
from stream.wire import WireError, decode_event, dump_json

#: Where there is no broker that anybody asks.
NOWHERE: Final = "127.0.0.1:1"


class BenchError(LanjieError):
    """The log cannot be used, or the broker did not take it."""


@click.command()
@click.argument("logs", nargs=-1, metavar="[LOG]...")
@click.option("--events", type=click.IntRange(1_000), default=400_000, show_default=True, help="The log, repeated.")
@click.option("--rate", type=click.FloatRange(min=1), default=100_000.0, show_default=True, help="Events a second.")
@click.option("--bootstrap", help="Also against this Kafka, on topics that are deleted afterwards.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Takes the figures.")
def bench(*, logs: tuple[str, ...], events: int, rate: float, bootstrap: str | None, json_file: Path | None) -> None:
    """Measure the driver: a prepared log into nothing, and into a broker.

    LOG is JSON lines of events, the shipped sample if none is named. Nothing builds the batches, checksums included,
    and drops them. Per core is by CPU time of this process; it holds also on a machine that does other things.
    """
    settings, clock = settings_for(bootstrap or NOWHERE), SystemClock()
    settings = replace(settings, topic_prefix=f"loadtest-bench-{clock.wall_ms():x}.")
    records = list(islice(cycle(list(_records(logs, settings.topic_prefix))), events))
    drivers: dict[str, Callable[[], Driver]] = {
        "nothing": lambda: Driver(settings.kafka, clock, NullProducer(settings.partitions))
    }
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        if bootstrap:
            ExistingKafka(settings.kafka).up()
            topics = [settings.named(topic) for topic in INPUTS]
            made = on_loop(ensure_topics(settings.kafka, topics, replication=settings.replication))
            stack.callback(delete_topics, settings.kafka, made)
            drivers["Kafka"] = lambda: Driver(settings.kafka, clock)
        for (into, driver), schedule in product(drivers.items(), ({}, {"rate": rate})):
            done = on_loop(_measure(settings.kafka, driver(), records, Schedule(**schedule)))
            rows.append({"into": into, "schedule": f"{rate:,.10g}/s" if schedule else "full speed"} | done)
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    _show(Console(), rows)
    if json_file:
        json_file.write_bytes(dump_json({"events": len(records), "rows": rows, "machine": machine}))


def _records(logs: tuple[str, ...], prefix: str) -> Iterator[Record]:
    if not logs:
        yield from (record_of(event, prefix=prefix) for event in sample.load().events)
    for line in LogReader(logs) if logs else ():
        try:
            yield record_of(decode_event(line.raw), prefix=prefix, value=line.raw)
        except WireError as error:
            raise BenchError(f"{line.where}: {error}") from None


async def _measure(kafka: Kafka, driver: Driver, records: list[Record], schedule: Schedule) -> dict[str, Any]:
    try:
        async with driver:
            log = await Prepared.of(records, driver.partitions)
            gc.freeze()
            before = _cpu()
            done = await driver.publish_slices(log.slices(schedule), schedule)
            spent = _cpu() - before
    except KafkaError as error:
        raise BenchError(await refused.explain(kafka, error, "publish events")) from None
    return {
        "events_per_second": round(done.per_second),
        "events_per_cpu_second": round(done.records / spent),
        "late_ms": round(done.late_ms, 1),
        "held_ms": round(done.held_ms, 1),
    }


def _cpu() -> float:
    """Seconds of all threads of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _show(console: Console, rows: list[dict[str, Any]]) -> None:
    table = Table("into", "schedule", title="driver, prepared log")
    for name in ("events/s", "events/s per core", "late, ms", "held, ms"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int | float) else value for value in row.values()))
    console.print(table)
