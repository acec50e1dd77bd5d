"""Rules over windows, new numbers and victims; expected values worked out by hand."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.behaviour import Novelty, Recent, VictimWatch
from detectors.behaviour.novelty import DAY_MS
from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.model.decision import ACTIONS
from detectors.model.events import CallEvent, CardEvent, SmsEvent
from detectors.rulepack import load_rules
from tests.support.events import T0

SNAPSHOT = Snapshot.build(load_rules(), NumberIndex())
LOGS = Path(__file__).parents[3] / "shared" / "data" / "call_logs"
A = "13800000001"
START = T0 // 300_000 * 300_000


def callee(i):
    return f"139{i * 7_919_317 % 10**8:08}"


def calls(count, *, step=2_000, numbers=callee, **ended):
    """``count`` attempts, one each ``step`` ms; with ``ended``, each ends at once."""
    found = []
    for i in range(count):
        common = {"time": START + i * step, "a_number": A, "b_number": numbers(i)}
        found.append(CallEvent(id=f"a{i}", **common))
        if ended:
            found.append(CallEvent(id=f"e{i}", phase="ended", **common, **ended))
    return found


def fired(events):
    engine = Engine(SNAPSHOT)
    return {reason.code for decision in engine.decide(events) for reason in decision.reasons}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (calls(39, numbers=lambda _: "13911112222"), set()),
        (calls(40, numbers=lambda _: "13911112222"), {"CALL_BURST"}),
        (calls(24, ring_ms=20_000, talk_ms=60_000), set()),
        (calls(24, ring_ms=20_000), {"CALL_LOW_ANSWER"}),
        (calls(24), set()),  # the feed says nothing about answers
        (calls(13, ring_ms=9_000, talk_ms=5_000), {"CALL_SHORT"}),
        (calls(8, ring_ms=9_000, talk_ms=1_500), {"CALL_SILENT"}),
        (calls(14, ring_ms=3_000), {"CALL_ONE_RING"}),
        (calls(14, ring_ms=8_000), set()),
        (calls(9, numbers=lambda i: f"1390000{i * 3:04}"), {"CALL_SEQUENTIAL"}),
        (calls(9, numbers=lambda i: f"1390000{i * 30:04}"), set()),
        ([e for i in range(8) for e in (CallEvent(id=f"a{i}", time=START, a_number=A, b_number=callee(i)),
          SmsEvent(id=f"s{i}", time=START, a_number=A, b_number=callee(i), text=""))], {"VOICE_THEN_SMS"}),
        ([SmsEvent(id=f"s{i}", time=START, a_number=A, b_number="13911112222", text="") for i in range(40)],
         {"SMS_BURST"}),
        ([SmsEvent(id=f"s{i}", time=START, a_number="106912345", b_number=callee(i), text="") for i in range(90)],
         set()),
        ([CallEvent(id=f"c{i}", time=START + i, a_number=A, b_number="13911112222", imei_hash=str(i))
          for i in range(3)], {"IMEI_CHANGE"}),
        ([CallEvent(id=f"c{i}", time=START + i, a_number=A, b_number="13911112222", visited_plmn=p)
          for i, p in enumerate(["46000", "45606", "46000"])], {"REGION_CHANGE"}),
    ],
)  # fmt: skip
def test_what_a_rule_fires_on(events, expected):
    assert fired(events) == expected


def test_a_woken_card_that_starts_with_mass_calls():
    woke = CardEvent(id="w", time=START - DAY_MS, a_number=A, phase="woke")
    assert "WOKEN_BURST" in fired([woke, *calls(16)])
    assert "WOKEN_BURST" not in fired(calls(16))


def test_a_number_never_heard_of_is_new_only_once_there_has_been_a_day_to_learn():
    history = [CallEvent(id="h", time=START - 2 * DAY_MS + 1, a_number="13700000000", b_number="13911112222")]
    history += [CallEvent(id="i", time=START - DAY_MS, a_number="13700000000", b_number="13911112222")]
    assert "NEW_NUMBER_BURST" in fired([*history, *calls(20)])
    assert "NEW_NUMBER_BURST" not in fired(calls(20))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, DAY_MS)), min_size=1, max_size=60))
def test_new_numbers_equal_those_of_all_events_kept(log):
    novelty, first, time, began = Novelty(span_ms=10**15, fresh_ms=DAY_MS), {}, T0, None
    for n, step in log:
        time += step
        began = time if began is None else began
        novelty.heard(f"+86{n}", time)
        since = first.setdefault(n, time)
        assert novelty.is_new(f"+86{n}", time) == (since - began >= DAY_MS and time - since < DAY_MS)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, DAY_MS // 3)), max_size=40))
def test_victims_equal_those_of_all_contacts_kept(log):
    watch, contacts, time = VictimWatch(), {}, T0
    for victim, caller, step in log:
        time += step
        watch.note(f"+86{victim}", f"+4{caller}", time)
        contacts.setdefault(victim, {})[caller] = time
        lately = {c for c, at in contacts[victim].items() if time - at < DAY_MS}
        assert watch.risky_callers(f"+86{victim}", time) == len(lately)
        for other in range(6):
            assert watch.was_contacted_by(f"+86{victim}", f"+4{other}", time) == (other in lately)


def test_victims_are_bounded():
    watch = VictimWatch(max_callees=50)
    for n in range(1_000):
        watch.note(f"+86{n}", "+41", T0)
        assert len(watch) <= 100


FRAUD = (
    "尊敬的建行客户：您的账户积分已满18000分，可兑换360元现金，请登录 http://ccb.example/jf 领取，逾期清零【建设银行】"
)


def sms(n, a, b, text=FRAUD):
    return SmsEvent(id=f"e{n}", time=T0 + n, a_number=a, b_number=b, text=text)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_victim_is_warned_at_the_next_contact_and_when_calling_back(size):
    victim, stranger = "13900000001", "13700000000"
    log = [
        sms(0, "13800000001", victim),
        sms(1, "13800000002", victim),
        sms(2, "13800000003", victim),
        CallEvent(id="back", time=T0 + 3, a_number=victim, b_number="13800000002"),
        CallEvent(id="friend", time=T0 + 4, a_number=stranger, b_number=victim),
    ]
    engine, decisions = Engine(SNAPSHOT), []
    for start in range(0, len(log), size):
        decisions += engine.decide(log[start : start + size])
    codes = [{r.code for r in d.reasons if r.code.startswith("VICTIM")} for d in decisions]
    assert codes == [set(), set(), {"VICTIM_CONTACTED"}, {"VICTIM_CALLS_BACK"}, set()]
    assert decisions[3].action == "warn"
    # Who calls a victim's number, or is called back by one, is not made risky by it.
    assert engine.decide([CallEvent(id="x", time=T0 + 5, a_number="13800000002", b_number=victim)])[0].action == "allow"


@pytest.mark.skipif(not LOGS.exists(), reason="needs the Copenhagen logs of ../shared/data")
def test_two_weeks_of_550_ordinary_people_raise_no_warning():
    log = []
    with (LOGS / "copenhagen_calls.csv").open() as file:
        for n, row in enumerate(csv.DictReader(file)):
            a, b = (f"1380000{int(row[x]):04}" for x in ("from", "to"))
            time, talk = T0 + int(row["timestamp"]) * 1000, max(0, int(row["duration"])) * 1000
            log.append(CallEvent(id=f"c{n}", time=time, a_number=a, b_number=b))
            log.append(CallEvent(id=f"d{n}", time=time + talk + 8_000, a_number=a, b_number=b, phase="ended",
                                 ring_ms=8_000, talk_ms=talk or None))  # fmt: skip
    with (LOGS / "copenhagen_sms.csv").open() as file:
        for n, row in enumerate(csv.DictReader(file)):
            a, b = (f"1380000{int(row[x]):04}" for x in ("from", "to"))
            log.append(SmsEvent(id=f"s{n}", time=T0 + int(row["timestamp"]) * 1000, a_number=a, b_number=b, text=""))
    log.sort(key=lambda event: event.time)
    decisions = Engine(SNAPSHOT).decide(log)
    assert len(decisions) > 16_000
    warned = Counter(r.code for d in decisions if ACTIONS[d.action] >= ACTIONS["warn"] for r in d.reasons)
    assert not warned


@given(st.lists(st.sampled_from([f"e{i}" for i in range(12)]), max_size=60), st.integers(1, 7))
def test_repeated_events_are_those_among_the_newest(ids, chunk):
    """Against a model that keeps all: surely found are the last 3, surely not found what is 6 or more new ids ago."""
    recent, new = Recent(size=3), []
    found = []
    for at in range(0, len(ids), chunk):
        part = ids[at : at + chunk]
        repeated = recent.repeated(part)
        found += [i in repeated for i in range(len(part))]
    for name, came_before in zip(ids, found, strict=True):
        age = new[::-1].index(name) if name in new else 99
        assert came_before or age >= 3
        assert not came_before or age < 6
        if not came_before:
            new.append(name)
    one_by_one = Recent(size=3)
    assert [bool(one_by_one.repeated([name])) for name in ids] == found
    assert one_by_one.duplicates == recent.duplicates == sum(found)


def test_an_event_that_comes_again_is_decided_but_not_counted():
    events = calls(39, numbers=lambda _: "13911112222")
    engine = Engine(SNAPSHOT)
    again = [engine.decide(events), engine.decide(events), engine.decide(events[:1] * 9)]
    assert {d.action for decisions in again for d in decisions} == {"allow"}
    assert [len(decisions) for decisions in again] == [39, 39, 9]
    assert engine.duplicate_events == 48
    (last,) = engine.decide(calls(40, numbers=lambda _: "13911112222")[-1:])
    assert "CALL_BURST" in {reason.code for reason in last.reasons}


def test_whoever_dials_without_end_stays_found():
    engine = Engine(SNAPSHOT)
    decided = engine.decide(calls(2_500, step=20, numbers=callee))
    assert {d.action for d in decided[300:]} == {"challenge"}


def test_a_repeated_event_is_judged_as_it_was():
    engine = Engine(SNAPSHOT)
    first = engine.decide(calls(300, step=200))
    again = engine.decide(calls(300, step=200)[-1:])
    assert first[-1].action == again[0].action == "challenge"
    assert {reason.code for reason in again[0].reasons} == {"CALL_BURST", "CALL_FANOUT"}


def test_a_batch_that_failed_can_be_decided_again_one_by_one():
    class Fails:
        counts = True

        def inspect(self, batch):
            raise ZeroDivisionError

    events, engine = calls(300, step=200), Engine(SNAPSHOT)
    shard = engine._shard(0)
    working, shard.detectors = shard.detectors, (Fails(), *shard.detectors)
    with pytest.raises(ZeroDivisionError):
        engine.decide(events)
    shard.detectors = working
    assert [d for event in events for d in engine.decide([event])] == Engine(SNAPSHOT).decide(events)
    assert engine.duplicate_events == 0
