"""`lanjie lists`: build the snapshot file that workers map, fold deltas into it, and ask why a number is listed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import click

from detectors.lists import Entry, ListKind, NumberIndex, Sieve
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
from stream.cli.replay import list_files
from stream.clock import SystemClock
from stream.number_files import SourceError, load_index, open_table, read_file, read_layer, write_table
from stream.settings import ListFile, Settings
from stream.wire import dump_json

SHOWN_ERRORS: Final = 20
_OUT = click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The snapshot file to write."
)
_LISTS = click.argument("files", nargs=-1, required=True, metavar="[KIND:]FILE...")


@click.group()
def lists() -> None:
    """Number lists: build, compact, check."""


class Told:
    """Errors on stderr: the first in full, all counted."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, path: Path, error: NumberListError) -> None:  # noqa: ARG002 - the error names it
        self.count += 1
        if self.count <= SHOWN_ERRORS:
            click.echo(str(error), err=True)
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
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check(*, number: str, moment: str | None, files: tuple[str, ...], as_json: bool) -> None:
    """Say what the lists say about NUMBER at a time, and why."""
    try:
        at = time_of("at", moment or "") or SystemClock().wall_ms()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--at") from None
    given = list_files(files) or Settings.from_env().lists
    if not given:
        raise click.UsageError("no list is named: give --lists, or set LANJIE_LISTS")
    key = number.lower() if ":" in number else canonical(number)
    found = answer(load_index(given, Told()), number, key, at)
    if as_json:
        click.echo(dump_json(found), nl=False)
    else:
        for line in page(found):
            click.echo(line)


def answer(index: NumberIndex, raw: str, number: str, at: int) -> dict[str, Any]:
    """All that is known, for JSON."""
    matches = index.explain(number)
    winner = index.find(number, at)
    core = dials_core(raw)
    region = describe(number)
    return {
        "number": number,
        "region": None if region is None else region.en,
        "at": _time(at),
        "protected_core": core,
        "counts": "protected" if core else winner.kind.name.lower() if winner else "none",
        "entries": [_entry(match, match.provenance == winner and not core, at) for match in matches],
        "lists": index.version,
    }


def page(found: Mapping[str, Any]) -> Iterable[str]:
    """The same for a person."""
    where = f"  ({found['region']})" if found["region"] else ""
    yield f"{found['number'] or 'no number'}{where} at {found['at']}: {found['counts']}"
    if found["protected_core"]:
        yield "  an emergency or public service number: protected in code, nothing blocks it"
    for entry in found["entries"]:
        mark = "->" if entry["counts"] else "  "
        span = f"from {entry['added'] or 'ever'} until {entry['expires'] or 'further notice'}"
        weight = f", weight {entry['weight']:g}" if entry["weight"] is not None else ""
        reason = f", {entry['reason']}" if entry["reason"] else ""
        yield f"{mark} {entry['list']} by {entry['by']}: {entry['source']}{reason}{weight}, {span}: {entry['state']}"
    if not found["entries"]:
        yield "  no entry is over it"
    elif len(found["entries"]) > 1:
        yield "  protected > immutable > allow > block > grey; then exact over prefix; then the longer prefix"
    yield f"lists {found['lists']}"


def _entry(match: Match, counts: bool, at: int) -> dict[str, Any]:
    p = match.provenance
    state = "not yet in force" if at < p.added else "in force" if p.in_force(at) else "expired"
    return {
        "list": p.kind.name.lower(),
        "by": "number" if match.digits == EXACT else f"the first {match.digits} digits",
        "source": p.source,
        "reason": p.reason,
        "weight": p.weight,
        "added": _time(p.added) if p.added else None,
        "expires": _time(p.expires) if p.expires else None,
        "state": "counts" if counts and state == "in force" else state,
        "counts": counts and state == "in force",
    }


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


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
