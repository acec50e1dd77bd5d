"""`lanjie feeds`: sign a list for others, take theirs, and see what is in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from msgspec import Struct

from detectors.model.errors import NumberListError
from stream.cli.changing import author_of, run, where, who
from stream.cli.lists import Told
from stream.clock import SystemClock, iso
from stream.settings import Settings
from stream.topics import LISTS
from stream.updates.feed_files import ALL_KINDS, FeedRefused
from stream.updates.feed_files import sign as sign_list
from stream.updates.feeds import Fetched, Unchanged, fetch, is_new, next_record
from stream.updates.keys import Author
from stream.updates.publisher import Put, Store, make_change, read_state
from stream.updates.records import CheckRecord, Content, FeedRecord, ListName
from stream.updates.state import Held, State
from stream.updates.trust import FeedTrust, Trust
from stream.whole_file import write_whole
from stream.wire import dump_json

_FILE = click.Path(dir_okay=False, path_type=Path)
PROBLEM_CHARS: Final = 500  # of a CheckRecord
_COLUMNS: Final = ("feed", "stage", "entries", "serial", "made", "changed", "by", "checked", "problem")


@click.group()
def feeds() -> None:
    """List feeds of other operators: sign, pull, status."""


@feeds.command()
@click.argument("file", type=_FILE)
@click.option("--feed", required=True, metavar="NAME", help="As the others' trust files call it.")
@click.option("--serial", required=True, type=click.IntRange(1, 1 << 53), help="Higher than that of the last one.")
@click.option("--key", required=True, type=_FILE, help="Private key of the feed: lanjie keys make NAME.")
@click.option("--list", "kind", type=click.Choice(ALL_KINDS), default="block", help="Of rows that name none.")
@click.option("-o", "--output", type=_FILE, metavar="MANIFEST", help="[default: manifest.json beside FILE]")
def sign(*, file: Path, feed: str, serial: int, key: Path, kind: ListName, output: Path | None) -> None:
    """Write the signed manifest with which others take the list in FILE.

    FILE is CSV, JSON or text, plain, gzip or zstd, or what `lanjie lists build` wrote. Serve it with the manifest and
    the signature beside it (.sig), the file first.
    """
    output, told = output or file.with_name("manifest.json"), Told()

    def report(error: NumberListError) -> None:
        told(file, error)

    author = Author.read(feed, key)
    now_ms = SystemClock().wall_ms()
    said = sign_list(file, output, author, serial=serial, kind=kind, now_ms=now_ms, report=report)
    click.echo(f"{output}: feed {feed}, serial {serial}, {said.entries:,} entries, {told.count:,} rows refused")


@feeds.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@who
def pull(*, names: tuple[str, ...], settings: Settings) -> None:
    """Take what is new in the feeds of the trust file, or in those named; exit 1 if one is refused."""
    if settings.trust is None:
        raise click.UsageError("whose feeds are taken? Name the trust file with --trust or LANJIE_TRUST")
    trust = Trust.read(settings.trust)
    if unknown := [name for name in names if name not in trust.feeds]:
        raise click.UsageError(f"{', '.join(unknown)}: not in {trust.where}, which has {', '.join(trust.feeds)}")
    author = author_of(settings)
    trust.may_sign(author)
    wanted = {name: trust.feeds[name] for name in names or trust.feeds}
    problems = run(_Pull(settings, author).feeds(wanted))
    refused = [f"{name} ({problem.partition(':')[0]})" for name, problem in problems.items() if problem]
    if refused:
        raise click.ClickException(f"{len(refused)} of {len(problems)} feeds refused: {', '.join(refused)}")


class _Seen(Struct, frozen=True):
    """What the last look at a feed found: it need not be read again while all of this is as it was."""

    etag: str
    digest: str  #: of the content in force after that look, "" without one
    limits: str  #: of the trust file


class _Pull:
    """One look at some feeds."""

    def __init__(self, settings: Settings, author: Author) -> None:
        self._settings, self._author, self._clock = settings, author, SystemClock()
        self._folder = settings.data_dir / "feeds"
        self._seen_file = self._folder / "seen.json"

    async def feeds(self, wanted: Mapping[str, FeedTrust]) -> dict[str, str]:
        """One after the other. What is wrong with each, "" if nothing is."""
        problems: dict[str, str] = {}
        seen, state = self._read_seen(), await read_state(self._settings)
        for name, trust in wanted.items():
            held = state.feeds.get(name)
            try:
                seen[name] = await self._feed(name, trust, held.value.content if held else None, seen.get(name))
                problems[name] = ""
            except FeedRefused as refused:
                click.echo(f"{name}: {refused.code}: {refused}", err=True)
                problems[name] = f"{refused.code}: {refused}"
        self._write_seen(seen)
        await self._record(problems)
        return problems

    async def _feed(self, name: str, trust: FeedTrust, last: Content | None, seen: _Seen | None) -> _Seen:
        limits = sha256(msgspec.json.encode(trust)).hexdigest()
        digest = last.digest if last else ""
        etag = seen.etag if seen and (seen.digest, seen.limits) == (digest, limits) else None
        found = await fetch(name, trust, last=last, etag=etag, now_ms=self._clock.wall_ms(), folder=self._folder)
        if isinstance(found, Unchanged):
            click.echo(f"{name}: nothing new")
        elif await self._publish(name, trust, found):
            digest = found.digest
        return _Seen(found.etag, digest, limits)

    async def _publish(self, name: str, trust: FeedTrust, found: Fetched) -> bool:
        """Whether it is in force now."""

        async def plan(state: State, store: Store) -> Sequence[Put]:
            before = held.value if (held := state.feeds.get(name)) else None
            if not is_new(found, before.content if before else None, trust):
                return []  # another pull was faster
            content = await store.put(found.data, count=found.entries, serial=str(found.serial), made=found.made)
            return [Put(LISTS.name, f"feed/{name}", next_record(before, content, trust))]

        said = f"serial {found.serial}, {found.entries:,} entries"
        receipt = await make_change(
            self._settings, self._author, action="import", target=f"feed/{name}", reason=said, plan=plan,
            clock=self._clock,
        )  # fmt: skip
        waits = f" waits for another person: lanjie changes approve {receipt.serial}" if receipt.pending else ""
        refused = f", {found.refused:,} rows refused" if found.refused else ""
        click.echo(f"{name}: {said}{refused}: {f'change {receipt.serial}' if receipt.serial else 'in force'}{waits}")
        return not receipt.pending

    async def _record(self, problems: Mapping[str, str]) -> None:
        now = self._clock.wall_ms()

        async def plan(_state: State, _store: Store) -> Sequence[Put]:
            return [
                Put(LISTS.name, f"check/{name}", CheckRecord(now, problem[:PROBLEM_CHARS]))
                for name, problem in problems.items()
            ]

        refused = sum(map(bool, problems.values()))
        await make_change(
            self._settings, self._author, action="check", target="feeds", reason=f"{refused} refused", plan=plan,
            clock=self._clock,
        )  # fmt: skip

    def _read_seen(self) -> dict[str, _Seen]:
        """A cache: if it is gone or damaged, all is read again."""
        try:
            return msgspec.json.decode(self._seen_file.read_bytes(), type=dict[str, _Seen])
        except (OSError, msgspec.DecodeError):
            return {}

    def _write_seen(self, seen: Mapping[str, _Seen]) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._seen_file, [msgspec.json.encode(seen)])
        except OSError as error:
            click.echo(f"{self._seen_file}: {error.strerror}: the next pull reads all feeds again", err=True)


@feeds.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@where
def status(*, as_json: bool, settings: Settings) -> None:
    """Show the feeds in force, and those whose source could not be taken."""
    found = rows(run(read_state(settings)), SystemClock().wall_ms())
    if as_json:
        click.echo(dump_json({"feeds": found}), nl=False)
    elif found:
        for line in table(found):
            click.echo(line)
    else:
        click.echo("no feed is in force; `lanjie feeds pull` takes those of the trust file")


def rows(state: State, now_ms: int) -> list[dict[str, Any]]:
    """What there is to say of each feed; None for what there is not."""
    feeds_, checks = state.feeds, state.checks
    return [_row(name, feeds_.get(name), checks.get(name), now_ms) for name in sorted({*feeds_, *checks})]


def table(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The same for a person, the names of columns first."""
    lines = [list(_COLUMNS)]
    for row in found:
        stale = "older than it should be" if row["stale"] else ""
        problem = "; ".join(filter(None, (stale, row["problem"]))) or ("-" if row["problem"] is None else "none")
        shown = {**row, "problem": problem, "entries": None if row["entries"] is None else f"{row['entries']:,}"}
        lines.append(["-" if shown[name] is None else str(shown[name]) for name in _COLUMNS])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]


def _row(name: str, held: Held[FeedRecord] | None, check: Held[CheckRecord] | None, now_ms: int) -> dict[str, Any]:
    """``stale``: the content is older than the trust file allowed when it was imported, whatever the checks said."""
    feed = held.value if held else None
    content = feed.content if feed else None
    limit = feed.stale_after if feed else None
    return {
        "feed": name,
        "stage": _stage(feed) if feed else None,
        "entries": content.count if content else None,
        "serial": content.serial if content else None,
        "made": iso(content.made) if content else None,
        "changed": iso(held.change.time) if held else None,
        "action": held.change.action if held else None,
        "by": held.change.author if held else None,
        "checked": iso(check.value.time) if check else None,
        "problem": check.value.problem if check else None,
        "stale": bool(content and limit and now_ms - content.made > limit * 1000),
    }


def _stage(feed: FeedRecord) -> str:
    return f"canary:{feed.share:g}" if feed.stage == "canary" else feed.stage
