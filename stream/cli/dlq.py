"""`lanjie dlq`: what is on the DLQ topics, one letter of it, and how letters are put back where they came from."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from detectors.lists.parse import time_of
from stream.cli.changes import aligned
from stream.cli.changing import run
from stream.cli.dlq_shown import find, overview, page
from stream.clock import SystemClock
from stream.deadletter import ENGINE_ERROR
from stream.dlq.redrive import BEFORE, COPY, REDRIVEN, REFUSED, Choice, Redrive, RedriveError, Report
from stream.settings import Settings, SettingsError, variable
from stream.topics import INPUTS, LISTS, RULES, Topic
from stream.wire import CODES, dump_json

F = TypeVar("F", bound=Callable[..., Any])
TOPICS: Final = (*INPUTS, LISTS, RULES)  #: that have a DLQ
ALL_CODES: Final = (*CODES, ENGINE_ERROR, "unknown_key", "untrusted", "outdated")
SHOWN_REFUSED: Final = 20
CHANGES_AGAIN: Final = (
    "letters of {} are signed changes and are not re-driven: see who made them with `lanjie changes log`, and have the "
    "change made again (`lanjie lists add`, `lanjie rules publish` ...)"
)


class _Moment(click.ParamType):
    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        try:
            return value if isinstance(value, int) else time_of(param.name or "" if param else "", value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _TopicName(click.ParamType):
    """As it is called in the pipeline: with or without the prefix, with or without .dlq."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Topic:
        found = [topic for topic in TOPICS if str(value).removesuffix(".dlq").endswith(topic.name)]
        if not found:
            self.fail(f"{value!r}; expected one of {', '.join(topic.name for topic in TOPICS)}", param, ctx)
        return found[0]


_FILTERS: Final = (
    click.option("--topic", "topics", multiple=True, type=_TopicName(), help="Letters of this topic; repeat for more."),
    click.option("--code", "codes", multiple=True, type=click.Choice(ALL_CODES), metavar="CODE",
                 help=f"Letters with this code; repeat for more: {', '.join(ALL_CODES)}."),
    click.option("--since", type=_Moment(), help="Put there at that time or later; ISO 8601, UTC unless it says so."),
)  # fmt: skip


def _filters(command: F) -> F:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def _where(command: F) -> F:
    """Which pipeline: the command gets ``bootstrap`` and ``topic_prefix``."""
    for name, text in (
        ("topic_prefix", "Goes before every topic name."),
        ("bootstrap", "Kafka, host:port[,host:port]."),
    ):
        command = click.option(f"--{name.replace('_', '-')}", name, help=f"{text} [env: {variable(name)}]")(command)
    return command


def _settings(given: dict[str, str | None]) -> Settings:
    environ = {**os.environ, **{variable(name): text for name, text in given.items() if text is not None}}
    try:
        return Settings.from_env(environ)
    except SettingsError as problem:
        raise click.UsageError(str(problem)) from None


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Progress for a person who looks on: told how many records of how many have been read."""
    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@click.group()
def dlq() -> None:
    """Dead letters: list, show, re-drive."""


@dlq.command("list")
@_filters
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The newest N letters one by one instead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@_where
def list_(
    *,
    topics: tuple[Topic, ...],
    codes: tuple[str, ...],
    since: int | None,
    limit: int | None,
    as_json: bool,
    **where: str | None,
) -> None:
    """Count the dead letters by topic and code; open are those that were not re-driven."""
    settings = _settings(where)
    with _bar("read") as progress:
        found = run(overview(settings, topics or TOPICS, frozenset(codes), since, limit=limit or 0, progress=progress))
    rows = found.letters() if limit else found.rows()
    if as_json:
        click.echo(dump_json({"letters": rows}), nl=False)
        return
    click.echo("\n".join(_table(rows)) if rows else "no dead letters")
    for topic in (LISTS, RULES):
        if any(row["topic"] == settings.named(topic).name for row in found.rows()):
            click.echo(CHANGES_AGAIN.format(topic.name), err=True)


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    return aligned([tuple(rows[0]), *(tuple(row.values()) for row in rows)])


@dlq.command()
@click.argument("position", metavar="TOPIC/PARTITION/OFFSET")
@click.option("--raw", is_flag=True, help="The value's own bytes, with all numbers and texts, and nothing else.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The same into a file.")
@_where
def show(*, position: str, raw: bool, output: Path | None, **where: str | None) -> None:
    """Show one dead letter, with all that says something about a person masked.

    The position is that on the DLQ topic, as `lanjie dlq list --limit` has it.
    """
    settings = _settings(where)
    topic, _, rest = position.partition("/")
    partition, _, offset = rest.partition("/")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise click.BadParameter(f"{position!r}; expected one such as {INPUTS[0].name}.dlq/0/17", param_hint="POSITION")
    named = settings.named(_TopicName().convert(topic, None, None))
    record = run(find(settings, named, int(partition), int(offset)))
    if not raw and output is None:
        click.echo("\n".join(page(record)))
        return
    if record.value is None:
        click.echo(f"{position}: its value is null: nothing is written", err=True)
    elif output is None:
        sys.stdout.buffer.write(record.value)
    else:
        with os.fdopen(_private(output), "wb") as file:
            file.write(record.value)


def _private(path: Path) -> int:
    """A new file that only its owner may read."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}; expected the name of a new file") from None


@dlq.command()
@_filters
@click.option("--until", type=_Moment(), help="Put there before that time.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many letters.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Letters a second at most.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--force", is_flag=True, help="Also what was re-driven three times and came back.")
@_where
def redrive(
    *,
    topics: tuple[Topic, ...],
    codes: tuple[str, ...],
    dry_run: bool,
    since: int | None,
    until: int | None,
    limit: int | None,
    rate: float | None,
    force: bool,
    **where: str | None,
) -> None:
    """Put dead letters back on the partition that they came from, each once; exit 1 if some cannot be.

    Do it when the cause is mended: what still cannot be used comes back. The order among the letters is kept; events
    that came after them have been decided already.
    """
    settings = _settings(where)
    if changes := [topic.name for topic in topics if topic in (LISTS, RULES)]:
        raise click.UsageError(CHANGES_AGAIN.format(" and ".join(changes)))
    choice = Choice(topics=topics or INPUTS, codes=frozenset(codes), since=since, until=until, limit=limit, rate=rate,
                    force=force)  # fmt: skip
    told = _Told()
    with _bar("re-drive") as progress:
        work = Redrive(settings, choice, clock=SystemClock(), told=told, progress=progress, dry_run=dry_run)
        try:
            run(work.run())
        finally:
            told.rest()
            _summary(work.report, dry_run=dry_run)
    if refused := sum(n for (*_, what), n in work.report.items() if what == REFUSED):
        raise RedriveError(f"{refused:,} letters cannot be re-driven; they stay where they are")


@dataclass
class _Told:
    """Refusals on stderr: the first in full, all counted."""

    count: int = 0

    def __call__(self, why: str) -> None:
        self.count += 1
        if self.count <= SHOWN_REFUSED:
            click.echo(why, err=True)

    def rest(self) -> None:
        """How many were not shown."""
        if self.count > SHOWN_REFUSED:
            click.echo(f"... and {self.count - SHOWN_REFUSED:,} more that cannot be re-driven", err=True)


def _summary(report: Report, *, dry_run: bool) -> None:
    """What was done, by topic and code, and in one line."""
    kinds = (REDRIVEN, BEFORE, COPY, REFUSED)
    codes = sorted({(topic, code) for topic, code, _ in report})
    if codes:
        rows = [(topic, code, *(report[topic, code, kind] for kind in kinds)) for topic, code in codes]
        click.echo("\n".join(aligned([("topic", "code", *kinds), *rows])))
    done, before, copies, refused = (sum(n for (*_, what), n in report.items() if what == kind) for kind in kinds)
    would = "would be re-driven (dry run)" if dry_run else "re-driven"
    click.echo(f"{done:,} {would}; {before:,} were before, {copies:,} are copies of one, {refused:,} cannot be")
