"""Changes to lists and rules, for tests: entries, feeds and stages without the command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from detectors.lists import Entry, ListKind, file
from detectors.lists.build import build
from detectors.lists.entry import Provenance
from detectors.rollout import Cap, Mode
from stream.clock import SystemClock
from stream.rule_files import pack_files
from stream.settings import Settings
from stream.topics import LISTS, RULES
from stream.updates.keys import Author
from stream.updates.library import bundle
from stream.updates.publisher import Plan, Put, Receipt, Store, make_change
from stream.updates.records import EntryRecord, FeedRecord, PackRecord, StageRecord, entry_key, stage_key
from stream.updates.state import State

MADE = 1_790_000_000_000


async def change(settings: Settings, plan: Plan, author: Author | None = None, action: str = "test") -> Receipt:
    """Make one."""
    return await make_change(
        settings, author or Author("tester"), action=action, target="t", reason="a test", plan=plan, clock=SystemClock()
    )


def puts(*what: Put) -> Plan:
    """A plan that writes these whatever there is."""

    async def plan(_: State, __: Store) -> Sequence[Put]:
        return what

    return plan


def entry(number: str, name: str = "block", **more: object) -> Put:
    """A manual entry."""
    value = EntryRecord(number, name, **{"weight": 150.0, **more})
    return Put(LISTS.name, entry_key(value), value)


def stage(rule: str, mode: Mode, *, version: str = "", share: float = 0.0, cap: Cap | None = None) -> Put:
    """The stage of a rule."""
    return Put(RULES.name, stage_key(rule, version), StageRecord(mode, share, cap))


def table(numbers: Iterable[str], kind: ListKind = ListKind.BLOCK, weight: float | None = 150.0) -> bytes:
    """A feed's content."""
    provenance = Provenance(kind, "feed", weight=weight)
    return b"".join(file.write(build(Entry(number, provenance) for number in numbers)))


def feed(name: str, data: bytes, count: int, *, mode: Mode = "enforce", cap: Cap | None = None) -> Plan:
    """A plan that puts a feed's content in force."""

    async def plan(_: State, store: Store) -> Sequence[Put]:
        content = await store.put(data, count=count, serial="1", made=MADE)
        return [Put(LISTS.name, f"feed/{name}", FeedRecord(content, mode, cap=cap))]

    return plan


def pack(changed: dict[str, bytes], *more: Put) -> Plan:
    """A plan that publishes the shipped pack with some files changed, and ``more``."""

    async def plan(_: State, store: Store) -> Sequence[Put]:
        data = bundle(pack_files(None) | changed)
        content = await store.put(data, count=1, serial="1", made=MADE)
        return [Put(RULES.name, "pack", PackRecord(content, "test")), *more]

    return plan
