"""What adding, removing, importing, promoting and appeals write: plans on a state, tables on a disk, no Kafka."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from detectors.lists import Entry, ListKind, file
from detectors.lists.build import build
from detectors.lists.entry import Provenance
from detectors.lists.parse import entry_of
from detectors.rollout import Cap
from stream.settings import Settings
from stream.topics import LISTS, RULES
from stream.updates.build import index_of
from stream.updates.library import Library
from stream.updates.list_plans import (
    ALL_LISTS,
    DAY_MS,
    Removal,
    Snapshot,
    Wishes,
    diff,
    list_name,
    on_feeds,
    plan_add,
    plan_appeal,
    plan_cap,
    plan_drop,
    plan_import,
    plan_remove,
    plan_step,
)
from stream.updates.publisher import ChangeError, Put
from stream.updates.records import (
    AppealsRecord,
    Change,
    CheckRecord,
    Content,
    EntryRecord,
    FeedRecord,
    StageRecord,
    Written,
    encode,
    stage_key,
)
from stream.updates.rule_plans import Step
from stream.updates.state import State
from tests.support.changes import entry

NOW = 1_790_000_000_000
A, B, C = "+8613800000001", "+8613800000002", "+8613800000003"
ENFORCE, SHADOW, CANARY = Step("enforce"), Step("shadow"), Step("canary", 0.05)


class World:
    """State and contents. It is the store too: what is put lies where the library looks first."""

    def __init__(self, folder: Path) -> None:
        self.state, self.library, self.uploads = State(), Library(Settings(data_dir=folder)), 0
        self._folder = folder / "contents"
        self._folder.mkdir()

    async def put(self, data: bytes, *, count: int, serial: str, made: int) -> Content:
        digest = hashlib.sha256(data).hexdigest()
        (self._folder / digest).write_bytes(data)
        self.uploads += 1
        return Content(digest, self.uploads, 1, len(data), count, serial, made)

    def write(self, *puts: Put) -> list[Put]:
        change = Change(self.state.serial + 1, "zhang", "test", "t", "a test", NOW + self.state.serial, len(puts))
        for each in puts:
            value = None if each.value is None else encode(each.value)
            self.state.apply(Written(each.topic, each.key, value, change))
        return list(puts)

    async def load(self, feed: str, patterns: Iterable[str], serial: str = "1", **wishes: object) -> FeedRecord:
        snapshot = content(feed, patterns, serial)
        wished = Wishes(**{"max_shrink": None, **wishes})
        self.write(*await plan_import(self.state, self, self.library, snapshot, wished))
        return self.state.feeds[feed].value

    async def remove(self, *patterns: str, **how: object) -> Removal:
        places = await on_feeds(
            self.state, self.library, [entry_of(p, Provenance(ListKind.GREY, "")) for p in patterns]
        )
        return plan_remove(self.state, places, **how)

    async def counts(self, number: str) -> str | None:
        found = (await index_of(self.state, self.library)).views(number, NOW, number)[0]
        return list_name(found.provenance.kind) if found else None


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def content(feed: str, patterns: Iterable[str], serial: str = "1") -> Snapshot:
    table = build(entry_of(pattern, Provenance(ListKind.BLOCK, feed)) for pattern in patterns)
    return Snapshot(feed, b"".join(file.write(table)), table, serial, NOW)


def keys(puts: Iterable[Put]) -> dict[str, bool]:
    """Key -> whether something is written there; False: it is taken back."""
    return {each.key: each.value is not None for each in puts}


def add(number: str, name: str = "block") -> EntryRecord:
    return EntryRecord(number, name)


# ---- adding ----


def test_what_is_there_already_is_not_written_again(world: World):
    world.write(*plan_add(world.state, [add(A)]))
    assert keys(plan_add(world.state, [add(A), add(A, "grey"), add(B), add(B)])) == {
        f"entry/grey/{A}": True,
        f"entry/block/{B}": True,
    }


def test_adding_takes_suppressions_of_the_same_list_and_pattern_back(world: World):
    for feed in ("x", "y", None):
        for name in ("block", "grey"):
            world.write(entry(A, name, op="suppress", feed=feed))
    world.write(entry(B, "block", op="suppress", feed="x"))
    puts = plan_add(world.state, [add(A)])
    assert keys(puts) == {f"entry/block@x/{A}": False, f"entry/block@y/{A}": False, f"entry/block/{A}": True}


@pytest.mark.parametrize(
    "pattern", [A, "+86170*", "955*", "10086", "+33162000000-+33162999999", "domain:bad.example/x"]
)
def test_a_pattern_as_it_is_written_is_read_as_itself(pattern: str):
    assert entry_of(pattern, Provenance(ListKind.ALLOW, "")).pattern == pattern


# ---- removing ----


async def test_a_manual_entry_is_taken_back_and_what_is_on_no_list_is_told(world: World):
    world.write(*plan_add(world.state, [add(A), add(A, "allow"), add(B)]))
    assert await world.remove(A, C) == Removal(
        [Put(LISTS.name, f"entry/block/{A}", None), Put(LISTS.name, f"entry/allow/{A}", None)], [C]
    )
    assert keys((await world.remove(A, lists=("allow",))).puts) == {f"entry/allow/{A}": False}


async def test_what_a_feed_has_is_suppressed_also_in_its_live_content(world: World):
    await world.load("x", [A, "+86170*"], "1", step=ENFORCE)
    await world.load("x", [B], "2", step=CANARY)
    found = await world.remove(A, "17000000000", "170*")
    assert keys(found.puts) == {f"entry/block/{A}": True, "entry/block/+86170*": True}
    assert found.missing == ["+8617000000000"]  # a pattern over it is no entry for it
    world.write(*found.puts)
    assert await world.counts(A) is None
    assert (await world.remove(A)).missing == [A]  # it is off already


async def test_a_manual_entry_that_a_feed_has_too_becomes_a_suppression(world: World):
    await world.load("x", [A], step=ENFORCE)
    world.write(*plan_add(world.state, [add(A)]))
    (put,) = (await world.remove(A, reason="appeal")).puts
    assert put == Put(LISTS.name, f"entry/block/{A}", EntryRecord(A, "block", "suppress", reason="appeal"))
    world.write(put)
    assert await world.counts(A) is None
    world.write(*plan_add(world.state, [add(A)]))
    assert await world.counts(A) == "block"


async def test_off_one_feed_only(world: World):
    await world.load("x", [A], step=ENFORCE)
    await world.load("y", [A], step=ENFORCE)
    world.write(*plan_add(world.state, [add(A, "grey")]))
    found = await world.remove(A, feed="x")
    assert keys(found.puts) == {f"entry/block@x/{A}": True}
    world.write(*found.puts)
    assert await world.counts(A) == "block"
    assert (await world.remove(A, feed="x")).missing == [A]
    world.write(*(await world.remove(A, lists=("block",))).puts)
    assert await world.counts(A) == "grey"


async def test_anyway_suppresses_what_nobody_knows_of(world: World):
    found = await world.remove(A, lists=("block",), anyway=True)
    assert keys(found.puts) == {f"entry/block/{A}": True}
    world.write(*found.puts)
    assert (await world.remove(A, lists=("block",), anyway=True)).missing == [A]
    assert (await world.remove(A, lists=("block",), feed="x", anyway=True)).missing == [A]
    assert keys((await world.remove(B, lists=("block",), feed="x", anyway=True)).puts) == {f"entry/block@x/{B}": True}


# ---- feeds ----


async def test_a_new_feed_begins_in_shadow_and_keeps_its_stage_and_cap(world: World):
    first = await world.load("x", [A], limits={"per_minute": 10}, stale_after=3600)
    assert (first.stage, first.live, first.cap, first.stale_after) == ("shadow", None, Cap(10), 3600)
    world.write(*plan_step(world.state, "x", ENFORCE, up=True))
    second = await world.load("x", [A, B], "2", limits={"share": 0.1})
    assert (second.stage, second.live, second.content.serial) == ("enforce", None, "2")
    assert (second.cap, second.stale_after) == (Cap(10, 0.1), 3600)


async def test_on_trial_the_old_content_of_an_enforced_feed_stays_live_until_the_new_is_enforced(world: World):
    await world.load("x", [A], "1", step=ENFORCE)
    for serial, step in (("2", SHADOW), ("3", None), ("4", CANARY)):
        feed = await world.load("x", [B], serial, step=step)
        assert (feed.content.serial, feed.live.serial) == (serial, "1")
        assert await world.counts(A) == "block"
    assert (await world.load("x", [B], "5", step=ENFORCE)).live is None
    assert (await world.counts(A), await world.counts(B)) == (None, "block")


async def test_the_same_content_is_not_uploaded_again_but_is_fresh(world: World):
    await world.load("x", [A], "1")
    feed = await world.load("x", [A], "2")
    assert (world.uploads, feed.content.serial, feed.content.offset) == (1, "2", 1)


async def test_a_feed_that_would_lose_too_much_is_refused_even_if_it_is_as_long(world: World):
    numbers = [f"+861380000{n:04d}" for n in range(100)]
    await world.load("x", numbers, step=ENFORCE)
    others = numbers[:79] + [f"+861390000{n:04d}" for n in range(21)]
    with pytest.raises(ChangeError, match="21 of its 100 entries would be gone; expected at most 20"):
        await world.load("x", others, "2", max_shrink=0.2)
    assert (await world.load("x", [*others[:80], *numbers[79:80]], "2", max_shrink=0.2)).content.serial == "2"
    assert (await world.load("x", [A], "3", max_shrink=None)).content.count == 1


async def test_steps_go_the_way_they_are_called(world: World):
    await world.load("x", [A], step=CANARY)
    assert plan_step(world.state, "x", CANARY, up=True) == []
    with pytest.raises(ChangeError, match="is in canary:5%; to shadow it goes with `lanjie lists demote`"):
        plan_step(world.state, "x", SHADOW, up=True)
    with pytest.raises(ChangeError, match="to enforce it goes with `lanjie lists promote`"):
        plan_step(world.state, "x", ENFORCE, up=False)
    with pytest.raises(ChangeError, match="feed zzz: is not in force; there are x"):
        plan_step(world.state, "zzz", ENFORCE, up=True)
    world.write(*plan_step(world.state, "x", SHADOW, up=False))
    assert world.state.feeds["x"].value.stage == "shadow"


async def test_caps_and_dropping(world: World):
    await world.load("x", [A])
    world.write(*plan_cap(world.state, "x", {"per_minute": 5}))
    world.write(*plan_cap(world.state, "x", {"appeals": 2}))
    assert world.state.feeds["x"].value.cap == Cap(5, appeals=2)
    assert plan_cap(world.state, "x", {"appeals": 2}) == []
    world.write(*plan_cap(world.state, "x", None), Put(LISTS.name, "check/x", CheckRecord(NOW)))
    assert world.state.feeds["x"].value.cap is None
    world.write(*plan_drop(world.state, "x"))
    assert (world.state.feeds, world.state.checks) == ({}, {})
    with pytest.raises(ChangeError, match="there are none"):
        plan_drop(world.state, "x")


# ---- appeals ----


def upheld(world: World, against: str, now: int = NOW, version: str = "", number: str = A) -> list[Put]:
    puts = plan_appeal(world.state, number, against, version=version, now=now, days=30, reason="fine")
    return world.write(*puts)


def test_an_upheld_appeal_allows_the_number_for_a_while_and_is_counted(world: World):
    upheld(world, "TEXT_X", version="3")
    allowed = world.state.entries[f"allow/{A}"].value
    assert (allowed.source, allowed.reason, allowed.expires) == ("appeal", "fine", NOW + 30 * DAY_MS)
    later = NOW + 31 * DAY_MS
    upheld(world, "TEXT_X", later, "3", B)
    assert world.state.appeals["TEXT_X"].value == AppealsRecord((later,))


@pytest.mark.parametrize(("expires", "kept"), [(None, True), (NOW + 90 * DAY_MS, True), (NOW + DAY_MS, False)])
def test_who_is_allowed_longer_stays_so(world: World, expires: int | None, kept: bool):
    world.write(entry(A, "allow", weight=None, expires=expires, reason="vip"))
    upheld(world, "TEXT_X")
    assert (world.state.entries[f"allow/{A}"].value.reason == "vip") is kept


def test_with_the_last_appeal_of_its_cap_the_version_in_force_goes_into_shadow(world: World):
    cap = Cap(100, appeals=2)
    for version in ("3", "4"):
        world.write(Put(RULES.name, stage_key("TEXT_X", version), StageRecord("canary", 0.5, cap)))
    assert len(upheld(world, "TEXT_X", version="3")) == 2
    upheld(world, "TEXT_X", NOW + 1, "3", B)
    assert world.state.stages["TEXT_X", "3"].value == StageRecord("shadow", 0.0, cap)
    assert world.state.stages["TEXT_X", "4"].value.stage == "canary"
    assert len(upheld(world, "TEXT_X", NOW + 2, "3", C)) == 2  # it is in shadow already


def test_a_stage_of_any_version_counts_where_the_version_has_none(world: World):
    world.write(Put(RULES.name, stage_key("LIST_GREY", ""), StageRecord("enforce", cap=Cap(appeals=1))))
    upheld(world, "LIST_GREY")
    assert world.state.stages["LIST_GREY", ""].value.stage == "shadow"


async def test_a_feed_goes_into_shadow_too(world: World):
    await world.load("x", [A], step=ENFORCE, limits={"appeals": 1})
    assert await world.counts(A) == "block"
    upheld(world, "feed:x", number=B)
    assert world.state.feeds["x"].value.stage == "shadow"
    assert await world.counts(A) is None
    with pytest.raises(ChangeError, match="feed y: is not in force"):
        upheld(world, "feed:y")


# ---- differences ----


def rows(*given: tuple[str, ListKind, str]) -> list[Entry]:
    return [entry_of(pattern, Provenance(kind, "s", reason)) for pattern, kind, reason in given]


def test_what_is_added_removed_and_changed():
    block, grey = ListKind.BLOCK, ListKind.GREY
    old = build(rows((A, block, "x"), (B, block, "x"), (C, grey, "x"), ("170*", block, "x"), ("qq:1234567", grey, "x"),
                     ("110", ListKind.ALLOW, "x")))  # fmt: skip
    new = build(rows((A, block, "x"), (B, block, "y"), (C, block, "x"), ("170*", grey, "x"), ("171*", block, "x"),
                     ("qq:7654321", grey, "x"), ("110", ListKind.ALLOW, "x")))  # fmt: skip
    found = diff(old, new)
    assert found.added == {"block": 2, "grey": 2}
    assert found.removed == {"block": 1, "grey": 2}
    assert found.changed == {"block": 1}
    assert found.samples["changed"] == [("block", "+86138******02")]
    assert ("grey", "+86170*") in found.samples["added"]
    assert not any("765432" in shown for _, shown in found.samples["added"])


def test_several_entries_of_a_number_count_once_by_list():
    old = build(rows((A, ListKind.BLOCK, "x")))
    new = build(rows((A, ListKind.BLOCK, "x"), (A, ListKind.BLOCK, "y"), (A, ListKind.GREY, "y")))
    found = diff(old, new)
    assert (found.added, found.removed, found.changed) == ({"grey": 1}, {}, {"block": 1})
    assert diff(old, old).samples == {"added": [], "removed": [], "changed": []}
    assert diff(build([]), build([])).added == {}


@pytest.mark.parametrize("seed", range(20))
def test_differences_are_those_of_sets(seed: int):
    rng = np.random.default_rng(seed)
    pool = [f"+861380000{n:04d}" for n in range(30)] + ["+86170*", "+86171*", "domain:a.example", "1065512345678901234"]

    def some() -> set[tuple[str, ListKind, str]]:
        return {(pool[rng.integers(len(pool))], ListKind(rng.integers(5)), "xyz"[rng.integers(3)]) for _ in range(60)}

    old, new = some(), some()
    found = diff(build(rows(*old)), build(rows(*new)))

    def on(given: set[tuple[str, ListKind, str]], name: str) -> set[str]:
        return {pattern for pattern, kind, _ in given if list_name(kind) == name}

    for name in ALL_LISTS:
        both = on(old, name) & on(new, name)
        assert found.added[name] == len(on(new, name) - on(old, name))
        assert found.removed[name] == len(on(old, name) - on(new, name))
        assert found.changed[name] == len(both & on(old ^ new, name))


def test_records_name_the_lists_as_the_engine_does():
    assert [name.upper() for name in ALL_LISTS] == [kind.name for kind in ListKind]
