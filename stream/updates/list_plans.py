"""What to write so that numbers come on lists and off, and feeds come, go a step on or back, and go. Pure: a function
of the state, of number tables, and of what is wished; ``lanjie lists`` and ``lanjie appeal`` read, show and write.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import sha256
from typing import Final, NamedTuple, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.lists import Entry, ListKind
from detectors.lists.entry import Provenance
from detectors.lists.table import Table, place
from detectors.model.numbers import mask
from detectors.normalise import key as k
from detectors.rollout import Cap
from stream.topics import LISTS, RULES
from stream.updates.library import Library
from stream.updates.publisher import ChangeError, Put, Store
from stream.updates.records import AppealsRecord, Content, EntryRecord, FeedRecord, ListName, StageRecord, entry_key
from stream.updates.rule_plans import Step, held, stage_put
from stream.updates.state import Held, State

ALL_LISTS: Final[tuple[ListName, ...]] = get_args(ListName)
DAY_MS: Final = 86_400_000
APPEALS_KEPT_MS: Final = 30 * DAY_MS
FEED: Final = "feed:"  #: before the name of a feed where it might be a rule's
SAMPLES: Final = 10
_COVER: Final = re.compile(r"\+?\d+(?:\*|-\+?\d+)")

Ints = NDArray[np.int64]
Rows = tuple[NDArray[np.uint64], Ints]  # places and provenances
Places = Mapping[str, set[tuple[ListName, str]]]  # pattern -> lists and feeds


def plan_add(state: State, records: Iterable[EntryRecord]) -> list[Put]:
    """Manual entries. What took the same patterns off the same lists, of any feed, is taken back."""
    entries = state.entries
    taken_off: dict[tuple[str, str], list[str]] = {}
    for name, each in entries.items():
        if each.value.op == "suppress":
            taken_off.setdefault((each.value.list, each.value.number), []).append(f"entry/{name}")
    puts: dict[str, EntryRecord | None] = {}
    for record in records:
        puts |= dict.fromkeys(taken_off.get((record.list, record.number), ()))
        if (before := entries.get(_name(record))) is None or before.value != record:
            puts[entry_key(record)] = record
    return [Put(LISTS.name, key, value) for key, value in puts.items()]


async def on_feeds(state: State, library: Library, entries: Iterable[Entry]) -> Places:
    """The lists and feeds in force, on trial or not, that hold exactly these patterns."""
    wanted = list(entries)
    found: dict[str, set[tuple[ListName, str]]] = {entry.pattern: set() for entry in wanted}
    for feed, each in state.feeds.items():
        for content in filter(None, (each.value.content, each.value.live)):
            table = await library.table(content)
            for entry in wanted:
                found[entry.pattern] |= {(list_name(p.kind), feed) for p in holds(table, entry)}
    return found


def holds(table: Table, entry: Entry) -> list[Provenance]:
    """What a table says of exactly this number or pattern; wider patterns over it do not count."""
    at = place(entry)
    return [match.provenance for match in table.matches(entry.number) if match.place == at]


class Removal(NamedTuple):
    """What to write, and the patterns that are on no list: there is nothing to take off."""

    puts: list[Put]
    missing: list[str]


def plan_remove(
    state: State,
    places: Places,
    *,
    lists: Sequence[ListName] = ALL_LISTS,
    feed: str | None = None,
    reason: str = "",
    anyway: bool = False,
) -> Removal:
    """Take patterns off lists: manual entries are taken back, those of feeds suppressed, also for what they will bring.

    Args:
        places: every pattern, and where it is (``on_feeds``).
        feed: suppress it on this feed only; manual entries stay.
        anyway: suppress it whether it is anywhere or not: the files of workers may have it.
    """
    puts: list[Put] = []
    missing, entries = [], state.entries
    for pattern, found in places.items():
        before = len(puts)
        for name in lists:
            at = f"{name}/{pattern}"
            manual = entries.get(at)
            if manual and manual.value.op == "suppress":
                continue
            off = {f for _, f in found if f"{name}@{f}/{pattern}" in entries}
            feeds = {f for on, f in found if on == name and feed in (None, f)} - off
            record = EntryRecord(pattern, name, "suppress", feed, reason=reason)
            if feeds or (anyway and not (feed and f"{name}@{feed}/{pattern}" in entries)):
                puts.append(Put(LISTS.name, entry_key(record), record))
            elif manual and feed is None:
                puts.append(Put(LISTS.name, entry_key(record), None))
        if len(puts) == before:
            missing.append(pattern)
    return Removal(puts, missing)


class Snapshot(NamedTuple):
    """New content of a feed. ``data`` is a snapshot file (``detectors.lists.file``), ``made`` ms UTC."""

    feed: str
    data: bytes
    table: Table
    serial: str
    made: int


@dataclass(frozen=True)
class Wishes:
    """How content is to come in force. None: as the feed is; a new one begins in shadow, without limits.

    Attributes:
        limits: fields of ``Cap``; those that are not named stay.
        stale_after: seconds.
        max_shrink: share of its entries that the feed may have lost; None: all of them.
    """

    step: Step | None = None
    limits: Mapping[str, float] | None = None
    stale_after: int | None = None
    max_shrink: float | None = 0.2


async def plan_import(state: State, store: Store, library: Library, snapshot: Snapshot, wishes: Wishes) -> list[Put]:
    """Put content in force. What is in force already is not uploaded again, but counts as looked at and fresh.

    Raises:
        ChangeError: the feed would lose too much.
    """
    feed, data, table, serial, made = snapshot
    before = each.value if (each := state.feeds.get(feed)) else None
    if before and wishes.max_shrink is not None:
        old = await library.table(before.content)
        lost = diff(old, table).removed.total()
        if lost > wishes.max_shrink * len(old):
            raise ChangeError(
                f"feed {feed}: {lost:,} of its {len(old):,} entries would be gone; expected at most "
                f"{wishes.max_shrink:.2%} of them; see `lanjie lists diff`, and if it is right say --force"
            )
    if before and before.content.digest == sha256(data).hexdigest():
        content = msgspec.structs.replace(before.content, serial=serial, made=made)
    else:
        content = await store.put(data, count=len(table), serial=serial, made=made)
    return [Put(LISTS.name, f"feed/{feed}", next_feed(before, content, wishes))]


def next_feed(before: FeedRecord | None, content: Content, wishes: Wishes) -> FeedRecord:
    """The record that puts new content in the place of the old, or beside it if that is enforced and this is not."""
    now = before or FeedRecord(content, "shadow")
    step = wishes.step or Step(now.stage, now.share)
    live = before.content if before and before.stage == "enforce" else now.live
    cap = msgspec.structs.replace(now.cap or Cap(), **wishes.limits) if wishes.limits else now.cap
    return FeedRecord(
        content,
        step.mode,
        step.share,
        live=None if step.mode == "enforce" else live,
        cap=cap,
        stale_after=wishes.stale_after or now.stale_after,
    )


def plan_step(state: State, feed: str, step: Step, *, up: bool) -> list[Put]:
    """A feed one step on (``up``) or back; enforced, its old content goes. Its cap stays.

    Raises:
        ChangeError: there is no such feed, or the step goes the other way.
    """
    now = feed_of(state, feed).value
    was = Step(now.stage, now.share)
    if step.height != was.height and (step.height > was.height) != up:
        raise ChangeError(f"feed {feed}: is in {was}; to {step} it goes with `lanjie lists {_OTHER[up]}`")
    live = None if step.mode == "enforce" else now.live
    return _feed_put(feed, now, msgspec.structs.replace(now, stage=step.mode, share=step.share, live=live))


_OTHER: Final = {True: "demote", False: "promote"}


def plan_cap(state: State, feed: str, limits: Mapping[str, float] | None) -> list[Put]:
    """Other limits (fields of ``Cap``) beside those it has, or no cap at all.

    Raises:
        ChangeError: there is no such feed.
    """
    now = feed_of(state, feed).value
    cap = None if limits is None else msgspec.structs.replace(now.cap or Cap(), **limits)
    return _feed_put(feed, now, msgspec.structs.replace(now, cap=cap))


def plan_drop(state: State, feed: str) -> list[Put]:
    """A feed with all its content gone. What was suppressed on it stays so, should it come back.

    Raises:
        ChangeError: there is no such feed.
    """
    known = {f"feed/{feed}": feed in state.feeds, f"check/{feed}": feed in state.checks}
    if not any(known.values()):
        feed_of(state, feed)
    return [Put(LISTS.name, key, None) for key, there in known.items() if there]


def feed_of(state: State, feed: str) -> Held[FeedRecord]:
    """The feed in force.

    Raises:
        ChangeError: there is none of this name.
    """
    feeds = state.feeds
    if feed not in feeds:
        near = get_close_matches(feed, feeds, 3)
        meant = f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(feeds) or 'none'}"
        raise ChangeError(f"feed {feed}: is not in force{meant}")
    return feeds[feed]


def plan_appeal(
    state: State, number: str, against: str, *, version: str = "", now: int, days: int, reason: str
) -> list[Put]:
    """An appeal that was upheld: the number is allowed for a while, and what has met too many goes into shadow.

    Args:
        against: a rule or built-in sign, or ``feed:NAME``.
        version: of that rule.
        now: ms UTC.

    Raises:
        ChangeError: there is no such feed.
    """
    allowed = EntryRecord(number, "allow", reason=reason, source="appeal", expires=now + days * DAY_MS)
    puts = [] if _lasts(state, allowed) else plan_add(state, [allowed])
    before = state.appeals.get(against)
    times = [time for time in (before.value.times if before else ()) if time > now - APPEALS_KEPT_MS] + [now]
    puts.append(Put(RULES.name, f"appeals/{against}", AppealsRecord(tuple(times))))
    if (feed := against.removeprefix(FEED)) != against:
        value = feed_of(state, feed).value
        if _too_many(value, times):
            puts += _feed_put(feed, value, msgspec.structs.replace(value, stage="shadow", share=0.0))
    elif (stage := held(state.stages, against, version)) and _too_many(stage.value, times):
        known = version if (against, version) in state.stages else ""
        puts.append(stage_put(against, known, msgspec.structs.replace(stage.value, stage="shadow", share=0.0)))
    return puts


def _lasts(state: State, wanted: EntryRecord) -> bool:
    """Whether the number is allowed at least as long already."""
    known = state.entries.get(_name(wanted))
    if known is None or known.value.op == "suppress" or known.value.added:
        return False
    return known.value.expires is None or known.value.expires >= (wanted.expires or 0)


def _too_many(value: FeedRecord | StageRecord, times: Sequence[int]) -> bool:
    limit = value.cap.appeals if value.cap else None
    return limit is not None and len(times) >= limit and value.stage != "shadow"


def _feed_put(feed: str, before: FeedRecord, after: FeedRecord) -> list[Put]:
    return [] if after == before else [Put(LISTS.name, f"feed/{feed}", after)]


def _name(record: EntryRecord) -> str:
    """As ``State.entries`` has it."""
    return entry_key(record).removeprefix("entry/")


def masked(pattern: str) -> str:
    """A pattern to be shown: a person's number or account is hidden, a prefix or range is nobody's."""
    return pattern if _COVER.fullmatch(pattern) else mask(pattern)


def list_name(kind: ListKind) -> ListName:
    """As records have it."""
    return ALL_LISTS[kind]


@dataclass
class Difference:
    """What would change, by list, and some masked samples of each: list and pattern."""

    added: Counter[ListName] = field(default_factory=Counter)
    removed: Counter[ListName] = field(default_factory=Counter)
    changed: Counter[ListName] = field(default_factory=Counter)
    samples: dict[str, list[tuple[ListName, str]]] = field(default_factory=dict)

    def note(self, what: str, places: NDArray[np.uint64], kinds: Ints, shown: Callable[[int], str]) -> None:
        """Count the different places on each list, and show some."""
        samples = self.samples.setdefault(what, [])
        for name, kind in zip(ALL_LISTS, ListKind, strict=True):
            different = np.unique(places[kinds == kind])
            if len(different):
                getattr(self, what)[name] += len(different)
                samples += [(name, shown(place)) for place in different[: SAMPLES - len(samples)].tolist()]


def diff(old: Table, new: Table) -> Difference:
    """From one table to another, entry by entry: a pattern on a list. Changed: its weight, reason, source or times.

    On arrays: a second for twice 2 million numbers.
    """
    found, ids, names = Difference(), dict[Provenance, int](), dict[str, int]()
    sides = [(table, _owners(table, ids)) for table in (old, new)]
    others = [_others(table, ids, names) for table in (old, new)]
    kind_of = np.array([p.kind for p in ids], dtype=np.int64)
    _compare(found, [(table.keys, owners) for table, owners in sides], kind_of, lambda key: mask(k.number_of(key)))
    patterns = list(names)
    _compare(found, others, kind_of, lambda n: masked(patterns[n]))
    return found


def _compare(found: Difference, sides: Sequence[Rows], kind_of: Ints, shown: Callable[[int], str]) -> None:
    places, owners = (np.concatenate(columns) for columns in zip(*sides, strict=True))
    side = np.repeat([0, 1], [len(rows[0]) for rows in sides])
    kinds = kind_of[owners]
    differs, alone = _alone(places, owners, side), _alone(places, kinds, side)
    rows = {"added": alone & (side == 1), "removed": alone & (side == 0), "changed": differs & ~alone}
    for what, chosen in rows.items():
        found.note(what, places[chosen], kinds[chosen], shown)


def _alone(places: NDArray[np.uint64], tags: Ints, side: Ints) -> NDArray[np.bool_]:
    """For each row whether the other side has none with this place and tag."""
    if not len(places):
        return np.zeros(0, dtype=bool)
    order = np.lexsort((tags, places))
    sorted_places, sorted_tags, sorted_side = places[order], tags[order], side[order]
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = (sorted_places[1:] != sorted_places[:-1]) | (sorted_tags[1:] != sorted_tags[:-1])
    group = np.cumsum(fresh) - 1
    on = [np.bincount(group[sorted_side == each], minlength=group[-1] + 1) > 0 for each in (0, 1)]
    alone = np.empty(len(order), dtype=bool)
    alone[order] = ~(on[0] & on[1])[group]
    return alone


def _owners(table: Table, ids: dict[Provenance, int]) -> Ints:
    """Of the numbers, as both tables count provenances."""
    shared = np.array([ids.setdefault(p, len(ids)) for p in table.provenances], dtype=np.int64)
    return shared[table.owners] if len(table.owners) else np.zeros(0, dtype=np.int64)


def _others(table: Table, ids: dict[Provenance, int], names: dict[str, int]) -> Rows:
    """Prefixes, ranges and tokens, which are few: their patterns are numbered."""
    without_numbers = Table(table.sections | {"keys": table.keys[:0], "owners": table.owners[:0]})
    rows = [(names.setdefault(entry.pattern, len(names)), ids[entry.provenance]) for entry in without_numbers.entries()]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 2)
    return columns[:, 0].astype(np.uint64), columns[:, 1]
