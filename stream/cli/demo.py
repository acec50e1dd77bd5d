"""`lanjie demo`: the whole pipeline, measured, in one command.

    1  find a Kafka (start one if need be)          5  publish 85 % of the log at full speed     -> events/s
    2  build the log and its number list            6  publish the rest at 2,000/s               -> latency
    3  create topics                                7  read decisions and dead letters from Kafka -> lost, duplicates,
    4  start one worker, wait until it is ready        precision, recall; stop worker and Kafka

During 6 a number is put on the block list, to see how soon that is in force.

Counts and times come from what is on Kafka at the end, not from what the worker says about itself; its metrics feed
only the live table and tell when it is done.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
from rich.console import Console

from loadtest import real_log, sample
from loadtest.driver import Driver, Record, Schedule, record_of
from loadtest.poison import poison
from stream.cli import demo_kafka
from stream.cli.demo_change import list_a_number
from stream.cli.demo_kafka import Collected
from stream.cli.demo_report import FULL_SPEED_SHARE, PACE, Run, build_report
from stream.cli.demo_view import View, shown, summary
from stream.cli.demo_worker import WorkerProcess
from stream.cli.kafka_local import DEFAULT_HOME, find_kafka, free_port
from stream.cli.loadtest_broker import delete_topics, interrupt, on_loop, settings_for
from stream.clock import SystemClock
from stream.settings import Settings, variable
from stream.wire import dump_json

MOCK_LIMIT: Final = 10_000  # events; the in-memory broker keeps about 5 MB a partition
STALL: Final = 30.0  # seconds without a new decision after which the rest counts as lost
POLL: Final = 0.25  # seconds between two looks at the worker's metrics


@click.command()
@click.option("--keep", is_flag=True, help="Leave Kafka and the worker running, and print where they are.")
@click.option("--bootstrap", envvar=variable("bootstrap"), help="Use this Kafka. [env: LANJIE_BOOTSTRAP]")
@click.option("--limit", type=click.IntRange(min=100), help="At most so many events.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Takes the summary.")
def demo(*, keep: bool, bootstrap: str | None, limit: int | None, json_file: Path | None) -> None:
    """Show the whole pipeline at work, and measure it.

    A real Kafka, one worker, a real log (or the shipped sample) and 25 poisonous records. Exit 0 only if nothing
    was lost.
    """
    signal.signal(signal.SIGTERM, interrupt)
    settings = settings_for(bootstrap)
    data_dir = settings.data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    view = View(Console(width=None if sys.stdout.isatty() else 110), SystemClock())
    with ExitStack() as stack:
        run = _prepare(stack, view, settings, own=not bootstrap, limit=limit, keep=keep)
        worker = _start_worker(run, keep=keep)
        stack.callback(_unless(keep, worker.stop))
        found = on_loop(_through(run, worker))
        exit_code = 0 if keep else worker.stop()
        report = build_report(run, found, exit_code)
        target = json_file or data_dir / "demo.json"
        target.write_bytes(dump_json(report))
        summary(view.console, report)
        view.step(f"written: {shown(target)}")
        if keep:
            _where(run, worker)
    sys.exit(_verdict(view, report))


def _prepare(stack: ExitStack, view: View, settings: Settings, *, own: bool, limit: int | None, keep: bool) -> Run:
    """Steps 1 to 3."""
    view.step("starting Kafka (the first time its jars are fetched)" if own else f"Kafka at {settings.bootstrap}")
    data_dir = settings.data_dir.resolve()
    found = find_kafka(data_dir / "kafka", None if own else settings.kafka, die_with_parent=not keep)
    settings = replace(settings, bootstrap=found.bootstrap)
    if found.kafka.started:
        stack.callback(_unless(keep, found.kafka.down))
    if found.kind == "mock":
        view.warn(
            "NOT A REAL KAFKA: this runs on the in-memory broker that librdkafka carries, with a smaller log. "
            f"Its latency means nothing.\nWhy: {found.why}"
        )
        limit = min(limit or MOCK_LIMIT, MOCK_LIMIT)
    folder = real_log.data_folder()
    view.step(f"building the log from {folder}" if folder else "no ../shared/data: taking the shipped synthetic sample")
    log = real_log.build(folder) if folder else sample.load()
    run = Run(found, settings, log.limited(limit) if limit else log, data_dir, view, f"{view.clock.wall_ms():x}")
    run.prefix, run.created = on_loop(demo_kafka.create(settings.kafka, run.run_id))
    if run.created:
        stack.callback(_unless(keep, lambda: delete_topics(settings.kafka, run.created)))
    _fill(run)
    name = f", topics prefixed {run.prefix}: the usual names are taken" if run.prefix else ""
    view.step(f"broker: {found.kind} at {found.bootstrap}; {run.published:,} records{name}")
    return run


def _fill(run: Run) -> None:
    """All records, encoded beforehand: the driver shares the machine with what it measures."""
    records = [record_of(event, prefix=run.prefix) for event in run.log.events]
    cut = int(len(records) * FULL_SPEED_SHARE)
    run.fast, run.paced = records[:cut], records[cut:]
    gc.freeze()  # a full collection over these would make the driver late by a tenth of a second
    step = max(1, cut // 25)
    for n, bad in enumerate(poison()):
        headers = [("ce_id", bad.id.encode())]
        run.fast.insert(n * step, Record(run.prefix + bad.topic.name, b"poison", bad.value, headers, 0))


def _start_worker(run: Run, *, keep: bool) -> WorkerProcess:
    lists = run.data_dir / "demo-lists.csv"
    lists.write_text(run.log.lists, encoding="utf-8")
    settings = {
        "bootstrap": run.found.bootstrap,
        "group": run.group,
        "topic_prefix": run.prefix,
        "lists": f"block:{lists}",
        "metrics_port": str(free_port(9464)) if keep else "0",
        "data_dir": str(run.data_dir),
    }
    environ = {variable(name): value for name, value in settings.items()}
    worker = WorkerProcess(environ, run.data_dir, run.view.clock)
    run.view.step(f"one worker, pid {worker.pid}, log {shown(worker.log)}")
    return worker


async def _through(run: Run, worker: WorkerProcess) -> Collected:
    """Steps 4 to 7."""
    async with aiohttp.ClientSession() as http:
        await worker.ready(http)
        view = run.view
        with view.running():
            watcher = asyncio.create_task(_watch(run, worker, http))
            try:
                async with Driver(run.settings.kafka, run.view.clock) as driver:
                    await _phase(run, driver, worker, paced=False)
                    changing = asyncio.create_task(_change(run))
                    await _phase(run, driver, worker, paced=True)
                    run.change_seconds = await changing
            finally:
                watcher.cancel()
                with suppress(asyncio.CancelledError):
                    await watcher
    view.step("reading decisions and dead letters back from Kafka")
    return await demo_kafka.collect(run.settings.kafka, run.prefix)


async def _phase(run: Run, driver: Driver, worker: WorkerProcess, *, paced: bool) -> None:
    """Publish, then wait until the worker has decided everything or does not get on."""
    view, before = run.view, run.view.published
    view.phase = f"at {PACE:,} events/s" if paced else "at full speed"

    def progress(count: int) -> None:
        view.published = before + count

    schedule = Schedule(rate=PACE if paced else None)
    done = await driver.publish(
        run.paced if paced else run.fast, schedule, progress=progress, stamps=run.stamps if paced else None
    )
    run.late_ms = done.late_ms
    handled, since = -1, view.clock.monotonic()
    while handled < view.published and view.clock.monotonic() - since < STALL:
        worker.check()
        await asyncio.sleep(POLL / 5)
        if view.handled > handled:
            handled, since = view.handled, view.clock.monotonic()


async def _change(run: Run) -> float | None:
    """Not on the in-memory broker: who creates topics by itself compacts none, and its marks of commits are damaged."""
    settings = replace(run.settings, topic_prefix=run.prefix, group=run.group)
    return await list_a_number(settings) if run.created else None


async def _watch(run: Run, worker: WorkerProcess, http: aiohttp.ClientSession) -> None:
    while True:
        if reading := await worker.read(http):
            run.view.show(reading)
        await asyncio.sleep(POLL)


def _where(run: Run, worker: WorkerProcess) -> None:
    """With --keep."""
    run.view.step("still running:")
    for name, value in (
        ("bootstrap", run.found.bootstrap),
        ("topics", f"{run.prefix}telecom.{{calls,sms,cards}}.v1 -> {run.prefix}intercept.decisions.v1"),
        ("metrics", f"{worker.url}/metrics"),
        ("health", f"{worker.url}/healthy  {worker.url}/ready"),
        ("stop", f"kill {worker.pid}{_stop_kafka(run)}"),
    ):
        run.view.console.print(f"  {name:<10} {value}", highlight=False, soft_wrap=True)


def _stop_kafka(run: Run) -> str:
    if run.found.kind == "existing":
        return ""
    home = shown(run.data_dir / "kafka")
    return "; lanjie dev kafka down" + (f" --home {home}" if Path(home) != DEFAULT_HOME else "")


def _verdict(view: View, report: dict[str, Any]) -> int:
    if report["worker_exit_code"]:
        view.warn(f"the worker did not stop cleanly: exit code {report['worker_exit_code']}, see worker.log")
    if report["lost"]:
        view.warn(f"{report['lost']:,} events were published and neither decided nor dead-lettered")
    return 1 if report["lost"] or report["worker_exit_code"] else 0


def _unless(keep: bool, action: Callable[[], object]) -> Callable[[], None]:
    """``keep`` leaves running what works; what failed is stopped all the same."""

    def act() -> None:
        if not keep or sys.exc_info()[0] is not None:
            action()

    return act
