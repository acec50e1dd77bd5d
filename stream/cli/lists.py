"""`lanjie lists`: build the snapshot file that workers map, fold deltas into it, and ask why a number is listed.

Verbs that change lists or look at feeds stand in modules beside this one, imported on use.
"""

from __future__ import annotations

import importlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import click

from detectors.lists import Entry, Gone, ListKind, NumberIndex, Sieve
from detectors.lists.build import Builder
from detectors.lists.dated import intervals, series_and_day
from detectors.lists.entry import Provenance
from detectors.lists.index import Layer
from detectors.lists.junk import MAX_SHARE
from detectors.lists.parse import entry_of, time_of
from detectors.lists.protected import dials_core
from detectors.lists.table import EXACT, Match, Table
from detectors.model.errors import NumberListError
from detectors.normalise.phone import HOME, canonical
from detectors.normalise.region import describe
from stream.cli.changing import run, where
from stream.cli.replay import list_files
from stream.clock import SystemClock, iso
from stream.logs import STDIN
from stream.number_files import SourceError, is_snapshot, load_index, open_table, read_file, read_layer, write_table
from stream.settings import ListFile, Settings
from stream.topics_admin import TopicsError
from stream.updates.asof import history, state_at
from stream.updates.build import index_of
from stream.updates.library import Library
from stream.updates.publisher import read_state
from stream.updates.rule_plans import Step
from stream.updates.state import State
from stream.updates.tail import TailError
from stream.wire import dump_json

SHOWN_ERRORS: Final = 20
MAX_PATTERNS: Final = 100_000  #: of one change; more are a feed
_OUT = click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The snapshot file to write."
)
_LISTS = click.argument("files", nargs=-1, required=True, metavar="[KIND:]FILE...")


_ELSEWHERE: Final = {
    "stream.cli.lists_changes": ("add", "remove", "import", "promote", "demote", "cap", "drop", "show", "diff"),
    "stream.cli.changes": ("history",),
}
_NAMES: Final = {"import": "import_", "diff": "compare"}  # where a verb is called otherwise in its module
_MODULES: Final = {verb: module for module, verbs in _ELSEWHERE.items() for verb in verbs}


class _Group(click.Group):
    """Imports the verbs of other modules when they are called, or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *_MODULES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if (module := _MODULES.get(cmd_name)) is None:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(importlib.import_module(module), _NAMES.get(cmd_name, cmd_name))
        return command


@click.group(cls=_Group)
def lists() -> None:
    """Number lists: build, check, and change them while events flow."""


class Told:
    """Errors on stderr: the first in full, all counted."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, path: Path, error: NumberListError) -> None:  # noqa: ARG002 - the error names it
        self.tell(str(error))

    def tell(self, error: str) -> None:
        """Count it, and show it if it is one of the first."""
        self.count += 1
        if self.count <= SHOWN_ERRORS:
            click.echo(error, err=True)
        elif self.count == SHOWN_ERRORS + 1:
            click.echo("... more refused lines are counted but not shown", err=True)


@lists.command()
@_LISTS
@_OUT
@click.option("--dated", is_flag=True, help="FILES are dated snapshots (list_2025-03-31.txt): times from them.")
@click.option("--home", default=HOME, show_default=True, metavar="CC", help="Country whose national forms are assumed.")
@click.option("--own", multiple=True, metavar="PATTERN", help="The operator's own numbers: never listed against it.")
@click.option(
    "--max-share", default=MAX_SHARE, show_default=True, help="Of a country's numbering plan, for one prefix or range."
)
def build(
    *, files: tuple[str, ...], output: Path, dated: bool, home: str, own: tuple[str, ...], max_share: float
) -> None:
    """Make the snapshot file that all workers of a machine share.

    FILES are CSV, JSON or text, plain, gzip or zstd; KIND is block (default), grey, allow, immutable or protected.
    """
    sieve = Sieve(max_share, [_own(pattern, home) for pattern in own])
    given, told = list_files(files), Told()
    if dated:
        builder = Builder()
        for entry in _dated(given, told, sieve, home):
            builder.add(entry)
        table = builder.build()
    else:
        table = read_layer(given, told, sieve=sieve, home=home).table
    _done(table, write_table(table, output), output, told.count)


@lists.command()
@click.argument("base", type=click.Path(dir_okay=False, path_type=Path), metavar="BASE.lanjie")
@click.argument("deltas", nargs=-1, required=True, metavar="[KIND:]DELTA...")
@_OUT
@click.option("--yield", "yields", is_flag=True, help="Give way to every other process.")
def compact(*, base: Path, deltas: tuple[str, ...], output: Path, yields: bool) -> None:
    """Fold deltas into a snapshot: their rows are added, and what `op` says to remove goes."""
    if yields:
        os.nice(19)
    told = Told()
    layers = [Layer(open_table(base)), *(read_layer([delta], told) for delta in list_files(deltas))]
    table = NumberIndex(layers=layers).compacted()
    _done(table, write_table(table, output), output, told.count)


@lists.command()
@click.argument("number")
@click.option("--at", "moment", metavar="TIME", help="ISO 8601, UTC unless it says otherwise.  [default: now]")
@click.option("--lists", "files", multiple=True, metavar="[KIND:]PATH", help="List files.  [default: LANJIE_LISTS]")
@click.option(
    "--live/--files-only", default=None, help="Feeds and entries of the topics too, or not.  [default: unless --lists]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@where
def check(
    *, settings: Settings, number: str, moment: str | None, files: tuple[str, ...], live: bool | None, as_json: bool
) -> None:
    """Say what the lists say about NUMBER at a time, and why.

    With --at the topics are read as they were then; the files are as they are now.
    """
    try:
        then = time_of("at", moment or "")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--at") from None
    given = list_files(files) or settings.lists
    index = load_index(given, Told()) if given else None
    state = None
    if live or (live is None and not files):
        state = run(_state(settings, then, needed=index is None))
    elif index is None:
        raise click.UsageError("no list is named: give --lists, or set LANJIE_LISTS")
    if state is not None:
        index = run(index_of(state, Library(settings), index.layers if index else ()))
    key = number.lower() if ":" in number else canonical(number)
    found = answer(index or NumberIndex(), number, key, then or SystemClock().wall_ms(), state)
    if as_json:
        click.echo(dump_json(found), nl=False)
    else:
        for line in page(found):
            click.echo(line)


async def _state(settings: Settings, at: int | None, *, needed: bool) -> State | None:
    """What the topics say; None if they cannot be read and files are there to answer from."""
    try:
        return await read_state(settings) if at is None else state_at(await history(settings), at, settings)
    except (TopicsError, TailError) as error:
        if needed:
            raise
        click.echo(f"{error}; this is what the files alone say", err=True)
        return None


def answer(index: NumberIndex, raw: str, number: str, at: int, state: State | None = None) -> dict[str, Any]:
    """All that is known, for JSON. ``state``: what the feeds in the index are taken from."""
    matches = index.explain(number)
    winner, enforced = index.views(number, at, number)
    core = dials_core(raw)
    region = describe(number)
    return {
        "number": number,
        "region": None if region is None else region.en,
        "at": iso(at),
        "protected_core": core,
        "counts": "protected" if core else _kind(winner),
        "if_enforced": "protected" if core else _kind(enforced),
        "entries": [_entry(match, match == winner and not core, at, state) for match in matches],
        "lists": index.version,
    }


def page(found: Mapping[str, Any]) -> Iterable[str]:
    """The same for a person."""
    where = f"  ({found['region']})" if found["region"] else ""
    yield f"{found['number'] or 'no number'}{where} at {found['at']}: {found['counts']}"
    if found["protected_core"]:
        yield "  an emergency or public service number: protected in code, nothing blocks it"
    if found["if_enforced"] != found["counts"]:
        yield f"  once all feeds are enforced: {found['if_enforced']}"
    for entry in found["entries"]:
        mark = "->" if entry["counts"] else "  "
        span = f"from {entry['added'] or 'ever'} until {entry['expires'] or 'further notice'}"
        weight = f", weight {entry['weight']:g}" if entry["weight"] is not None else ""
        reason = f", {entry['reason']}" if entry["reason"] else ""
        feed = f", feed {entry['feed']} {entry['serial']} ({entry['stage']})" if entry["feed"] else ""
        by = f"{mark} {entry['list']} by {entry['by']}: {entry['source']}"
        yield f"{by}{reason}{weight}{feed}, {span}: {entry['state']}"
    if not found["entries"]:
        yield "  no entry is over it"
    elif len(found["entries"]) > 1:
        yield "  protected > immutable > allow > block > grey; then exact over prefix; then the longer prefix"
    yield f"lists {found['lists']}"


def _entry(match: Match, counts: bool, at: int, state: State | None) -> dict[str, Any]:
    p = match.provenance
    stands = "not yet in force" if at < p.added else "in force" if p.in_force(at) else "expired"
    return {
        "list": p.kind.name.lower(),
        "by": "number" if match.digits == EXACT else f"the first {match.digits} digits",
        "source": p.source,
        "reason": p.reason,
        "weight": p.weight,
        "added": iso(p.added) if p.added else None,
        "expires": iso(p.expires) if p.expires else None,
        "feed": match.feed or None,
        "serial": match.serial or None,
        "stage": _stage(match, state) if match.feed and state else None,
        "state": "counts" if counts and stands == "in force" else stands,
        "counts": counts and stands == "in force",
    }


def _kind(match: Match | None) -> str:
    return match.provenance.kind.name.lower() if match else "none"


def _stage(match: Match, state: State) -> str:
    """``live``: the old content of a feed, which acts where the new one does not."""
    feed = state.feeds[match.feed].value
    return "live" if match.serial != feed.content.serial else str(Step(feed.stage, feed.share))


class Reading(NamedTuple):
    """Files as one table. ``data``: of a snapshot that is all there is, as it is in its file."""

    table: Table
    used: int
    refused: int
    data: bytes = b""


def read_content(files: Sequence[ListFile], feed: str) -> Reading:
    """What is to be the content of a feed.

    Raises:
        NumberListError: a file cannot be used, or there is nothing in it.
    """
    if len(files) == 1 and is_snapshot(files[0].path):
        table = open_table(files[0].path)
        found = Reading(table, len(table), 0, files[0].path.read_bytes())
    else:
        builder, used, told = Builder(), 0, Told()
        for given in files:
            if is_snapshot(given.path):
                table = open_table(given.path)
                builder.add_table(table, {})
                used += len(table)
                continue
            for each in read_file(given, told, source=feed):
                if isinstance(each, Gone):
                    raise NumberListError(f"{given.path}: has op=remove; expected none: a feed is always whole")
                builder.add(each)
                used += 1
        found = Reading(builder.build(), used, told.count)
    if not len(found.table):
        raise NumberListError(f"{files[0].path}: no entry; to empty a feed say `lanjie lists drop {feed}`")
    return found


def read_patterns(
    patterns: Sequence[str], file: IO[bytes] | None, provenance: Provenance, sieve: Sieve | None = None
) -> list[Entry]:
    """What the user names, in the one way of writing it; different ones only.

    Raises:
        NumberListError: one is no pattern or must not be on a list; all are told.
    """
    found, told = dict[str, Entry](), Told()
    for at, text in _lines(patterns, file):
        try:
            entry = entry_of(text, provenance)
            if sieve:
                sieve.check(entry)
        except ValueError as error:
            told.tell(f"{at}{error}")
        else:
            found[entry.pattern] = entry
    if told.count:
        raise NumberListError(f"{told.count:,} of {told.count + len(found):,} patterns refused; nothing has changed")
    if not found:
        raise click.UsageError("name patterns, or a file of them with --file")
    if len(found) > MAX_PATTERNS:
        raise click.UsageError(
            f"{len(found):,} patterns; expected at most {MAX_PATTERNS:,}: `lanjie lists import` takes more"
        )
    return list(found.values())


def _lines(patterns: Sequence[str], file: IO[bytes] | None) -> Iterator[tuple[str, str]]:
    """Where each pattern stands ("": in the command), and the pattern."""
    yield from (("", pattern) for pattern in patterns if pattern != STDIN)
    streams = [(file.name, file)] if file else []
    if STDIN in patterns:
        streams.append(("<stdin>", click.get_binary_stream("stdin")))
    for name, stream in streams:
        for n, line in enumerate(stream, 1):
            text = line.decode("utf-8", "replace").strip().removeprefix("\ufeff")
            if text and not text.startswith("#"):
                yield f"{name}:{n}: ", text


def _own(pattern: str, home: str) -> Entry:
    try:
        return entry_of(pattern, Provenance(ListKind.ALLOW, "own"), home)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--own") from None


def _dated(files: Iterable[ListFile], told: Told, sieve: Sieve, home: str) -> Iterable[Entry]:
    series: dict[tuple[str, ListKind], dict[date, list[Entry]]] = {}
    for given in files:
        try:
            name, day = series_and_day(given.path.name)
        except ValueError as error:
            raise SourceError(str(error)) from None
        found = (e for e in read_file(given, told, sieve=sieve, home=home, source=name) if isinstance(e, Entry))
        series.setdefault((name, given.kind), {})[day] = list(found)
    for snapshots in series.values():
        yield from intervals(snapshots)


def _done(table: Table, size: int, output: Path, refused: int) -> None:
    counts = Counter({kind.name.lower(): count for kind, count in table.sizes.items() if count})
    by_list = ", ".join(f"{count:,} {name}" for name, count in counts.most_common())
    click.echo(f"{output}: {len(table):,} entries ({by_list}), {len(table.covers):,} of them prefixes or ranges")
    version = NumberIndex(layers=[Layer(table)]).version
    click.echo(f"{size / 2**20:.1f} MiB, version {version}, {refused:,} lines refused")
