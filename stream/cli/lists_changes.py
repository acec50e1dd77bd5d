"""`lanjie lists add, remove, import, promote, demote, cap, drop`, which change lists while events flow; `show`, `diff`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import IO, Any, Final, NamedTuple

import click

from detectors.lists import Entry, Gone, ListKind, Sieve
from detectors.lists import file as snapshot_file
from detectors.lists.build import Builder
from detectors.lists.entry import Provenance
from detectors.lists.junk import MAX_SHARE
from detectors.lists.parse import entry_of, time_of
from detectors.lists.table import Table
from detectors.model.errors import NumberListError
from detectors.model.numbers import mask
from stream.cli.changing import change, reason, run, stage_of, where, who
from stream.cli.feeds import rows as feed_rows
from stream.cli.lists import Told
from stream.cli.replay import list_files
from stream.clock import SystemClock
from stream.number_files import is_snapshot, open_table, read_file
from stream.settings import ListFile, Settings
from stream.updates.library import Library
from stream.updates.list_plans import (
    ALL_LISTS,
    Difference,
    Snapshot,
    Wishes,
    diff as difference,
    feed_of,
    on_feeds,
    plan_add,
    plan_cap,
    plan_drop,
    plan_import,
    plan_remove,
    plan_step,
)
from stream.updates.publisher import ChangeError, Put, Store, read_state
from stream.updates.records import Content, EntryRecord, ListName
from stream.updates.rule_plans import Step, cap_text
from stream.updates.state import State
from stream.wire import dump_json

MAX_PATTERNS: Final = 100_000  #: of one change; more are a feed
MAX_REFUSED: Final = 0.01  #: share of lines of a feed's files
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PLAIN: Final = Provenance(ListKind.BLOCK, "")


def _feed_name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", value):
        raise click.BadParameter(f"{value!r}; expected lower-case letters, digits, dots, dashes and underscores")
    return value


def _step(_: click.Context, __: click.Parameter, value: str | None) -> Step | None:
    return None if value is None else Step(*stage_of(value))


def _seconds(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    if not re.fullmatch(r"[1-9]\d{0,6}[smhd]", value):
        raise click.BadParameter(f"{value!r}; expected a number and s, m, h or d, such as 26h")
    return int(value[:-1]) * _SECONDS[value[-1]]


def _time(_: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    try:
        return time_of(parameter.opts[0].lstrip("-"), value or "")
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _serial(_: click.Context, __: click.Parameter, value: str | None) -> str:
    serial = value or datetime.fromtimestamp(SystemClock().wall_ms() // 1000, UTC).strftime("%Y%m%dT%H%M%S")
    if not re.fullmatch(r"[!-~]{1,64}", serial):
        raise click.BadParameter(f"{serial!r}; expected up to 64 letters, digits and signs, without spaces")
    return serial


_PATTERNS = click.argument("patterns", nargs=-1, metavar="PATTERN...")
_FILE = click.option("--file", type=click.File("rb"), help="One pattern a line; - reads standard input.")
_FEED = click.argument("feed", callback=_feed_name)
_FEED_OPTION = click.option("--feed", required=True, callback=_feed_name, metavar="NAME", help="The list feed.")
_FILES = click.argument("files", nargs=-1, required=True, metavar="[KIND:]FILE...")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_PER_MINUTE, _SHARE = click.IntRange(1, 10_000_000), click.FloatRange(0, 1, min_open=True)


@click.command()
@_PATTERNS
@_FILE
@click.option("--list", "name", type=click.Choice(ALL_LISTS), default="block", show_default=True, help="Which list.")
@click.option("--weight", type=click.FloatRange(0, 200), help="[default: the policy's for that list]")
@click.option("--from", "added", callback=_time, metavar="TIME", help="Event time from which it counts.")
@click.option("--until", "expires", callback=_time, metavar="TIME", help="Event time from which it no longer does.")
@click.option("--max-share", default=MAX_SHARE, show_default=True, help="Of a country's plan, for a prefix or range.")
@reason
@who
def add(
    *,
    settings: Settings,
    patterns: tuple[str, ...],
    file: IO[bytes] | None,
    reason: str,
    name: ListName,
    weight: float | None,
    added: int | None,
    expires: int | None,
    max_share: float,
) -> None:
    """Put numbers, prefixes (170*), ranges or tokens (domain:...) on a list, all of them or none.

    PATTERN - reads them from standard input, one a line. What was removed from the same list before comes back.
    """
    if expires is not None and expires <= max(added or 0, SystemClock().wall_ms()):
        raise click.BadParameter("expected a time to come, after --from", param_hint="--until")
    entries = _entries(patterns, file, Provenance(ListKind[name.upper()], "manual"), Sieve(max_share))
    records = [
        EntryRecord(e.pattern, name, weight=weight, reason=reason, added=added or 0, expires=expires) for e in entries
    ]

    async def plan(state: State, _: Store) -> Sequence[Put]:
        return plan_add(state, records)

    change(settings, action="add", target=_target(name, entries), reason=reason, plan=plan)


@click.command()
@_PATTERNS
@_FILE
@click.option("--list", "name", type=click.Choice(ALL_LISTS), help="[default: all of them]")
@click.option("--feed", callback=_feed_name, metavar="NAME", help="From this feed only; manual entries stay.")
@click.option("--anyway", is_flag=True, help="Even if no feed has it: list files of the workers may. Needs --list.")
@reason
@who
def remove(
    *,
    settings: Settings,
    patterns: tuple[str, ...],
    file: IO[bytes] | None,
    reason: str,
    name: ListName | None,
    feed: str | None,
    anyway: bool,
) -> None:
    """Take patterns off lists: back, if they were added; off the feeds that have exactly them, also in future."""
    if anyway and name is None:
        raise click.UsageError("--anyway needs --list: off which list?")
    entries, library, told = _entries(patterns, file, _PLAIN), Library(settings), set[str]()

    async def plan(state: State, _: Store) -> Sequence[Put]:
        lists: Sequence[ListName] = (name,) if name else ALL_LISTS
        places = await on_feeds(state, library, entries)
        found = plan_remove(state, places, lists=lists, feed=feed, reason=reason, anyway=anyway)
        _tell_missing(found.missing, told, nothing=not found.puts)
        return found.puts

    change(settings, action="remove", target=_target(name or "all lists", entries), reason=reason, plan=plan)


def _tell_missing(missing: Sequence[str], told: set[str], *, nothing: bool) -> None:
    """What is on no list, once: a change that comes in between makes us plan again."""
    said = f"{_masked(missing[0])}: on no such list that we know of" if missing else ""
    more = f", and {len(missing) - 1:,} others" if len(missing) > 1 else ""
    if nothing and missing:
        raise ChangeError(f"{said}{more}; expected an entry or a feed's, written just so (files: see --anyway)")
    if missing and not told:
        click.echo(f"{said}{more}: left out", err=True)
    told |= set(missing)


@click.command("import")
@_FILES
@_FEED_OPTION
@click.option("--serial", callback=_serial, help="Of this content.  [default: the time, as 20261125T081500]")
@click.option("--stage", "step", callback=_step, help="shadow, canary:5% or enforce.  [default: as it is, or shadow]")
@click.option("--cap-per-minute", type=_PER_MINUTE, help="Measures within 60 s.")
@click.option("--cap-share", type=_SHARE, help="Of the events of 60 s.")
@click.option("--stale-after", callback=_seconds, help="When somebody should look, such as 26h.")
@click.option("--max-shrink", type=click.FloatRange(0, 1), default=0.2, show_default=True, help="Share it may lose.")
@click.option("--force", is_flag=True, help="Whatever it has lost, and however many lines are refused.")
@reason
@who
def import_(
    *,
    settings: Settings,
    files: tuple[str, ...],
    feed: str,
    serial: str,
    step: Step | None,
    cap_per_minute: int | None,
    cap_share: float | None,
    stale_after: int | None,
    max_shrink: float,
    force: bool,
    reason: str,
) -> None:
    """Put the content of FILES in force as a feed, in the place of what it had.

    With --stage shadow or canary the old content of an enforced feed acts on wherever the new one does not.
    """
    clock, library = SystemClock(), Library(settings)
    began = clock.monotonic()
    read = _read(list_files(files), feed)
    if read.refused > MAX_REFUSED * (read.used + read.refused) and not force:
        found = f"{read.refused:,} of {read.used + read.refused:,} lines unusable"
        raise ChangeError(f"{' '.join(files)}: {found}; expected at most {MAX_REFUSED:.0%}; if that is right say --force")
    data = read.data or b"".join(snapshot_file.write(read.table))
    snapshot = Snapshot(feed, data, read.table, serial, clock.wall_ms())
    click.echo(f"{len(read.table):,} entries, {read.refused:,} lines refused, {clock.monotonic() - began:.1f} s to read")
    limits = {name: v for name, v in (("per_minute", cap_per_minute), ("share", cap_share)) if v is not None}
    wishes = Wishes(step, limits, stale_after, None if force else max_shrink)

    async def plan(state: State, store: Store) -> Sequence[Put]:
        return await plan_import(state, _Timed(store), library, snapshot, wishes)

    change(settings, action="import", target=f"feed/{feed}", reason=reason, plan=plan)


class _Timed:
    """A store that says how long it took."""

    def __init__(self, store: Store) -> None:
        self._store, self._clock = store, SystemClock()

    async def put(self, data: bytes, *, count: int, serial: str, made: int) -> Content:
        began = self._clock.monotonic()
        content = await self._store.put(data, count=count, serial=serial, made=made)
        click.echo(f"{len(data) / 2**20:.1f} MiB in {content.parts} parts, {self._clock.monotonic() - began:.1f} s to upload")
        return content


@click.command()
@_FEED
@click.option("--to", "step", callback=_step, default="enforce", show_default=True, help="canary:5% or enforce.")
@reason
@who
def promote(*, settings: Settings, feed: str, step: Step, reason: str) -> None:
    """Let a feed act on more subjects; also one that the brake has stopped."""
    _one(settings, "promote", feed, reason, lambda state: plan_step(state, feed, step, up=True))


@click.command()
@_FEED
@click.option("--to", "step", callback=_step, default="shadow", show_default=True, help="shadow or canary:5%.")
@reason
@who
def demote(*, settings: Settings, feed: str, step: Step, reason: str) -> None:
    """Let a feed act on fewer subjects, or none."""
    _one(settings, "demote", feed, reason, lambda state: plan_step(state, feed, step, up=False))


@click.command()
@_FEED
@click.option("--per-minute", type=_PER_MINUTE, help="Measures within 60 s.")
@click.option("--share", type=_SHARE, help="Of the events of 60 s.")
@click.option("--appeals", type=click.IntRange(1, 1_000_000), help="Upheld against it in 30 days.")
@click.option("--none", "no_cap", is_flag=True, help="No cap at all.")
@reason
@who
def cap(*, settings: Settings, feed: str, reason: str, no_cap: bool, **limits: float | None) -> None:
    """Say how much a feed may do before the brake puts it into shadow. Limits that are not named stay."""
    named = {name: value for name, value in limits.items() if value is not None}
    if no_cap == bool(named):
        raise click.UsageError("name limits (--per-minute, --share, --appeals) or --none")
    _one(settings, "cap", feed, reason, lambda state: plan_cap(state, feed, None if no_cap else named))


@click.command()
@_FEED
@reason
@who
def drop(*, settings: Settings, feed: str, reason: str) -> None:
    """Take a feed back, with all its entries."""
    _one(settings, "drop", feed, reason, lambda state: plan_drop(state, feed))


def _one(settings: Settings, action: str, feed: str, reason: str, puts: Callable[[State], list[Put]]) -> None:
    async def plan(state: State, _: Store) -> Sequence[Put]:
        return puts(state)

    change(settings, action=action, target=f"feed/{feed}", reason=reason, plan=plan)


@click.command()
@_JSON
@where
def show(*, settings: Settings, as_json: bool) -> None:
    """Show the feeds in force, and how many numbers people have entered."""
    found = shown(run(read_state(settings)), SystemClock().wall_ms())
    if as_json:
        click.echo(dump_json(found), nl=False)
        return
    columns = ("feed", "stage", "entries", "serial", "live", "made", "cap", "by", "reason")
    for line in aligned([columns, *([row[name] for name in columns] for row in found["feeds"])]):
        click.echo(line)
    for what in ("added", "suppressed", "not_in_force"):
        counts = ", ".join(f"{count:,} {name}" for name, count in found["manual"][what].items()) or "none"
        click.echo(f"{what.replace('_', ' ')} by hand: {counts}")


def shown(state: State, now: int) -> dict[str, Any]:
    """The feeds, and counts of manual entries by list, for JSON."""
    feeds = []
    for row in feed_rows(state, now):
        if (held := state.feeds.get(row["feed"])) is not None:
            live, cap = held.value.live, held.value.cap
            stage = str(Step(held.value.stage, held.value.share))
            more = {"live": live and live.serial, "cap": cap_text(cap), "reason": held.change.reason}
            feeds.append({**row, "stage": stage, **more})
    manual: dict[str, Counter[str]] = {what: Counter() for what in ("added", "suppressed", "not_in_force")}
    for each in state.entries.values():
        value = each.value
        counts = value.added <= now and (value.expires is None or now < value.expires)
        what = "suppressed" if value.op == "suppress" else "added" if counts else "not_in_force"
        manual[what][value.list] += 1
    return {"feeds": feeds, "manual": manual}


def aligned(rows: Iterable[Sequence[Any]]) -> list[str]:
    """Rows as lines of a table; None and "" are -."""
    texts = [["-" if cell in (None, "") else f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in texts]


@click.command()
@_FILES
@_FEED_OPTION
@_JSON
@where
def diff(*, settings: Settings, files: tuple[str, ...], feed: str, as_json: bool) -> None:
    """Say what importing FILES would change in a feed, against its newest content."""

    async def old() -> tuple[Content, Table]:
        content = feed_of(await read_state(settings), feed).value.content
        return content, await Library(settings).table(content)

    read = _read(list_files(files), feed)
    content, table = run(old())
    found = difference(table, read.table)
    if as_json:
        said = {"feed": feed, "serial": content.serial, "from": len(table), "to": len(read.table), "refused": read.refused}
        click.echo(dump_json({**said, **_counted(found)}), nl=False)
        return
    click.echo(f"feed {feed} {content.serial}: {len(table):,} -> {len(read.table):,} entries, {read.refused:,} lines refused")
    for what, each in _counted(found).items():
        counts = ", ".join(f"{count:,} {name}" for name, count in each["counts"].items()) or "none"
        click.echo(f"{what}: {counts}")
        for sample in each["samples"]:
            click.echo(f"  {sample['list']} {sample['number']}")


def _counted(found: Difference) -> dict[str, dict[str, Any]]:
    return {
        what: {
            "counts": getattr(found, what),
            "samples": [{"list": name, "number": number} for name, number in found.samples.get(what, ())],
        }
        for what in ("added", "removed", "changed")
    }


class _Read(NamedTuple):
    """Files as one table. ``data``: of a snapshot that is all there is, as it is in its file."""

    table: Table
    used: int
    refused: int
    data: bytes = b""


def _read(files: Sequence[ListFile], feed: str) -> _Read:
    """What is to be the content of a feed.

    Raises:
        NumberListError: a file cannot be used, or there is nothing in it.
    """
    if len(files) == 1 and is_snapshot(files[0].path):
        table = open_table(files[0].path)
        found = _Read(table, len(table), 0, files[0].path.read_bytes())
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
        found = _Read(builder.build(), used, told.count)
    if not len(found.table):
        raise NumberListError(f"{files[0].path}: no entry; to empty a feed say `lanjie lists drop {feed}`")
    return found


def _entries(
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
        raise click.UsageError(f"{len(found):,} patterns; expected at most {MAX_PATTERNS:,}: `lanjie lists import` takes more")
    return list(found.values())
