"""`lanjie replay`: the worker's engine over event logs, with no Kafka.

The same logs, lists and rules give the same bytes, in however many processes: nothing of the machine or the clock is in
a decision. Windows use event time, so logs are best given in the order of their events; what is late is counted.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import IO, Any, Final

import click
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from detectors.engine import Engine, Snapshot
from detectors.model.decision import ACTIONS
from stream.clock import SystemClock
from stream.logs import STDIN, LogError, LogReader, expanded
from stream.metrics import Metrics
from stream.replaying.decide import Decide, joined
from stream.replaying.run import processors, run_jobs
from stream.replaying.tally import digest_of, report
from stream.settings import ListFile, Settings
from stream.sources import load_snapshot
from stream.topics import PARTITIONS
from stream.wire import dump_json

BATCH: Final = 500  # as a worker's chunk: the same batch-first engine path
SHOWN_REJECTS: Final = 20  # messages on stderr; all rejects are counted and kept


class Rejects:
    """Bad lines: told with file:line and reason, never with their content; kept as they came."""

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self._file = file
        self.codes: Counter[str] = Counter()

    def add(self, where: str, raw: bytes, code: str, text: str) -> None:
        """Take one."""
        self.codes[code] += 1
        if self._file:
            self._file.write(raw + b"\n")
        if self.codes.total() <= SHOWN_REJECTS:
            click.echo(f"{where}: {text}", err=True)
        elif self.codes.total() == SHOWN_REJECTS + 1:
            click.echo("... more rejected lines are counted but not shown", err=True)


@click.command()
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), help="Decisions, one JSON object a line; - for stdout."
)
@click.option(
    "--lists", multiple=True, metavar="[KIND:]PATH", help="A number list; KIND is block, grey, allow or protected."
)
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False),
    help="Takes the lines that are no event, as they are.  [default: OUTPUT.rejects]",
)
@click.option("--market", help="Decisions carry this market's responses: a profile of responses.toml, such as cn.")
@click.option(
    "--rules", type=click.Path(file_okay=False, exists=True, path_type=Path), help="Folder of a rule pack of your own."
)
@click.option("--model", type=click.Path(dir_okay=False, path_type=Path), help="A model file of the message score.")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=processors,
    help="The result does not depend on it.  [default: all]",
)
@click.option(
    "--partitions",
    type=click.IntRange(min=1),
    default=PARTITIONS,
    show_default=True,
    help="Of the input topics of the workers to be compared with: callers of one partition are counted together.",
)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Takes the summary.")
def replay(
    *,
    logs: tuple[str, ...],
    output: str | None,
    lists: tuple[str, ...],
    rejects: str | None,
    market: str | None,
    rules: Path | None,
    model: Path | None,
    processes: int,
    partitions: int,
    json_file: Path | None,
) -> None:
    """Decide event logs with no Kafka.

    LOG is JSON lines, plain, gzip or zstd, or a folder of such; - is stdin. Bad lines are reported and do not change
    the exit code.
    """
    logs = expanded(logs)
    rejects = rejects or (f"{output}.rejects" if output and output != STDIN else None)
    refuse_overwriting(logs, output, rejects)
    if rejects and output and Path(rejects).resolve() == Path(output).resolve():
        raise click.UsageError(f"{output} is both --output and --rejects")
    if rejects == STDIN:
        raise click.UsageError("--rejects -: expected a file")
    if json_file:
        with _sink(str(json_file)):
            pass  # it can be written: or all would be decided first
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    metrics = Metrics(CollectorRegistry())
    snapshot = load_snapshot(list_files(lists), metrics=metrics, clock=SystemClock(), rules=rules, model=model)
    clock = SystemClock()
    started = clock.monotonic()
    with ExitStack() as stack:
        out = stack.enter_context(_sink(output)) if output else None
        bad = Rejects(stack.enter_context(_sink(rejects)) if rejects else None)
        ran = run_jobs(
            logs,
            lambda: Decide(_engine(snapshot, market), output=out is not None),
            processes=processes,
            shards=partitions,
            write=(lambda lines: _write(out, lines)) if out else None,
            on_reject=lambda each: bad.add(each.where, each.raw, each.code, each.text),
            progress=_bar(logs, stack),
        )
    if rejects and not ran.rejected and Path(rejects).is_file():
        Path(rejects).unlink()  # an empty file would look like a finding
    tally, digests = joined(ran.results)
    summary = report(
        tally,
        ran.rejected,
        digest=digest_of(digests.items()),
        seconds=clock.monotonic() - started,
        lists=snapshot.lists_version,
        rules=snapshot.rules_version,
    )
    if json_file:
        json_file.write_bytes(dump_json(summary))
    _print(Console(stderr=output == STDIN), summary)
    if ran.cut:
        raise LogError(ran.cut)  # what came before is decided, written and summed up


def _engine(snapshot: Snapshot, market: str | None) -> Engine:
    """As a worker has one. Without its caps: what the brake does goes by all the traffic of a moment, and when."""
    return Engine(snapshot, market=market, max_callers=Settings().max_callers)


def _write(out: IO[bytes], lines: Sequence[bytes]) -> None:
    out.write(b"\n".join(lines) + b"\n")


def list_files(texts: Iterable[str]) -> tuple[ListFile, ...]:
    """``KIND:PATH`` options, read as LANJIE_LISTS is."""
    return tuple(file for text in texts for file in Settings.of({"lists": text}).lists)


def refuse_overwriting(logs: Iterable[str], *outputs: str | None) -> None:
    """An output that is an input too would destroy it.

    Raises:
        click.UsageError: one is.
    """
    inputs = {Path(log).resolve() for log in logs if log != STDIN}
    for output in outputs:
        if output and output != STDIN and Path(output).resolve() in inputs:
            raise click.UsageError(f"{output} is also an input: it would be overwritten")


def _sink(path: str) -> Any:
    try:
        return nullcontext(sys.stdout.buffer) if path == STDIN else Path(path).open("wb")
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from None


def _bar(logs: Sequence[str], stack: ExitStack) -> Callable[[int], None] | None:
    """A progress bar, if somebody is looking."""
    total = LogReader(logs).total
    if not sys.stderr.isatty():
        return None
    columns = (TextColumn("replay"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    bar = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = bar.add_task("replay", total=total)
    return lambda read: bar.update(task, completed=read)


def _print(console: Console, report: dict[str, Any]) -> None:
    by_kind = report["by_kind"]
    table = Table()
    for name in ("", *by_kind, "all"):
        table.add_column(name, justify="right" if name else "left")
    for action in ACTIONS:
        counts = [counts.get(action, 0) for counts in by_kind.values()]
        if any(counts):
            table.add_row(action, *(f"{count:,}" for count in counts), f"{sum(counts):,}")
    table.add_section()
    for code, count in sorted(report["by_reason"].items(), key=lambda item: (-item[1], item[0])):
        table.add_row(f"[dim]{code}[/]", *[""] * len(by_kind), f"{count:,}")
    if report["decided"]:
        console.print(table)
    codes = Counter(report["rejected_by_code"])
    rejects = f" ({', '.join(f'{code} {count:,}' for code, count in codes.most_common())})" if codes else ""
    for line in (
        f"{report['decided']:,} events decided, {report['rejected']:,} lines rejected{rejects}",
        f"{report['late_events']:,} events late, {report['duplicate_events']:,} repeated",
        f"{report['events_per_second']:,} events/s, {report['seconds']:.1f} s",
        f"lists {report['lists']}, rules {report['rules']}, digest {report['digest']}",
    ):
        console.print(line, highlight=False, soft_wrap=True)
