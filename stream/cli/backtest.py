"""`lanjie backtest`: what a change of rules or lists would do to a log, before it goes live."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
from prometheus_client import CollectorRegistry

from detectors.engine import Snapshot
from detectors.model.decision import ACTIONS
from detectors.model.errors import LanjieError
from stream.backtest.affected import CHANGES, Shown, Sides
from stream.backtest.cost import Cost, measure, processor_seconds
from stream.backtest.found import SIDES, Backtest, Truth, merge
from stream.backtest.gates import Limits, gates
from stream.backtest.job import SAMPLE, Comparison
from stream.backtest.labels import read_labels
from stream.backtest.page import name_of, page_of, percent, ready
from stream.backtest.report import figures
from stream.cli.replay import list_files, refuse_overwriting
from stream.cli.replay_shown import Rejects, bar
from stream.clock import SystemClock
from stream.logs import LogError, expanded
from stream.metrics import Metrics
from stream.model_files import read_model
from stream.replaying.run import Ran, processors, run_jobs
from stream.settings import Settings
from stream.sources import build_automaton, read_lists
from stream.topics import PARTITIONS
from stream.whole_file import write_whole
from stream.wire import dump_json

COST_RULES: Final = 20  # changed rules whose cost is measured: each takes a second
_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_FOLDER: Final = click.Path(file_okay=False, exists=True, path_type=Path)
_COUNT: Final = click.IntRange(0)


class BacktestError(LanjieError):
    """Nothing can be compared."""


class Choice(NamedTuple):
    """What is to be compared, as the command line has it."""

    rules: Path | None
    lists: tuple[str, ...]


@click.command()
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option("--rules", type=_FOLDER, help="Folder of the rule pack to try.  [default: the shipped one]")
@click.option("--against", type=_FOLDER, help="Folder of the one to compare with.  [default: the shipped one]")
@click.option("--lists", multiple=True, metavar="[KIND:]PATH", help="A number list, for both unless --against-lists.")
@click.option("--against-lists", multiple=True, metavar="[KIND:]PATH", help="A number list to compare with.")
@click.option("--model", type=_FILE, help="A model file of the message score, for both.")
@click.option("--labels", type=_FILE, help='What events are: {"id", "label", "class"} a line.')
@click.option("--html", type=_FILE, help="Takes the report as a page.")
@click.option("--json", "json_file", type=_FILE, help="Takes the report as JSON.")
@click.option("--max-new-blocks", type=_COUNT, help="Fail if more subscribers are newly blocked.")
@click.option("--max-released", type=_COUNT, help="Fail if more subscribers are released.")
@click.option(
    "--min-precision",
    type=click.FloatRange(0, 1),
    help="Fail if the precision of warn or more may be lower: the lower end of its 95 % interval.",
)
@click.option(
    "--blocked-from",
    type=click.Choice(list(ACTIONS)[1:]),
    default="block",
    show_default=True,
    help="The weakest measure that counts as blocked.",
)
@click.option("--examples", type=_COUNT, default=20, show_default=True, help="Subscribers shown, of each change.")
@click.option(
    "--cost",
    type=click.Choice(["none", "changed", "all"]),
    default="changed",
    show_default=True,
    help=f"Rules whose cost is measured; of those that changed at most {COST_RULES}.",
)
@click.option("--processes", type=click.IntRange(1), help="[default: one per processor]")
@click.option(
    "--partitions",
    type=click.IntRange(1),
    default=PARTITIONS,
    show_default=True,
    help="Of the workers' input topics: callers of one partition are counted together.",
)
def backtest(
    *,
    logs: tuple[str, ...],
    rules: Path | None,
    against: Path | None,
    lists: tuple[str, ...],
    against_lists: tuple[str, ...],
    model: Path | None,
    labels: Path | None,
    html: Path | None,
    json_file: Path | None,
    max_new_blocks: int | None,
    max_released: int | None,
    min_precision: float | None,
    blocked_from: str,
    examples: int,
    cost: str,
    processes: int | None,
    partitions: int,
) -> None:
    """Tell what a change of rules or lists does to a log.

    LOG is JSON lines, plain, gzip or zstd, or a folder of such; - is stdin. All of both packs is enforced.

    Exit status: 0; 1 if a limit is not kept, or something cannot be read to its end; 2 for a wrong option.
    """
    if rules == against and not against_lists:
        raise click.UsageError("both sides are the same: expected --rules, --against or --against-lists")
    if min_precision is not None and labels is None:
        raise click.UsageError("--min-precision: expected --labels too")
    logs = expanded(logs)
    _check_outputs(logs, html, json_file, labels)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    truth = read_labels(labels) if labels else {}
    sides = _sides(Choice(rules, lists), Choice(against, against_lists or lists), model)
    sample = SAMPLE if cost != "none" else 0
    ran, found = _compare(logs, sides, truth, sample=sample, processes=processes or processors(), partitions=partitions)
    measured = _measure(sides, found, every=cost == "all") if cost != "none" else None
    report = figures(found, sides, Shown(ACTIONS[blocked_from], examples, labels is not None), measured)
    report |= {"rejected": dict(sorted(ran.rejected.items())), "log_cut": ran.cut}
    held = gates(report, Limits(max_new_blocks, max_released, min_precision))
    report["gates"] = [gate._asdict() for gate in held]
    if json_file:
        _write(json_file, dump_json(report))
    if html:
        page_of(report).write(html)
    for line in _lines(report):
        click.echo(line)
    if ran.cut:
        raise LogError(ran.cut)
    if not all(gate.passed for gate in held):
        raise SystemExit(1)


def _check_outputs(logs: tuple[str, ...], html: Path | None, json_file: Path | None, labels: Path | None) -> None:
    """Whatever would fail at the end fails now."""
    outputs = [str(path) for path in (html, json_file) if path]
    refuse_overwriting((*logs, *([str(labels)] if labels else [])), *outputs)
    if len(outputs) > len({Path(path).resolve() for path in outputs}):
        raise click.UsageError(f"{html} is both --html and --json")
    for path in (html, json_file):
        if path and not path.parent.is_dir():
            raise click.UsageError(f"{path}: there is no folder {path.parent}")
    if html:
        ready()


def _sides(after: Choice, before: Choice, model: Path | None) -> Sides:
    """Both compiled; the lists once if they are the same."""
    metrics, clock = Metrics(CollectorRegistry()), SystemClock()
    score = read_model(model) if model else None
    indexes = {lists: read_lists(list_files(lists), metrics) for lists in dict.fromkeys((before.lists, after.lists))}
    automata = {rules: build_automaton(rules, metrics, clock) for rules in dict.fromkeys((before.rules, after.rules))}
    return Sides(*(Snapshot.of(automata[side.rules], indexes[side.lists], score) for side in (before, after)))


def _compare(
    logs: tuple[str, ...], sides: Sides, truth: dict[str, Truth], *, sample: int, processes: int, partitions: int
) -> tuple[Ran, Backtest]:
    bad = Rejects()
    make = partial(Comparison, sides.before, sides.after, truth, sample=sample, max_callers=Settings().max_callers)
    with ExitStack() as stack:
        ran = run_jobs(
            logs,
            make,
            processes=processes,
            shards=partitions,
            on_reject=lambda each: bad.add(each.where, each.raw, each.code, each.text),
            progress=bar(logs, stack),
        )
    found = merge(ran.results)
    if not found.events:
        raise BacktestError(f"{', '.join(logs)}: {ran.cut or 'no event in it'}; nothing was compared")
    return ran, found


def _measure(sides: Sides, found: Backtest, *, every: bool) -> Cost:
    events = [event for _, event in sorted(found.sample.items())]
    return measure(sides.before, sides.after, events, processor_seconds, every=every, most=COST_RULES)


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, [data], sync=False)
    except OSError as error:
        raise BacktestError(f"{path}: {error.strerror}; expected a file that can be written") from None


def _lines(report: dict[str, Any]) -> Iterator[str]:
    """The report in short."""
    rejected = sum(report["rejected"].values())
    yield f"{report['events']:,} events decided by both, {rejected:,} lines rejected"
    for side in SIDES:
        yield f"{side:<7} rules {report[side]['rules']}, lists {report[side]['lists']}"
    yield f"{'':<16}{'events':>10}{'subscribers':>13}"
    for kind in CHANGES:
        events, subscribers = report["changed_events"][kind], report["changed_subscribers"][kind]
        yield f"{kind.replace('_', ' '):<16}{events:>10,}{subscribers:>13,}"
    if labels := report["labels"]:
        for side in SIDES:
            found = labels[side]
            yield f"{side:<7} precision {percent(found['precision'])}, recall {percent(found['recall'])}"
    for row in report["rules"]:
        if counts := [f"{row[kind]:,} {kind.replace('_', ' ')}" for kind in CHANGES if row[kind]]:
            yield f"{name_of(row):<40}  {', '.join(counts)}"
    for gate in report["gates"]:
        yield f"{'ok    ' if gate['passed'] else 'FAILED'}  --{gate['name']}: {gate['said']}"
