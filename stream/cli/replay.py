"""`lanjie replay`: the worker's engine over event logs, with no Kafka.

The same logs, lists and rules give the same bytes: nothing of the machine or the clock is in a decision. Windows use
event time, so logs are best given in the order of their events; what is late is counted.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import click
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from detectors.engine import Engine
from detectors.model.decision import ACTIONS, Decision
from detectors.model.events import Event
from stream.clock import SystemClock
from stream.logs import STDIN, Line, LogError, LogReader
from stream.metrics import Metrics
from stream.settings import ListFile, Settings
from stream.sources import load_snapshot
from stream.wire import WireError, decode_event, dump_json, encode_decision

BATCH: Final = 500  # as a worker's chunk: the same batch-first engine path
SHOWN_REJECTS: Final = 20  # messages on stderr; all rejects are counted and kept


@dataclass
class Tally:
    """What was seen."""

    decided: int = 0
    rejected: int = 0
    late: int = 0
    duplicates: int = 0
    seconds: float = 0.0
    actions: Counter[tuple[str, str]] = field(default_factory=Counter)  #: (kind, action)
    reasons: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)

    def add(self, decisions: Iterable[Decision]) -> None:
        """Count."""
        for decision in decisions:
            self.decided += 1
            self.actions[decision.kind, decision.action] += 1
            self.reasons.update(reason.code for reason in decision.reasons)

    def report(self, engine: Engine) -> dict[str, Any]:
        """For JSON."""
        by_kind: dict[str, dict[str, int]] = {}
        by_action: Counter[str] = Counter()
        for (kind, action), count in self.actions.items():
            by_kind.setdefault(kind, {})[action] = count
            by_action[action] += count
        return {
            "events": self.decided + self.rejected,
            "decided": self.decided,
            "rejected": self.rejected,
            "rejected_by_code": dict(self.codes),
            "late_events": self.late,
            "duplicate_events": self.duplicates,
            "by_action": dict(by_action),
            "by_kind": by_kind,
            "by_reason": dict(self.reasons),
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.decided / self.seconds) if self.seconds else 0,
            "lists": engine.snapshot.lists_version,
            "rules": engine.snapshot.rules_version,
        }


class Rejects:
    """Bad lines: told with file:line and reason, never with their content; kept as they came."""

    def __init__(self, file: IO[bytes] | None, tally: Tally) -> None:
        self._file, self._tally = file, tally

    def add(self, line: Line, error: WireError) -> None:
        """Take one."""
        self._tally.rejected += 1
        self._tally.codes[error.code] += 1
        if self._file:
            self._file.write(line.raw + b"\n")
        if self._tally.rejected <= SHOWN_REJECTS:
            click.echo(f"{line.where}: {error}", err=True)
        elif self._tally.rejected == SHOWN_REJECTS + 1:
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
    json_file: Path | None,
) -> None:
    """Decide event logs with no Kafka.

    LOG is JSON lines, plain, gzip or zstd; - is stdin. Bad lines are reported and do not change the exit code.
    """
    reader = LogReader(logs)
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
    engine = Engine(snapshot, market=market)
    tally, failure = Tally(), None
    clock = SystemClock()
    started = clock.monotonic()
    with ExitStack() as stack:
        out = stack.enter_context(_sink(output)) if output else None
        kept = stack.enter_context(_sink(rejects)) if rejects else None
        events = _events(_shown(reader, stack), Rejects(kept, tally))
        try:
            _run(events, engine, tally, out)
        except LogError as error:
            failure = error  # a log cut short: what came before is decided, written and summed up
    if rejects and not tally.rejected and Path(rejects).is_file():
        Path(rejects).unlink()  # an empty file would look like a finding
    tally.seconds, tally.late = clock.monotonic() - started, engine.late_events
    tally.duplicates = engine.duplicate_events
    report = tally.report(engine)
    if json_file:
        json_file.write_bytes(dump_json(report))
    _print(Console(stderr=output == STDIN), report, tally)
    if failure:
        raise failure


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


def _shown(reader: LogReader, stack: ExitStack) -> Iterator[Line]:
    """The reader's lines, with a progress bar if somebody is looking."""
    if not sys.stderr.isatty():
        yield from reader
        return
    columns = (TextColumn("replay"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    bar = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = bar.add_task("replay", total=reader.total)
    for n, line in enumerate(reader):
        if n % BATCH == 0:
            bar.update(task, completed=reader.position)
        yield line


def _events(lines: Iterable[Line], rejects: Rejects) -> Iterator[Event]:
    for line in lines:
        try:
            event = decode_event(line.raw)
        except WireError as error:
            rejects.add(line, error)
        else:
            yield event


def _run(events: Iterator[Event], engine: Engine, tally: Tally, out: IO[bytes] | None) -> None:
    """In batches. A log that is cut short raises after the events before the cut have been decided."""
    failure: LogError | None = None
    while failure is None:
        batch: list[Event] = []
        try:
            for event in islice(events, BATCH):
                batch.append(event)  # noqa: PERF402 - what came before an error must be kept
        except LogError as error:
            failure = error
        if not batch:
            break
        decisions = engine.decide(batch)
        tally.add(decisions)
        if out:
            out.write(b"".join(encode_decision(decision) + b"\n" for decision in decisions))
    if failure:
        raise failure


def _print(console: Console, report: dict[str, Any], tally: Tally) -> None:
    kinds = sorted(report["by_kind"])
    table = Table()
    for name in ("", *kinds, "all"):
        table.add_column(name, justify="right" if name else "left")
    for action in ACTIONS:
        counts = [tally.actions[kind, action] for kind in kinds]
        if any(counts):
            table.add_row(action, *(f"{count:,}" for count in counts), f"{sum(counts):,}")
    table.add_section()
    for code, count in sorted(tally.reasons.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(f"[dim]{code}[/]", *[""] * len(kinds), f"{count:,}")
    if tally.decided:
        console.print(table)
    rejects = f" ({', '.join(f'{code} {count:,}' for code, count in tally.codes.most_common())})" if tally.codes else ""
    for line in (
        f"{tally.decided:,} events decided, {tally.rejected:,} lines rejected{rejects}, {tally.late:,} events late",
        f"{report['events_per_second']:,} events/s, {report['seconds']:.1f} s",
        f"lists {report['lists']}, rules {report['rules']}",
    ):
        console.print(line, highlight=False, soft_wrap=True)
