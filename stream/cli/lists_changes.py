"""`lanjie lists add, remove, import, promote, demote, cap, drop`: lists that change under way; `show`, `diff`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import IO, Any, Final

import click

from detectors.lists import Entry, ListKind, Sieve
from detectors.lists import file as snapshot_file
from detectors.lists.entry import Provenance
from detectors.lists.junk import MAX_SHARE
from detectors.lists.parse import time_of
from detectors.lists.table import Table
from stream.cli.changes import aligned
from stream.cli.changing import change, reason, run, stage_of, where, who
from stream.cli.feeds import rows as feed_rows
from stream.cli.lists import read_content, read_patterns
from stream.cli.replay import list_files
from stream.clock import SystemClock
from stream.settings import Settings
from stream.updates.library import Library
from stream.updates.list_plans import (
    ALL_LISTS,
    Difference,
    Snapshot,
    Wishes,
    diff,
    feed_of,
    masked,
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
    entries = read_patterns(patterns, file, Provenance(ListKind[name.upper()], "manual"), Sieve(max_share))
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
    entries, library, told = read_patterns(patterns, file, _PLAIN), Library(settings), set[str]()

    async def plan(state: State, _: Store) -> Sequence[Put]:
        lists: Sequence[ListName] = (name,) if name else ALL_LISTS
        places = await on_feeds(state, library, entries)
        found = plan_remove(state, places, lists=lists, feed=feed, reason=reason, anyway=anyway)
        _tell_missing(found.missing, told, nothing=not found.puts)
        return found.puts

    change(settings, action="remove", target=_target(name or "all lists", entries), reason=reason, plan=plan)


def _tell_missing(missing: Sequence[str], told: set[str], *, nothing: bool) -> None:
    """What is on no list, once: a change that comes in between makes us plan again."""
    said = f"{masked(missing[0])}: on no such list that we know of" if missing else ""
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
    read = read_content(list_files(files), feed)
    if read.refused > MAX_REFUSED * (read.used + read.refused) and not force:
        found = f"{read.refused:,} of {read.used + read.refused:,} lines unusable"
        raise ChangeError(
            f"{' '.join(files)}: {found}; expected at most {MAX_REFUSED:.0%}; if that is right say --force"
        )
    data = read.data or b"".join(snapshot_file.write(read.table))
    snapshot = Snapshot(feed, data, read.table, serial, clock.wall_ms())
    click.echo(
        f"{len(read.table):,} entries, {read.refused:,} lines refused, {clock.monotonic() - began:.1f} s to read"
    )
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
        click.echo(
            f"{len(data) / 2**20:.1f} MiB in {content.parts} parts, {self._clock.monotonic() - began:.1f} s to upload"
        )
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
    rows = [[row[name] for name in columns] for row in found["feeds"]]
    click.echo("\n".join(aligned([columns, *rows])) if rows else "no feed is in force")
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


@click.command("diff")
@_FILES
@_FEED_OPTION
@_JSON
@where
def compare(*, settings: Settings, files: tuple[str, ...], feed: str, as_json: bool) -> None:
    """Say what importing FILES would change in a feed, against its newest content."""

    async def old() -> tuple[Content, Table]:
        content = feed_of(await read_state(settings), feed).value.content
        return content, await Library(settings).table(content)

    read = read_content(list_files(files), feed)
    content, table = run(old())
    found = diff(table, read.table)
    if as_json:
        said = {
            "feed": feed,
            "serial": content.serial,
            "from": len(table),
            "to": len(read.table),
            "refused": read.refused,
        }
        click.echo(dump_json({**said, **_counted(found)}), nl=False)
        return
    click.echo(
        f"feed {feed} {content.serial}: {len(table):,} -> {len(read.table):,} entries, {read.refused:,} lines refused"
    )
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


def _target(where: str, entries: Sequence[Entry]) -> str:
    return f"{where}: {masked(entries[0].pattern) if len(entries) == 1 else f'{len(entries):,} patterns'}"
