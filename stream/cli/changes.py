"""`lanjie changes`: who changed lists and rules, when and why; what waits for a second person; and who has it in force.

Also `lanjie lists history`: the same for one number or feed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import click

from detectors.lists import Entry, ListKind
from detectors.lists.build import build
from detectors.lists.entry import Provenance
from detectors.lists.parse import entry_of, time_of
from stream.cli.changing import IN_FORCE_WITHIN, author_of, run, tell, where, who
from stream.clock import iso
from stream.settings import Settings
from stream.topics import CHANGES, LISTS
from stream.updates import chain, publisher
from stream.updates.asof import history as chain_of_changes
from stream.updates.chain import Broken, Link
from stream.updates.library import Library
from stream.updates.list_plans import holds, list_name, masked
from stream.updates.proposals import Proposal
from stream.updates.publisher import ChangeError, Receipt, read_state
from stream.updates.records import (
    AppealsRecord,
    CheckRecord,
    Content,
    EntryRecord,
    FeedRecord,
    PackRecord,
    RecordError,
    StageRecord,
    SwitchRecord,
    Value,
    Written,
    decode,
)
from stream.updates.rule_plans import Step, cap_text
from stream.updates.trust import Trust
from stream.updates.workers import Applied, wait_until_applied, worker_states
from stream.wire import dump_json

SHOWN_RECORDS: Final = 5
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_SERIAL = click.argument("serial", type=click.IntRange(min=1))


@click.group()
def changes() -> None:
    """Changes of lists and rules: log, verify, approve."""


@changes.command()
@click.option("--since", metavar="TIME", help="ISO 8601, UTC unless it says otherwise.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N.")
@_JSON
@where
def log(*, settings: Settings, since: str | None, last: int | None, as_json: bool) -> None:
    """List the changes that were made or proposed, the oldest first."""
    try:
        after = time_of("since", since or "") or 0
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None
    links = run(chain_of_changes(settings))
    found = list(changes_shown(link for link in links if link.timestamp >= after))[-(last or 0) :]
    if as_json:
        click.echo(dump_json({"changes": found}), nl=False)
        return
    for each in found:
        more = f", {each['records']:,} records" if each["records"] > 1 else ""
        click.echo(line(each, f"{each['target']}{more}"))
    if not found:
        click.echo("no change was made" + (f" since {since}" if since else ""))


@changes.command()
@click.option("--head", metavar="LINK", help="A head that you wrote down before: it must still be in the chain.")
@where
def verify(*, settings: Settings, head: str | None) -> None:
    """Walk the whole chain of changes, and compare it with what is in force; exit 1 if anything does not hold."""
    links, problems = run(_verified(settings))
    topic = settings.named(CHANGES).name
    if head and head not in {each.link for each in links}:
        problems.append(f"{topic}: {head} is not in it: this is another history")
    for problem in problems:
        click.echo(problem, err=True)
    click.echo(f"{topic}: {len(links):,} records, head {links[-1].link if links else '-'}")
    if problems:
        raise ChangeError(f"{topic}: does not hold: {len(problems):,} problems")


async def _verified(settings: Settings) -> tuple[list[Link], list[str]]:
    """The links that hold, and what does not."""
    state = await read_state(settings)  # first: so all that is in force must be in what is read now
    topic = settings.named(CHANGES).name
    links: list[Link] = []
    problems: list[str] = []
    for each in chain.verify(await chain.read_all(settings.kafka, topic)):
        if isinstance(each, Broken):
            problems.append(f"{topic} offset {each.offset}: {each.problem}")
        else:
            links.append(each)
    known = {chain.link(chain.GENESIS, each.written) for each in links}
    problems += [
        f"{settings.topic_prefix}{written.topic}: {says(written)}: in force, but not on the chain"
        for written in state.records()
        if chain.link(chain.GENESIS, written) not in known
    ]
    return links, problems


@changes.command()
@_JSON
@where
def pending(*, settings: Settings, as_json: bool) -> None:
    """List the changes that wait for another person, with what they would write."""
    found = run(_waiting(settings))
    if as_json:
        shown = [
            {**_row(each.records[0]), "records": [says(record, clear=True) for record in each.records]}
            for each in found
        ]
        click.echo(dump_json({"pending": shown}), nl=False)
        return
    needed = Trust.read(settings.trust).approvals if settings.trust else 1
    for each in found:
        click.echo(line(_row(each.records[0]), f"{len(each.signers)} of {needed} have signed"))
        for record in each.records[:SHOWN_RECORDS]:
            click.echo(f"  {says(record, clear=True)}")
        if len(each.records) > SHOWN_RECORDS:
            click.echo(f"  and {len(each.records) - SHOWN_RECORDS:,} more: see --json")
    if not found:
        click.echo("nothing waits")


async def _waiting(settings: Settings) -> list[Proposal]:
    await read_state(settings)  # as it makes sure that the topics are there
    return Proposal.waiting(await chain.read_all(settings.kafka, settings.named(CHANGES).name))


@changes.command()
@_SERIAL
@who
def approve(*, settings: Settings, serial: int) -> None:
    """Sign what somebody else proposed; with the last signature that is needed it comes in force."""
    author = author_of(settings)

    async def both() -> tuple[Receipt, Applied | None]:
        receipt = await publisher.approve(settings, author, serial)
        if receipt.pending:
            return receipt, None
        return receipt, await wait_until_applied(settings, receipt.serial, within=IN_FORCE_WITHIN)

    tell(*run(both()))


@changes.command()
@_SERIAL
@who
def reject(*, settings: Settings, serial: int) -> None:
    """Let a proposal, your own or another's, come to nothing."""
    run(publisher.approve(settings, author_of(settings), serial, reject=True))
    click.echo(f"proposal {serial} is rejected")


@changes.command()
@_JSON
@where
def workers(*, settings: Settings, as_json: bool) -> None:
    """Show what each worker has in force, and how soon it had; those that are gone for good included."""
    found = run(_workers(settings))
    if as_json:
        click.echo(dump_json({"workers": found}), nl=False)
        return
    columns = ("worker", "serial", "lists", "rules", "delay_ms", "time", "refused")
    for each in aligned([columns, *([row[name] for name in columns] for row in found)]):
        click.echo(each)


async def _workers(settings: Settings) -> list[dict[str, Any]]:
    await read_state(settings)  # as it makes sure that the topics are there
    states = await worker_states(settings)
    return [
        {
            "worker": name,
            "serial": state.serial,
            "lists": state.lists,
            "rules": state.rules,
            "delay_ms": state.delay_ms,
            "time": iso(state.time, "milliseconds"),
            "refused": state.refused,
        }
        for name, state in sorted(states.items())
    ]


@click.command()
@click.argument("pattern", required=False)
@click.option("--feed", metavar="NAME", help="Of this feed instead.")
@_JSON
@where
def history(*, settings: Settings, pattern: str | None, feed: str | None, as_json: bool) -> None:
    """List the changes that touched a number or pattern, or a feed, the oldest first."""
    if (pattern is None) == (feed is None):
        raise click.UsageError("name a number or pattern, or --feed")
    try:
        entry = entry_of(pattern, Provenance(ListKind.BLOCK, "")) if pattern else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="PATTERN") from None
    found = run(_touched(settings, entry, feed or ""))
    if as_json:
        click.echo(dump_json({"changes": found}), nl=False)
        return
    for each in found:
        click.echo(line(each, each["says"]))
    if not found:
        click.echo("no change has touched it")


async def _touched(settings: Settings, entry: Entry | None, feed: str) -> list[dict[str, Any]]:
    await read_state(settings)  # as it makes sure that the topics are there
    links = await chain_of_changes(settings)
    if entry is not None:
        return [row async for row in number_history(links, entry, Library(settings))]
    return [
        {**_row(each.written, each.timestamp), "says": says(each.written)}
        for each in links
        if (each.written.topic, each.written.key) == (LISTS.name, f"feed/{feed}")
    ]


async def number_history(links: Iterable[Link], entry: Entry, library: Library) -> AsyncIterator[dict[str, Any]]:
    """The changes by which a number or pattern came on a list, went, or acted otherwise, for JSON.

    What is over a number (a prefix, a range) touches it; of a pattern only itself counts. Every content of a feed is
    opened once.
    """
    entered: dict[str, str] = {}  # key -> number
    on_feeds: dict[str, str] = {}
    for each in links:
        written, key = each.written, each.written.key
        if written.topic != LISTS.name or (value := _decoded(written)) is _UNUSABLE:
            continue
        said = ""
        if key.startswith("entry/"):
            number = value.number if isinstance(value, EntryRecord) else entered.get(key, "")
            entered[key] = number
            said = says(written, clear=True) if _over(number, entry) else ""
        elif key.startswith("feed/"):
            name, before = key.removeprefix("feed/"), on_feeds.get(key, "")
            on_feeds[key] = await _on_feed(value, entry, library) if isinstance(value, FeedRecord) else ""
            if before != on_feeds[key]:
                serial = value.content.serial if isinstance(value, FeedRecord) else "dropped"
                said = f"feed {name} {serial}: {on_feeds[key] or 'no longer on it'}"
        if said:
            yield {**_row(written, each.timestamp), "says": said}


def _over(number: str, entry: Entry) -> bool:
    """Whether a pattern is this entry, or over its number."""
    if number == entry.pattern:
        return True
    if entry.prefix or entry.last or not ("*" in number or "-" in number):
        return False
    try:
        return any(build([entry_of(number, entry.provenance)]).matches(entry.number))
    except ValueError:
        return False


async def _on_feed(feed: FeedRecord, entry: Entry, library: Library) -> str:
    """On which lists the entry is by its contents; "" if on none."""

    async def lists(content: Content) -> str:
        table = await library.table(content)
        covers = entry.prefix or entry.last
        found = holds(table, entry) if covers else [match.provenance for match in table.matches(entry.number)]
        return ", ".join(dict.fromkeys(list_name(p.kind) for p in sorted(found, key=lambda p: -p.kind)))

    new, live = await lists(feed.content), await lists(feed.live) if feed.live else ""
    if not new and not live:
        return ""
    return f"{new or 'on none'} ({Step(feed.stage, feed.share)})" + (f", {live} (live)" if live else "")


def changes_shown(links: Iterable[Link]) -> Iterator[dict[str, Any]]:
    """One row for each change, proposal, approval and rejection, for JSON."""
    for _, group in groupby(
        links, key=lambda link: (link.written.change.serial, link.written.topic == chain.PROPOSALS)
    ):
        records = list(group)
        row = _row(records[0].written, records[0].timestamp)
        if records[0].written.key.startswith("proposed/"):
            row["action"] += " (proposed)"
        yield {**row, "records": len(records)}


def line(row: Mapping[str, Any], said: str) -> str:
    """A change for a person."""
    signed = f"  [signed by {', '.join(row['signers'])}]" if row["signers"] else ""
    reason = f": {row['reason']}" if row["reason"] else ""
    return f"{row['serial']}  {row['time']}  {row['author']}  {row['action']}: {said}{reason}{signed}"


def says(written: Written, *, clear: bool = False) -> str:
    """What a record does, in a few words. ``clear``: with numbers as they are, for who has to judge them."""
    kind, _, name = written.key.partition("/")
    match _decoded(written):
        case EntryRecord() as entry:
            said = _entry_says(entry, entry.number if clear else masked(entry.number))
        case FeedRecord(content=new, live=live) as feed:
            beside = f", {live.serial} live beside it" if live else ""
            stage = f"{Step(feed.stage, feed.share)}, {cap_text(feed.cap)}"
            said = f"feed {name}: {new.serial}, {new.count:,} entries, {stage}{beside}"
        case CheckRecord(problem=problem):
            said = f"feed {name}: looked at" + (f": {problem}" if problem else "")
        case PackRecord(version=version):
            said = f"rule pack {version}"
        case StageRecord() as stage:
            rule = name.replace("/", " ").removesuffix(" -")
            said = f"{rule}: {Step(stage.stage, stage.share)}, {cap_text(stage.cap)}"
        case SwitchRecord(on=acts):
            said = f"enforcement {'on' if acts else 'off'}"
        case AppealsRecord(times=times):
            said = f"{name}: {len(times):,} upheld appeals"
        case _:
            on, _, pattern = name.partition("/")
            shown = name if clear or kind != "entry" else f"{on}/{masked(pattern)}"
            said = " ".join(filter(None, (kind, shown, "cannot be used" if written.value else "taken back")))
    return said


def _entry_says(entry: EntryRecord, number: str) -> str:
    feed = f" of feed {entry.feed}" if entry.feed else ""
    weight = f", weight {entry.weight:g}" if entry.weight is not None else ""
    since = f", from {iso(entry.added, 'milliseconds')}" if entry.added else ""
    until = f", until {iso(entry.expires, 'milliseconds')}" if entry.expires is not None else ""
    return f"{entry.op} {entry.list}{feed} {number}{weight}{since}{until}"


_UNUSABLE: Final = object()


def _decoded(written: Written) -> Value | object | None:
    """The value; None: the key is taken back."""
    try:
        return None if written.value is None else decode(written.key, written.value)
    except RecordError:
        return _UNUSABLE


def _row(written: Written, ms: int | None = None) -> dict[str, Any]:
    change = written.change
    return {
        "serial": change.serial,
        "time": iso(change.time if ms is None else ms, "milliseconds"),
        "author": change.author,
        "action": change.action,
        "target": change.target,
        "reason": change.reason,
        "signers": sorted(change.signatures),
    }


def aligned(rows: Iterable[Sequence[Any]]) -> list[str]:
    """Rows as lines of a table; None and "" are -."""
    texts = [[_cell(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return ["  ".join(map(str.ljust, each, widths)).rstrip() for each in texts]


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value or "-")
