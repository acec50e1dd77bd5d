"""`lanjie publish`: event logs onto Kafka by an open-loop schedule (loadtest/driver.py)."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from detectors.model.errors import LanjieError
from loadtest.driver import Driver, Published, Record, Schedule, record_of
from stream import refused
from stream.clock import SystemClock
from stream.kafka import Kafka
from stream.logs import Line, LogReader
from stream.settings import Settings, variable
from stream.wire import WireError, decode_event, dump_json

SHOWN_REJECTS: Final = 20


class PublishError(LanjieError):
    """The broker did not take a record."""


class Speed(click.ParamType):
    """``max`` or a factor on the log's own pace."""

    name = "N|max"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """None for max."""
        if value == "max" or value is None:
            return None
        try:
            speed = float(value)
        except ValueError:
            speed = 0.0
        if not 0 < speed < 1e9:
            self.fail(f"{value!r}: expected max or a factor above 0, such as 1 (real time) or 60", param, ctx)
        return speed


class Source:
    """The records of event logs. Bad lines are counted; with a raw topic they go there as they are."""

    def __init__(self, reader: LogReader, prefix: str, raw_topic: str | None) -> None:
        self._reader, self._prefix, self._raw_topic = reader, prefix, raw_topic
        self.rejected: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Record]:
        """In the order of the logs."""
        time = 0
        for line in self._reader:
            try:
                event = decode_event(line.raw)
            except WireError as error:
                self._reject(line, error)
                if self._raw_topic:
                    yield Record(self._prefix + self._raw_topic, b"", line.raw, [], time)
            else:
                time = event.time
                yield record_of(event, prefix=self._prefix, value=line.raw)

    def _reject(self, line: Line, error: WireError) -> None:
        self.rejected[error.code] += 1
        if self.rejected.total() <= SHOWN_REJECTS:
            click.echo(f"{line.where}: {error}", err=True)


@click.command()
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option("--speed", type=Speed(), default="max", show_default=True, help="Factor on the log's own pace, or max.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Events a second instead of a speed.")
@click.option("--raw-topic", help="Bad lines go to this topic as they are; without it they are reported and skipped.")
@click.option("--bootstrap", help=f"Kafka, host:port[,host:port]. [env: {variable('bootstrap')}]")
@click.option("--topic-prefix", help=f"Goes before every topic name. [env: {variable('topic_prefix')}]")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Takes the summary.")
def publish(
    *,
    logs: tuple[str, ...],
    speed: float | None,
    rate: float | None,
    raw_topic: str | None,
    bootstrap: str | None,
    topic_prefix: str | None,
    json_file: Path | None,
) -> None:
    """Put event logs on Kafka, on a schedule.

    LOG is JSON lines, plain, gzip or zstd; - is stdin. A record's Kafka timestamp is its scheduled time, so latencies
    taken from it contain every wait.
    """
    if speed is not None and rate is not None:
        raise click.UsageError("--speed and --rate exclude each other")
    given = {variable("bootstrap"): bootstrap, variable("topic_prefix"): topic_prefix}
    settings = Settings.from_env({**os.environ, **{name: value for name, value in given.items() if value}})
    source = Source(LogReader(logs), settings.topic_prefix, raw_topic)
    done = asyncio.run(_publish(settings.kafka, source, Schedule(rate=rate, speed=speed)))
    report = {
        "published": done.records,
        "by_topic": done.by_topic,
        "rejected": source.rejected.total(),
        "rejected_by_code": dict(source.rejected),
        "seconds": round(done.seconds, 3),
        "events_per_second": round(done.per_second),
        "late_ms": round(done.late_ms, 1),
    }
    if json_file:
        json_file.write_bytes(dump_json(report))
    _print(Console(), report)


async def _publish(kafka: Kafka, source: Source, schedule: Schedule) -> Published:
    columns = (TextColumn("publish"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("publish", total=None)
        try:
            async with Driver(kafka, SystemClock()) as driver:
                return await driver.publish(source, schedule, progress=lambda n: bar.update(task, completed=n))
        except KafkaError as error:
            raise PublishError(await refused.explain(kafka, error, "publish events")) from None


def _print(console: Console, report: dict[str, Any]) -> None:
    table = Table("topic", Column("records", justify="right"))
    for name, count in sorted(report["by_topic"].items()):
        table.add_row(name, f"{count:,}")
    console.print(table)
    for line in (
        f"{report['published']:,} records published, {report['rejected']:,} lines rejected",
        f"{report['events_per_second']:,} records/s; the driver was at most {report['late_ms']:,} ms late",
    ):
        console.print(line, highlight=False, soft_wrap=True)
