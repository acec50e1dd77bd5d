"""What a record must be to be taken, and what stays when it is not."""

from __future__ import annotations

import msgspec
import pytest

from detectors.rollout import Cap
from stream.topics import LISTS, RULES
from stream.updates.brakes import demotion
from stream.updates.build import rollout_of
from stream.updates.records import (
    BrakeRecord,
    Change,
    Content,
    EntryRecord,
    FeedRecord,
    RecordError,
    StageRecord,
    Written,
    decode,
    decode_change,
    encode,
    signed_bytes,
)
from stream.updates.state import State

CONTENT = Content("0" * 64, 0, 1, 10, 1, "1", 0)
FEED = FeedRecord(CONTENT, "enforce", cap=Cap(per_minute=10))


def change(time: int = 1, author: str = "zhang", serial: int = 1) -> Change:
    return Change(serial, author, "test", "t", "a test", time)


def written(topic: str, key: str, value: object | None, by: Change | None = None) -> Written:
    return Written(topic, key, None if value is None else encode(value), by or change())


def test_the_newest_record_of_a_key_counts_and_null_takes_it_back():
    state = State()
    state.apply(written(LISTS.name, "entry/block/1", EntryRecord("1", "block", reason="first")))
    state.apply(written(LISTS.name, "entry/block/1", EntryRecord("1", "block", reason="second"), change(2, serial=2)))
    assert state.entries["block/1"].value.reason == "second"
    state.apply(written(LISTS.name, "entry/block/1", None, change(3, serial=3)))
    assert (state.entries, state.serial, state.changed("entry/block/1")) == ({}, 3, 3)


@pytest.mark.parametrize("after_null", [False, True])
def test_an_old_record_rightly_signed_once_does_not_come_back(after_null: bool):
    state = State()
    state.apply(written(LISTS.name, "entry/allow/1", EntryRecord("1", "allow"), change(5)))
    last = None if after_null else EntryRecord("1", "allow", reason="newer")
    state.apply(written(LISTS.name, "entry/allow/1", last, change(9)))
    with pytest.raises(RecordError, match="older") as caught:
        state.apply(written(LISTS.name, "entry/allow/1", EntryRecord("1", "allow"), change(5)))
    assert caught.value.code == "outdated"


def test_states_made_of_the_records_of_one_another_are_equal():
    state, again = State(), State()
    state.apply(written(LISTS.name, "feed/b", FEED))
    state.apply(written(LISTS.name, "entry/grey/2", EntryRecord("2", "grey")))
    state.apply(written(LISTS.name, "entry/grey/2", None, change(7)))
    state.apply(written(RULES.name, "stage/TEXT_X/3", StageRecord("canary", 0.1)))
    for record in state.records():
        again.apply(record)
    again.restore(state.taken_back)
    assert (again.feeds, again.entries, again.stages) == (state.feeds, state.entries, state.stages)
    assert list(state.stages) == [("TEXT_X", "3")]
    assert again.changed("entry/grey/2") == 7


@pytest.mark.parametrize(
    ("topic", "key", "value", "code"),
    [
        (LISTS.name, "feed/b", b"{", "malformed"),
        (LISTS.name, "feed/b", b"\xff", "malformed"),
        (LISTS.name, "feed/b", b'{"stage":"enforce"}', "invalid_field"),
        (LISTS.name, "entry/block/1", b'{"number":"1","list":"black"}', "invalid_field"),
        (LISTS.name, "entry/block/1", b'{"number":"1","list":"block","colour":"scarlet"}', "invalid_field"),
        (LISTS.name, "stage/TEXT_X/1", b'{"stage":"shadow"}', "unknown_key"),  # the other topic's
        (RULES.name, "stage/TEXT_X/1", b'{"stage":"off"}', "invalid_field"),
        (RULES.name, "stage/TEXT_X/1", b'{"stage":"canary","share":2}', "invalid_field"),
        (RULES.name, "whatever", b"{}", "unknown_key"),
        (RULES.name, "", b"{}", "unknown_key"),
    ],
)
def test_what_cannot_be_used_changes_nothing(topic: str, key: str, value: bytes, code: str):
    state = State()
    state.apply(written(LISTS.name, "feed/b", FEED))
    state.apply(written(LISTS.name, "entry/block/1", EntryRecord("1", "block")))
    state.apply(written(RULES.name, "stage/TEXT_X/1", StageRecord("shadow")))
    before = list(state.records())
    with pytest.raises(RecordError) as caught:
        state.apply(Written(topic, key, value, change(9)))
    assert caught.value.code == code
    assert "black" not in str(caught.value)
    assert "scarlet" not in str(caught.value)
    assert list(state.records()) == before


def test_what_is_not_trusted_changes_nothing():
    def nobody(_: Written) -> None:
        raise RecordError("untrusted", "no")

    state = State(nobody)
    with pytest.raises(RecordError):
        state.apply(written(LISTS.name, "feed/b", FEED))
    assert state.feeds == {}


def test_the_brake_may_demote_and_nothing_else():
    state = State()
    capped = StageRecord("enforce", cap=Cap(per_minute=5))
    state.apply(written(LISTS.name, "feed/b", FEED))
    state.apply(written(RULES.name, "stage/TEXT_X/1", capped))
    state.apply(written(RULES.name, "stage/TEXT_Y/1", StageRecord("enforce")))
    brake, why = change(9, author="brake", serial=9), BrakeRecord("ran away")
    refused = [
        written(LISTS.name, "feed/b", None, brake),
        written(LISTS.name, "feed/b", msgspec.structs.replace(FEED, stage="shadow"), brake),
        written(LISTS.name, "entry/allow/1", EntryRecord("1", "allow"), brake),
        written(RULES.name, "stage/TEXT_X/1", StageRecord("shadow", cap=Cap(per_minute=5)), brake),
        written(RULES.name, "stage/TEXT_X/1", None, brake),
        written(RULES.name, "brake/LIST_ALLOW/-", why, brake),
        written(RULES.name, "stage/LIST_ALLOW/-", StageRecord("shadow")),
        written(RULES.name, "brake/TEXT_X/1", why, change(9, author="zhang", serial=9)),
    ]
    for record in refused:
        with pytest.raises(RecordError, match=r"brake|LIST_ALLOW"):
            state.apply(record)
    state.apply(written(LISTS.name, "brake/b", why, brake))
    for key in ("brake/TEXT_X/1", "brake/TEXT_Y/1", "brake/TEXT_Z/1"):
        state.apply(written(RULES.name, key, why, brake))
    assert state.feeds["b"].value.stage == "shadow"
    assert state.feeds["b"].change.author == "brake"
    stages = {rule: held.value.stage for (rule, _), held in state.stages.items()}
    assert stages == {"TEXT_X": "shadow", "TEXT_Y": "enforce"}  # what has no cap cannot have run away
    state.apply(written(RULES.name, "stage/TEXT_X/1", capped, change(10, serial=10)))
    assert state.stages["TEXT_X", "1"].value == capped


@pytest.mark.parametrize(
    ("topic", "key"),
    [
        (LISTS.name, "feed/+8613900001111"),
        (LISTS.name, "feed/"),
        (LISTS.name, "check/a b"),
        (RULES.name, "pack/x"),
        (RULES.name, "stage"),
        (RULES.name, "stage/TEXT_X"),
        (RULES.name, "stage/13900001111/1"),
        (RULES.name, "appeals/feed:"),
        ("foo", "pack"),
    ],
)
def test_a_key_is_a_name_and_never_a_number(topic: str, key: str):
    with pytest.raises(RecordError) as caught:
        State().apply(Written(topic, key, None, change()))
    assert caught.value.code == "unknown_key"


@pytest.mark.parametrize("number", [10**400, -1, 1 << 60])
def test_numbers_are_such_as_every_reader_can_hold(number: int):
    with pytest.raises(RecordError):
        State().apply(Written(LISTS.name, "check/b", b'{"time":%d}' % number, change()))
    with pytest.raises(RecordError):
        decode_change(b'{"serial":%d,"author":"x","action":"x","target":"x","reason":"x","time":1}' % number)


def test_a_signature_is_over_all_that_is_said_but_the_serial():
    record = written(LISTS.name, "entry/block/1", EntryRecord("1", "block"))
    said = signed_bytes(record.topic, record.key, record.value, record.change)
    assert said == signed_bytes(record.topic, record.key, record.value, change(serial=99))
    others = [
        (RULES.name, record.key, record.value, record.change),
        (record.topic, "entry/block/2", record.value, record.change),
        (record.topic, record.key, encode(EntryRecord("2", "block")), record.change),
        (record.topic, record.key, None, record.change),
        (record.topic, record.key, record.value, change(time=2)),
        (record.topic, record.key, record.value, change(author="li")),
    ]
    assert len({said, *(signed_bytes(*other) for other in others)}) == 1 + len(others)


def test_the_header_must_be_there():
    with pytest.raises(RecordError, match="missing") as caught:
        decode_change(None)
    assert caught.value.code == "untrusted"
    with pytest.raises(RecordError):
        decode_change(b'{"serial":"x"}')
    with pytest.raises(RecordError):
        decode("nothing/x", b"{}")


def test_new_content_of_a_feed_does_not_lift_what_the_brake_did():
    state = State()
    state.apply(written(LISTS.name, "feed/b", FEED, change(1, serial=4)))
    renewed = msgspec.structs.replace(FEED, content=msgspec.structs.replace(CONTENT, serial="2"))
    state.apply(written(LISTS.name, "feed/b", renewed, change(2, serial=5)))
    assert state.staged_since("b") == 4
    assert rollout_of(state).feeds["b"].serial == 4
    (put,) = demotion(state, "feed:b", 4, "ran away")
    state.apply(written(put.topic, put.key, put.value, change(3, author="brake", serial=6)))
    assert rollout_of(state).feeds["b"].mode == "shadow"
    assert demotion(state, "feed:b", 4, "ran away") == []
    state.apply(written(LISTS.name, "feed/b", renewed, change(4, serial=7)))  # a person promotes it
    assert rollout_of(state).feeds["b"].mode == "enforce"
    assert state.staged_since("b") == 7


def test_a_stage_that_a_person_set_after_a_rule_ran_away_stands():
    state, capped = State(), StageRecord("enforce", cap=Cap(per_minute=5))
    state.apply(written(RULES.name, "stage/TEXT_X/1", capped, change(1, serial=4)))
    assert [put.key for put in demotion(state, "TEXT_X", 4, "ran away")] == ["brake/TEXT_X/1"]
    state.apply(
        written(RULES.name, "stage/TEXT_X/1", StageRecord("canary", 0.1, Cap(per_minute=5)), change(2, serial=5))
    )
    assert demotion(state, "TEXT_X", 4, "ran away") == []
