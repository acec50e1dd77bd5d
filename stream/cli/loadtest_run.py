"""`lanjie loadtest run`: a log with known truth through the pipeline, open-loop, and what came of it.

    1  simulate the profile, unless it is a folder that holds a log    4  prepare the log: decode once
    2  find a Kafka (start one if need be), make topics of our own     5  send every record when it is due
    3  start workers and what counts cards, wait until all are ready   6  read back until each event has its outcome
                                                                       7  measure, stop everything, report

With ``--workers 0`` the workers, what counts cards, topics and group are those of the ``--bootstrap`` cluster; whoever
else writes there is not measured.
"""

from __future__ import annotations

import gc
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
from aiokafka.errors import KafkaError
from click.core import ParameterSource
from rich.console import Console
from rich.progress import Progress

from detectors.model.errors import LanjieError
from loadtest.detection import detect
from loadtest.driver import Driver, Record, Schedule, record_of
from loadtest.prepared import Prepared
from loadtest.sim.write import EVENTS
from stream import refused
from stream.cli.demo_view import shown
from stream.cli.demo_worker import WorkerProcess
from stream.cli.kafka_local import ExistingKafka, LocalKafka, free_port
from stream.cli.loadtest_broker import delete_topics, interrupt, on_loop, settings_for, stamped
from stream.cli.loadtest_figures import Driven, figures
from stream.cli.loadtest_kafka import Outcomes, ends, read_back
from stream.cli.loadtest_page import page
from stream.cli.loadtest_simulate import COLUMNS, SEED, LogFolder, make
from stream.cli.loadtest_view import show
from stream.cli.publish import Speed
from stream.clock import SystemClock
from stream.settings import Settings, variable
from stream.topics import ALL
from stream.topics_admin import ensure_topics
from stream.whole_file import write_whole
from stream.wire import dump_json

#: Events a second, unless something else is asked for: far from saturation on two cores.
RATE: Final = 2_000.0
WIDTH: Final = 150
_FILE: Final = click.Path(dir_okay=False, path_type=Path)


class LoadTestError(LanjieError):
    """The log could not be sent."""


@dataclass
class Run:
    """One run."""

    settings: Settings
    log: LogFolder
    scratch: Path  #: gone at the end
    rate: float | None
    speed: float | None
    broker: str = ""
    workers: list[WorkerProcess] = field(default_factory=list)
    cards: list[WorkerProcess] = field(default_factory=list)  #: none or one: `lanjie cards watch`
    clock: SystemClock = field(default_factory=SystemClock)

    @property
    def schedule(self) -> Schedule:
        """A new one."""
        return Schedule(rate=self.rate, speed=self.speed)

    @property
    def pace(self) -> str:
        """The schedule in words."""
        if self.rate is not None:
            return f"{self.rate:,.10g}/s"
        return "full speed" if self.speed is None else f"{self.speed:g} times real time"

    def check(self) -> None:
        """Raises if a process of ours has ended."""
        for process in (*self.workers, *self.cards):
            process.check()


@click.command()
@click.argument("profile", metavar="PROFILE|FOLDER")
@SEED
@click.option("--bootstrap", envvar=variable("bootstrap"), help="Use this Kafka. [env: LANJIE_BOOTSTRAP]")
@click.option("--workers", type=click.IntRange(0, 64), default=1, show_default=True, help="0: those of --bootstrap.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help=f"Events a second.  [default: {RATE:,g}]")
@click.option("--speed", type=Speed(), help="Instead of a rate: factor on the log's own pace, or max.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of the reports.")
@click.option("--json", "json_file", type=_FILE, help="Takes the figures.  [default: report.json in --out]")
@click.option("--html", "html_file", type=_FILE, help="Takes the page.  [default: report.html in --out]")
def run(
    *,
    profile: str,
    seed: int | None,
    bootstrap: str | None,
    workers: int,
    rate: float | None,
    speed: float | None,
    out: Path | None,
    json_file: Path | None,
    html_file: Path | None,
) -> None:
    """Drive traffic with known truth through the pipeline, and measure.

    PROFILE is the name or file of a profile, FOLDER what `lanjie loadtest simulate` wrote. Shows throughput, latency
    from the scheduled send time, what was caught of each fraud pattern, and who was wrongly measured. Exit 0 only if
    every event has a decision or a dead letter.
    """
    by_log = click.get_current_context().get_parameter_source("speed") is ParameterSource.COMMANDLINE
    if by_log and rate is not None:
        raise click.UsageError("--speed and --rate exclude each other")
    if not workers and not bootstrap:
        raise click.UsageError("--workers 0 needs a --bootstrap where workers run")
    signal.signal(signal.SIGTERM, interrupt)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    settings = settings_for(bootstrap)
    pace = (None, speed) if by_log else (RATE if rate is None else rate, None)
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="loadtest-", dir=_folder(settings.data_dir))
        scratch = Path(stack.enter_context(temporary))
        log = _log(console, profile, seed, scratch)
        folder = _folder(out or settings.data_dir / "loadtest" / log.name)
        test = _prepare(stack, console, Run(settings, log, scratch, *pace), own=not bootstrap, workers=workers)
        report = on_loop(_through(test, console)) | {"workers": workers}
        report["worker_exit_codes"] = [worker.stop() for worker in test.workers]
        report["cards_exit_codes"] = [watch.stop() for watch in test.cards]
    show(console, report)
    _write(console, report, json_file or folder / "report.json", html_file or folder / "report.html")
    sys.exit(_verdict(report))


def _log(console: Console, profile: str, seed: int | None, scratch: Path) -> LogFolder:
    """Step 1. A log that is made for this run is gone after it."""
    if (Path(profile) / EVENTS).is_file():
        if seed is not None:
            raise click.UsageError(f"--seed: {profile} holds a log already; its seed is in profile.json")
        return LogFolder(Path(profile))
    _step(console, f"simulating {profile}")
    return make(profile, scratch / "log", seed)


def _prepare(stack: ExitStack, console: Console, test: Run, *, own: bool, workers: int) -> Run:
    """Steps 2 and 3."""
    data_dir = test.settings.data_dir.resolve()
    broker = LocalKafka(data_dir / "kafka", free_port(9092), die_with_parent=True) if own else None
    _step(console, "starting Kafka (the first time its jars are fetched)" if own else "looking for Kafka")
    bootstrap = broker.up() if broker else ExistingKafka(test.settings.kafka).up()
    if broker and broker.started:
        stack.callback(broker.down)
    status = broker.status() if broker else None
    test.broker = f"Apache Kafka {status.version}" if status else f"the Kafka at {bootstrap}"
    test.settings = replace(test.settings, bootstrap=bootstrap)
    if not workers:
        return test
    name = f"loadtest-{test.clock.wall_ms():x}"
    test.settings = replace(test.settings, topic_prefix=f"{name}.", group=name)
    topics = [stamped(test.settings.named(topic)) for topic in ALL]
    created = on_loop(ensure_topics(test.settings.kafka, topics, replication=test.settings.replication))
    stack.callback(delete_topics, test.settings.kafka, created)
    for number in range(workers):
        worker = _start(test, _folder(data_dir / f"loadtest-worker-{number + 1}"))
        stack.callback(worker.stop)
        test.workers.append(worker)
        _step(console, f"worker {number + 1}, pid {worker.pid}, log {shown(worker.log)}")
    watch = _start(test, _folder(data_dir / "loadtest-cards"), "cards watch", "cards")
    stack.callback(watch.stop)
    test.cards.append(watch)
    _step(console, f"cards watch, pid {watch.pid}, log {shown(watch.log)}")
    return test


def _start(test: Run, folder: Path, *what: str) -> WorkerProcess:
    """A worker; ``what``: another command, and its name."""
    settings = {
        "bootstrap": test.settings.bootstrap,
        "group": test.settings.group,
        "topic_prefix": test.settings.topic_prefix,
        "metrics_port": "0",
        "data_dir": str(folder),
        "checkpoints": str(test.scratch / folder.name),
        "lists": f"block:{test.log.lists.resolve()}",
    }
    return WorkerProcess({variable(name): value for name, value in settings.items()}, folder, test.clock, *what)


async def _through(test: Run, console: Console) -> dict[str, Any]:
    """Steps 3 to 7: the report."""
    async with aiohttp.ClientSession() as http:
        for process in (*test.workers, *test.cards):
            await process.ready(http)
    since = await ends(test.settings)
    with Progress(*COLUMNS, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        driven = await _drive(test, console, bar)
        _step(console, f"sent {len(driven.ids):,} events at {test.pace}; reading back what became of them")
        task = bar.add_task("decided", total=len(driven.ids))
        outcomes = await read_back(
            test.settings, since, frozenset(driven.ids), test.clock,
            check=test.check, progress=lambda count: bar.update(task, completed=count),
        )  # fmt: skip
    return _report(test, driven, outcomes)


async def _drive(test: Run, console: Console, bar: Progress) -> Driven:
    ids: list[str] = []
    stamps: list[int] = []
    try:
        async with Driver(test.settings.kafka, test.clock) as driver:
            log = await Prepared.of(_records(test, ids), driver.partitions)
            gc.freeze()
            _step(console, f"{len(ids):,} events are ready to go")
            task = bar.add_task("sent", total=len(ids))
            done = await driver.publish_slices(
                log.slices(test.schedule), test.schedule, stamps=stamps,
                progress=lambda count: bar.update(task, completed=count),
            )  # fmt: skip
    except KafkaError as error:
        raise LoadTestError(await refused.explain(test.settings.kafka, error, "publish events")) from None
    return Driven(ids, stamps, done, test.pace, paced=not test.schedule.at_once)


def _records(test: Run, ids: list[str]) -> Iterator[Record]:
    for event, line in test.log.events():
        ids.append(event.id)
        yield record_of(event, prefix=test.settings.topic_prefix, value=line)


def _report(test: Run, driven: Driven, outcomes: Outcomes) -> dict[str, Any]:
    events = (event for event, _ in test.log.events())
    detection = detect(events, outcomes.actions, test.log.truth(), test.log.subjects())
    return figures(driven, outcomes, detection) | {
        "log": {"name": test.log.name, "events": len(driven.ids), "made_from": test.log.made_from},
        "broker": test.broker,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
    }


def _write(console: Console, report: dict[str, Any], json_file: Path, html_file: Path) -> None:
    try:
        write_whole(json_file, [dump_json(report)], sync=False)
    except OSError as error:
        raise LoadTestError(f"{json_file}: {error.strerror}; expected a file that can be written") from None
    page(report).write(html_file)
    _step(console, f"written: {shown(json_file)}, {shown(html_file)}")


def _folder(path: Path) -> Path:
    """The folder, made if need be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LoadTestError(f"{path}: {error.strerror}; expected a folder that can be written") from None
    return path


def _verdict(report: dict[str, Any]) -> int:
    counts = report["counts"]
    if counts["lost"]:
        why = "; no more came for 30 s" if counts["stalled"] else ""
        click.echo(f"{counts['lost']:,} events were sent and neither decided nor dead-lettered{why}", err=True)
    if any(report["worker_exit_codes"]):
        click.echo(f"a worker did not stop cleanly: exit codes {report['worker_exit_codes']}, see its log", err=True)
    if any(report["cards_exit_codes"]):
        click.echo(
            f"cards watch did not stop cleanly: exit code {report['cards_exit_codes'][0]}, see its log", err=True
        )
    return 1 if counts["lost"] or any(report["worker_exit_codes"] + report["cards_exit_codes"]) else 0


def _step(console: Console, text: str) -> None:
    console.print(f"[bold cyan]>[/] {text}", highlight=False, soft_wrap=True)
