"""`lanjie report`: the numbers of a period as tables and files; and what `lanjie export` shares with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table as Shown

from detectors.model.decision import Decision
from stream.cli.changing import run
from stream.cli.replay import refuse_overwriting
from stream.logs import LogError, LogReader
from stream.reports.intake import Intake, lines_of_topic
from stream.reports.ledger import Ledger
from stream.reports.page import ReportError, shown
from stream.reports.period import EXPECTED, PARTS, ZONE, Period, read_moment, read_zone
from stream.reports.shared import list_figures
from stream.reports.store import workplace
from stream.reports.summary import Summary, Table
from stream.settings import Settings, SettingsError, variable
from stream.topics import CARDS, DECISIONS
from stream.whole_file import write_whole
from stream.wire import dump_json

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
SHOWN: Final = 20  # bad lines on stderr; all are counted
WIDTH: Final = 160
_FILE: Final = click.Path(dir_okay=False, path_type=Path)

_PERIOD: Final = (
    click.option("--from", "since", metavar="T", help="Events from then on: a date, or a time in ISO 8601."),
    click.option("--to", "until", metavar="T", help="Events before that time; a date is meant with all of that day."),
    click.option("--zone", default=ZONE, show_default=True, metavar="NAME", help="Of dates, and times without one."),
)  # fmt: skip
_CLUSTER: Final = (
    click.option("--bootstrap", help=f"Kafka, host:port[,host:port]. [env: {variable('bootstrap')}]"),
    click.option("--topic-prefix", help=f"Goes before every topic name. [env: {variable('topic_prefix')}]"),
)


def sources(command: F) -> F:
    """Where decisions are from, and of which period; the command gets ``files``, ``since``, ``until``, ``zone``,
    ``bootstrap`` and ``topic_prefix``.
    """
    for option in reversed((*_PERIOD, *_CLUSTER)):
        command = option(command)
    return click.argument("files", nargs=-1, metavar="[DECISIONS]...")(command)


def period_of(since: str | None, until: str | None, zone: str, by: str = PARTS[0]) -> Period:
    """The period that options name.

    Raises:
        click.BadParameter: they name none.
    """
    try:
        where = read_zone(zone)
    except ValueError:
        raise click.BadParameter(
            "no such time zone here; expected one such as Asia/Shanghai", param_hint="--zone"
        ) from None
    period = Period(_moment("--from", since, where, end=False), _moment("--to", until, where, end=True), where, by)
    if period.since is not None and period.until is not None and period.since >= period.until:
        raise click.BadParameter("not after --from; nothing is in that period", param_hint="--to")
    return period


def _moment(option: str, text: str | None, zone: ZoneInfo, *, end: bool) -> int | None:
    try:
        return None if text is None else read_moment(text, zone, end=end)
    except ValueError:
        raise click.BadParameter(EXPECTED, param_hint=option) from None


def settings_of(**given: str | None) -> Settings:
    """Settings from the environment and options."""
    environ = {**os.environ, **{variable(name): text for name, text in given.items() if text is not None}}
    try:
        return Settings.from_env(environ)
    except SettingsError as problem:
        raise click.UsageError(str(problem)) from None


def check_outputs(inputs: Sequence[str], *outputs: Path | None) -> None:
    """All that was read would be lost if they could not be written, or were what is read.

    Raises:
        click.UsageError: one cannot be, or is.
    """
    given = [path for path in outputs if path]
    refuse_overwriting(inputs, *map(str, given))
    if len({path.resolve() for path in given}) < len(given):
        raise click.UsageError("two outputs have the same name; expected one file for each")
    for path in given:
        if not path.parent.is_dir():
            raise click.UsageError(f"{path}: there is no folder {path.parent}")


class Told:
    """Lines that cannot be used, on stderr: the first with what is wrong, all counted."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, why: str) -> None:
        self._count += 1
        if self._count <= SHOWN:
            click.echo(why, err=True)
        elif self._count == SHOWN + 1:
            click.echo("... more refused lines are counted but not shown", err=True)


def read_log(found: Iterable[T], add: Callable[[T], None]) -> LogError | None:
    """Take all that is found in some logs; if one is cut short, what is before the cut, and what is wrong with it."""
    try:
        for each in found:
            add(each)
    except LogError as error:
        return error
    return None


async def read_topic(settings: Settings, intake: Intake, add: Callable[[Decision], None], since: int | None) -> None:
    """All decisions on the topic, up to what is its end now."""
    async for some in lines_of_topic(settings, DECISIONS, since):
        for decision in intake.decisions(some):
            add(decision)


@click.command()
@sources
@click.option(
    "--by", type=click.Choice(PARTS), default=PARTS[0], show_default=True, help="What the period is cut into."
)
@click.option("--events", multiple=True, metavar="LOG", help="A log of events, for re-verifications; repeat for more.")
@click.option("--csv", "csv_file", type=_FILE, help="Takes all figures, one a row.")
@click.option("--html", "html_file", type=_FILE, help="Takes the page; needs the extra `reports`, as all of this.")
@click.option("--json", "json_file", type=_FILE, help="Takes all figures and what reasons mean.")
def report(
    *,
    files: tuple[str, ...],
    since: str | None,
    until: str | None,
    zone: str,
    bootstrap: str | None,
    topic_prefix: str | None,
    by: str,
    events: tuple[str, ...],
    csv_file: Path | None,
    html_file: Path | None,
    json_file: Path | None,
) -> None:
    """Count what was done in a period: calls, SMS, cards, warnings, list entries.

    DECISIONS are JSON lines as `lanjie replay -o` writes them, plain or packed; - is stdin. Without any the cluster is
    asked: its decisions, its card events (unless --events) and its lists. Times are those of events. Bad lines are
    reported and do not change the exit code.
    """
    period = period_of(since, until, zone, by)
    check_outputs([*files, *events], csv_file, html_file, json_file)
    settings = settings_of(bootstrap=bootstrap, topic_prefix=topic_prefix)
    with workplace() as folder:
        summary, failure = _count(period, files, events, settings, folder)
    for path, write in ((csv_file, summary.csv), (json_file, lambda: dump_json(summary.json()))):
        if path:
            _write(path, write())
    if html_file:
        summary.page().write(html_file)
    _print(summary)
    if failure:
        raise failure


def _count(
    period: Period, files: Sequence[str], events: Sequence[str], settings: Settings, folder: Path
) -> tuple[Summary, LogError | None]:
    told = Told()
    intake, cards, ledger = Intake(period, told), Intake(period, told), Ledger(period, folder)
    logs, event_logs = LogReader(files), LogReader(events)
    failures = [read_log(intake.decisions(logs), ledger.add)]
    if not files:
        run(read_topic(settings, intake, ledger.add, period.since))
    if events:
        failures.append(read_log(cards.reverified(event_logs), ledger.add_reverified))
    elif not files:
        run(_read_cards(settings, cards, ledger, period.since))
    reverified, lists = bool(events) or not files, not files
    figures = ledger.figures(intake, reverified=reverified)
    if lists:
        figures += run(list_figures(settings, period, folder))
    summary = Summary(period, figures, parts=ledger.parts, words=ledger.words, reverified=reverified, lists=lists)
    return summary, next(filter(None, failures), None)


async def _read_cards(settings: Settings, cards: Intake, ledger: Ledger, since: int | None) -> None:
    async for some in lines_of_topic(settings, CARDS, since):
        for event in cards.reverified(some):
            ledger.add_reverified(event)


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, [data], sync=False)
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}; expected a file that can be written") from None


def _print(summary: Summary) -> None:
    console = Console(width=WIDTH, highlight=False, markup=False)
    console.print(summary.subtitle)
    known = [(name, value) for name, value in summary.headline().items() if value is not None]
    for table in (Table("", ("", "count"), known), *summary.tables()):
        if table.rows:
            console.print(_shown(table))
            if table.note:
                console.print(table.note, soft_wrap=True)


def _shown(table: Table) -> Shown:
    found = Shown(title=table.title or None, title_justify="left")
    for n, column in enumerate(table.columns):
        number = all(isinstance(row[n], int | None) for row in table.rows)
        found.add_column(column, justify="right" if number else "left", no_wrap=n == 0, overflow="fold")
    for row in table.rows:
        found.add_row(*(shown(cell) for cell in row))
    return found
