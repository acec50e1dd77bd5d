"""Changes on the real broker: all or nothing, one at a time, chained, and read back as they were at any moment."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from stream.settings import Settings
from stream.topics import CHANGES, CONTENTS, LISTS
from stream.updates import chain, contents
from stream.updates.asof import HistoryError, heal, history, state_at
from stream.updates.chain import Broken
from stream.updates.keys import Author
from stream.updates.library import Library
from stream.updates.proposals import Proposal
from stream.updates.publisher import Put, Store, make_change, read_state
from stream.updates.state import State
from stream.updates.tail import Tail
from tests.support.changes import change, entry, feed, puts, table
from tests.support.topics import publish

NUMBERS = [f"+86138{n:08d}" for n in range(200_000)]


@pytest.fixture
def settings(kafka: str, tmp_path: Path) -> Settings:
    return Settings(bootstrap=kafka, topic_prefix=f"t{uuid.uuid4().hex[:8]}.", data_dir=tmp_path, partitions=2)


async def test_a_change_is_read_back_and_its_history_too(settings: Settings):
    first = await change(settings, puts(entry("+8613800000001"), entry("+8613800000002", reason="x")))
    second = await change(settings, puts(Put(LISTS.name, "entry/block/+8613800000001", None)))
    state = await read_state(settings)
    assert list(state.entries) == ["block/+8613800000002"]
    assert (first.serial, second.serial, state.serial) == (1, 2, 2)
    links = await history(settings)
    assert [link.written.change.serial for link in links] == [1, 1, 2]
    before = state_at(links, links[1].timestamp, settings)
    assert sorted(before.entries) == ["block/+8613800000001", "block/+8613800000002"]
    assert state_at(links, links[0].timestamp - 1, settings).entries == {}


async def test_what_is_large_comes_back_byte_by_byte(settings: Settings):
    data = table(NUMBERS)
    assert len(data) > 1 << 20
    await change(settings, feed("operator-b", data, len(NUMBERS)))
    content = (await read_state(settings)).feeds["operator-b"].value.content
    assert content.parts >= 1
    topic = settings.named(CONTENTS).name
    assert await contents.fetch(settings.kafka, topic, content) == data
    found = await Library(settings).table(content)
    assert len(found) == len(NUMBERS)
    wrong = msgspec.structs.replace(content, digest="0" * 64)
    with pytest.raises(contents.ContentError, match="damaged"):
        contents.unpack(wrong, [b"x"], "here")


async def test_changes_at_the_same_time_are_made_one_after_the_other(settings: Settings):
    numbers = [f"+861390000{n:04d}" for n in range(6)]
    receipts = await asyncio.gather(*(change(settings, puts(entry(number))) for number in numbers))
    assert sorted(receipt.serial for receipt in receipts) == [1, 2, 3, 4, 5, 6]
    state = await read_state(settings)
    assert sorted(state.entries) == sorted(f"block/{number}" for number in numbers)
    assert len(await history(settings)) == 6


async def test_who_dies_in_the_middle_leaves_nothing_and_blocks_nobody(settings: Settings):
    async def plan(_: State, store: Store) -> Sequence[Put]:
        await store.put(table(NUMBERS[:1000]), count=1000, serial="1", made=0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change(settings, plan)
    assert (await change(settings, puts(entry("+8613800000001")))).serial == 1
    async with Tail(settings.kafka, {settings.named(CONTENTS).name: 0}) as tail:
        assert await tail.to_end() == []


async def test_nothing_to_do_writes_nothing(settings: Settings):
    assert (await change(settings, puts())).serial == 0
    assert await history(settings) == []


async def test_the_chain_tells_what_was_slipped_in(settings: Settings):
    await change(settings, puts(entry("+8613800000001")))
    await change(settings, puts(entry("+8613800000002")))
    topic = settings.named(CHANGES).name
    (first, _) = await chain.read_all(settings.kafka, topic)
    await publish(settings.bootstrap, topic, [(first.key, first.value, first.headers)])
    broken = [each for each in chain.verify(await chain.read_all(settings.kafka, topic)) if isinstance(each, Broken)]
    assert len(broken) == 1
    with pytest.raises(HistoryError, match="changes verify"):
        await history(settings)


async def test_an_altered_value_breaks_the_chain(settings: Settings):
    await change(settings, puts(entry("+8613800000001"), entry("+8613800000002")))
    records = await chain.read_all(settings.kafka, settings.named(CHANGES).name)
    records[0].value = records[0].value.replace(b"150", b"151")
    assert isinstance(next(iter(chain.verify(records))), Broken)


async def test_times_of_a_key_only_rise(settings: Settings):
    class Slow:
        """A clock an hour behind."""

        def wall_ms(self) -> int:
            return 1_000

        def monotonic(self) -> float:
            return 0.0

    await change(settings, puts(entry("+8613800000001", reason="first")))
    await make_change(
        settings,
        author=Author("other"),
        action="t",
        target="t",
        reason="r",
        plan=puts(entry("+8613800000001", reason="second")),
        clock=Slow(),
    )
    held = (await read_state(settings)).entries["block/+8613800000001"]
    assert (held.value.reason, held.change.author) == ("second", "other")


async def test_what_compaction_took_with_a_refused_record_is_on_the_chain(settings: Settings):
    await change(settings, puts(entry("+8613800000001"), entry("+8613800000002")))
    key = b"entry/block/+8613800000001"
    await publish(settings.bootstrap, settings.named(LISTS).name, [(key, b"{", ()), (key, b"{}", ())])
    after = State()  # as a worker has it that starts after compaction: of that key only the last record is left
    await heal(settings, after, {key.decode()}, None)
    assert list(after.entries) == ["block/+8613800000001"]
    assert sorted((await read_state(settings)).entries) == ["block/+8613800000001", "block/+8613800000002"]


async def test_what_somebody_puts_on_the_chain_stops_nobody(settings: Settings):
    topic = settings.named(CHANGES).name
    await read_state(settings)
    forged = [
        ("topic", b"proposals"),
        ("change", b'{"serial":1,"author":"x","action":"x","target":"x","reason":"x","time":1}'),
    ]
    await publish(settings.bootstrap, topic, [(b"x", b"x", ()), (b"proposed/1", b"{}", forged), (b"y", None, forged)])
    receipt = await change(settings, puts(entry("+8613800000001")))
    await publish(settings.bootstrap, topic, [(b"x", b"x", ())])
    again = await change(settings, puts(entry("+8613800000002")))
    assert again.serial == receipt.serial + 1
    assert Proposal.waiting(await chain.read_all(settings.kafka, topic)) == []
    broken = [each for each in chain.verify(await chain.read_all(settings.kafka, topic)) if isinstance(each, Broken)]
    assert len(broken) >= 2
