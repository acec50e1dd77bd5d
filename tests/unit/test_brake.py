"""What the brake stops in an engine, by hand."""

from __future__ import annotations

import pytest

from detectors.brake import Brake, Trip
from detectors.engine import Engine
from detectors.lists import ListKind
from detectors.rollout import Cap, Rollout, Stage
from tests.support.events import T0
from tests.support.trials import (
    AUTOMATON,
    AUTOMATON_BEFORE,
    call,
    decide,
    engine,
    index,
    layer,
    listed,
    sms,
    snapshot,
)

B = "13900000000"
BANK, LOAN, BOTH = "工商银行积分", "贷款秒批", "工商银行积分 贷款秒批"
MANY = [f"138{n:08}" for n in range(40)]


def capped(per_minute: int, serial: int = 5, mode: str = "enforce") -> Stage:
    return Stage(mode, 1.0 if mode == "canary" else 0.0, cap=Cap(per_minute), serial=serial)


def everybody(feed: str, kind: ListKind = ListKind.BLOCK, *, staged: bool = False):
    return layer([listed(f"+86{a}", kind, source=feed) for a in MANY], feed, staged=staged)


def touched(decisions) -> int:
    return sum(d.action != "allow" for d in decisions)


def texts(text=BANK, at=0, count=40):
    """From each of many to another: nobody is a victim."""
    return [sms(a, f"139{n:08}", text, at + n) for n, a in enumerate(MANY[:count])]


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("part", [1.0, 0.5, 0.25, 0.01])
@pytest.mark.parametrize(
    ("stages", "text", "names"),
    [
        ({"rules": {"TEXT_BANK": capped(10)}}, BANK, ["TEXT_BANK"]),
        ({"rules": {"TEXT_BANK": capped(10, mode="canary")}}, BANK, ["TEXT_BANK"]),
        ({"rules": {"TEXT_BANK": capped(10), "TEXT_LOAN": capped(10)}}, BOTH, ["TEXT_BANK", "TEXT_LOAN"]),
        ({"rules": {"CONTENT_MESSENGER": capped(10)}}, "加微信 loan8888888", ["CONTENT_MESSENGER"]),
        ({"rules": {"LIST_BLOCK": capped(10)}}, "", ["LIST_BLOCK"]),  # of feeds that have no cap
        ({"feeds": {"a": capped(10), "b": Stage("shadow")}}, "", ["feed:a"]),
        ({"feeds": {"a": capped(10), "b": Stage("shadow")}, "rules": {"LIST_BLOCK": capped(10)}}, "",
         ["LIST_BLOCK", "feed:a"]),
    ],
)  # fmt: skip
def test_it_does_what_its_cap_allows_and_no_more(stages, text, names, part, size):
    lists_ = index(everybody("a"), everybody("b")) if not text else None
    deciding = engine(numbers=lists_, part=part, **stages)
    decisions = decide(deciding, texts(text), size)
    limit = max(1, int(10 * part))
    assert [d.action != "allow" for d in decisions] == [n < limit for n in range(len(MANY))]
    assert [trip.name for trip in deciding.trips] == names
    assert {(trip.serial, trip.time) for trip in deciding.trips} == {(5, T0 + limit)}
    assert all(d.shadow is not None for d in decisions[limit:])


def test_a_composite_that_runs_away_is_stopped_and_its_parts_go_on():
    """45 and 25 are a challenge; 45 and 30 a delay, as high as the composite's ceiling."""
    deciding = engine(rules={"COMP_TEXT_LINK": capped(3)})
    decisions = deciding.decide(texts("贷款秒批,微信 loan8888", count=5))
    assert [d.action for d in decisions] == ["delay"] * 3 + ["challenge"] * 2
    assert [d.shadow and d.shadow.action for d in decisions] == [None] * 3 + ["delay"] * 2
    assert [trip.name for trip in deciding.trips] == ["COMP_TEXT_LINK"]


def test_a_composite_is_not_to_blame_for_what_its_parts_do():
    """TEXT_BANK leads to a delay by itself."""
    deciding = engine(rules={"COMP_TEXT_LINK": capped(3)})
    decisions = deciding.decide(texts(f"{BOTH},微信 loan8888", count=5))
    assert {d.action for d in decisions} == {"delay"}
    assert all("COMP_TEXT_LINK" in {r.code for r in d.reasons} for d in decisions)
    assert deciding.trips == []


def test_a_composite_with_a_predecessor_is_stopped_once():
    """The old one needs a messenger: of a link it says nothing, and with one it leads as far as the new one."""
    deciding = engine(AUTOMATON_BEFORE, rules={"COMP_TEXT_LINK": capped(3)})
    link, messenger = "贷款秒批 t.cn/A6abcde", "贷款秒批,微信 loan8888"
    found = deciding.decide([*texts(link, count=5), *texts(messenger, at=9, count=5)])
    versions = [[r.version for r in d.reasons if r.code == "COMP_TEXT_LINK"] for d in found]
    assert versions == [["2"]] * 3 + [[]] * 2 + [["1"]] * 5
    assert [d.action for d in found] == ["delay"] * 3 + ["challenge"] * 2 + ["delay"] * 5
    assert len(deciding.trips) == 1


@pytest.mark.parametrize("size", [1, 1000])
def test_after_the_window_it_may_do_as_much_again(size):
    deciding = engine(rules={"TEXT_BANK": capped(10)})
    log = [*texts(count=10), *texts(at=60_000, count=10)]
    log = [sms(e.a_number, B, BANK, (e.time - T0) + 100 * (i >= 10)) for i, e in enumerate(log)]
    assert touched(decide(deciding, log, size)) == 20
    assert deciding.trips == []


def test_a_share_counts_once_there_are_enough_events():
    deciding = engine(rules={"TEXT_BANK": Stage("enforce", cap=Cap(share=0.02), serial=1)})
    quiet = [sms(a, B, "明天见", n) for n, a in enumerate(MANY * 25)]
    assert touched(deciding.decide([*texts(at=0, count=5), *quiet])) == 5
    decisions = deciding.decide(texts(at=1_000, count=40))  # 5 on 1,005 events; 21 on 1,021 are too many
    assert touched(decisions) == 15
    (trip,) = deciding.trips
    assert trip.reason == "21 measures on 1,021 events within 60 s; its cap is 2.00%"


def test_a_share_of_all_is_no_limit():
    """Also where the second in which the window begins is full of events."""
    brake = Brake({"a": Cap(share=1.0)})
    for n in range(10_000):
        brake.seen(1, T0 + n * 37)
        assert brake.take("a", T0 + n * 37) == ""


def test_the_reason_says_how_many_and_which_cap():
    deciding = engine(rules={"TEXT_BANK": capped(10)}, part=0.5)
    deciding.decide(texts())
    assert deciding.trips == [
        Trip(
            "TEXT_BANK", 5,
            "one more than 5 measures within 60 s; its cap is 10, 5 for this worker's part of the traffic", T0 + 5,
        )
    ]  # fmt: skip
    alone = engine(feeds={"a": capped(10)}, numbers=index(everybody("a")))
    alone.decide(texts("", count=11), now=T0 + 99)
    assert alone.trips == [Trip("feed:a", 5, "one more than 10 measures within 60 s; its cap is 10", T0 + 99)]


def test_a_measure_that_others_would_take_as_well_does_not_count():
    other = index(everybody("b"), layer([], "a"))
    deciding = engine(numbers=other, rules={"TEXT_BANK": capped(2)})
    assert touched(deciding.decide(texts())) == 40
    assert deciding.trips == []


@pytest.mark.parametrize(("feed", "source"), [("a", "b"), ("b", "a")])
def test_nor_does_one_that_another_feed_would_take_whichever_of_the_two_is_named(feed, source):
    deciding = engine(numbers=index(everybody("a"), everybody("b")), feeds={feed: capped(2)})
    assert {d.action for d in deciding.decide(texts(""))} == {"block"}
    assert deciding.trips == []
    assert source != feed


def test_nor_does_one_that_the_old_content_of_the_feed_would_take():
    old, new = layer([listed(f"+86{a}") for a in MANY[:30]], "a"), everybody("a", staged=True)
    deciding = engine(numbers=index(old, new), feeds={"a": capped(4)})
    decisions = deciding.decide(texts(""))
    assert [d.action for d in decisions] == ["block"] * 34 + ["allow"] * 6
    assert len(deciding.trips) == 1


def test_nor_does_one_that_the_rule_would_have_taken_as_it_was():
    """TEXT_LOAN 1 leads to a challenge, 2 to a warning: the new one is milder, and never to blame."""
    deciding = engine(AUTOMATON_BEFORE, rules={"TEXT_LOAN": capped(2)})
    assert {d.action for d in deciding.decide(texts(LOAN))} == {"warn"}
    assert deciding.trips == []


@pytest.mark.parametrize("mode", ["shadow", "canary"])
def test_what_the_predecessor_does_is_not_the_new_rules_fault(mode):
    stage = Stage(mode, 0.0, cap=Cap(1), serial=2)
    deciding = engine(AUTOMATON_BEFORE, rules={"TEXT_LOAN": stage})
    assert {d.action for d in deciding.decide(texts(LOAN))} == {"challenge"}
    assert deciding.trips == []


@pytest.mark.parametrize("mode", ["shadow", "canary"])
def test_nor_what_the_old_content_of_a_feed_does(mode):
    lists_ = index(everybody("a"), everybody("a", ListKind.GREY, staged=True))
    deciding = engine(numbers=lists_, feeds={"a": Stage(mode, 0.0, cap=Cap(1), serial=2)})
    assert {d.action for d in deciding.decide(texts(""))} == {"block"}
    assert deciding.trips == []


def test_nor_is_it_where_somebody_else_runs_away():
    """TEXT_LOAN 1 and the old content of a feed speak for it, too; theirs are caps of 1, but of what is in shadow."""
    shadow = Stage("shadow", cap=Cap(1), serial=2)
    deciding = engine(AUTOMATON_BEFORE, rules={"TEXT_LOAN": shadow, "TEXT_BANK": capped(3)})
    assert [d.score for d in deciding.decide(texts(BOTH, count=5))] == [90] * 3 + [60] * 2
    assert [trip.name for trip in deciding.trips] == ["TEXT_BANK"]
    lists_ = index(everybody("a", ListKind.GREY), everybody("a", staged=True))
    deciding = engine(numbers=lists_, rules={"TEXT_BANK": capped(3)}, feeds={"a": shadow})
    assert [d.score for d in deciding.decide(texts(BANK, count=5))] == [125] * 3 + [35] * 2
    assert [trip.name for trip in deciding.trips] == ["TEXT_BANK"]


def test_a_canary_that_is_stopped_leaves_its_predecessor_alone():
    """On those who are not in it the predecessor has acted all along, also with events of the same batch."""
    grey = index(layer([listed(f"+86{a}", ListKind.GREY, weight=17.0) for a in MANY]))
    half = Stage("canary", 0.5, cap=Cap(2), serial=2)
    deciding = engine(AUTOMATON_BEFORE, grey, rules={"CALL_ANY": half})
    tried = [half_acts(f"+86{a}") for a in MANY]
    first, second = MANY, MANY
    log = [call(a, f"139{n:08}", n) for n, a in enumerate([*first, *second])]
    decisions = deciding.decide(log)
    versions = [[r.version for r in d.reasons if r.code == "CALL_ANY"] for d in decisions]
    acting = [n for n, yes in enumerate(tried) if yes][:2]
    assert versions[:40] == [["4"] if n in acting else [] for n in range(40)]
    assert versions[40:] == [["2"]] * 40
    assert len(deciding.trips) == 1


def half_acts(subject: str) -> bool:
    return Rollout({"CALL_ANY": Stage("canary", 0.5)}).rule_acts("CALL_ANY", subject)


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_from_the_trip_on_the_predecessor_acts(size):
    """CALL_ANY 4 fires on a first call, 2 on a second one. With a grey number each leads to a warning."""
    grey = index(layer([listed(f"+86{a}", ListKind.GREY, weight=17.0) for a in MANY]))
    deciding = engine(AUTOMATON_BEFORE, grey, rules={"CALL_ANY": capped(1)})
    decisions = decide(deciding, [call(MANY[n % 2], f"139{n:08}", n) for n in range(4)], size)
    assert [[r.version for r in d.reasons if r.code == "CALL_ANY"] for d in decisions] == [["4"], [], ["2"], ["2"]]
    assert [trip.time - T0 for trip in deciding.trips] == [1]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_from_the_trip_on_the_old_content_of_a_feed_acts_and_what_the_new_hid(size):
    old, other = everybody("a", ListKind.GREY), layer([listed(f"+86{a}", ListKind.GREY) for a in MANY], "b")
    deciding = engine(numbers=index(old, everybody("a", staged=True), other), feeds={"a": capped(3)})
    decisions = decide(deciding, texts("", count=6), size)
    assert [(d.action, d.reasons[0].rule, d.reasons[0].version) for d in decisions] == [
        *[("block", "a", "new")] * 3,
        *[("label", "a", "old")] * 3,
    ]
    assert [d.shadow and d.shadow.action for d in decisions] == [None] * 3 + ["block"] * 3


@pytest.mark.parametrize("size", [1, 1000])
def test_one_that_stays_is_counted_once_though_another_was_stopped_with_the_same_event(size):
    deciding = engine(rules={"TEXT_BANK": capped(1), "TEXT_LOAN": capped(4)})
    decisions = decide(deciding, texts(BOTH, count=6), size)
    assert [d.action for d in decisions] == ["delay"] + ["warn"] * 3 + ["allow"] * 2
    assert [(trip.name, trip.time - T0) for trip in deciding.trips] == [("TEXT_BANK", 1), ("TEXT_LOAN", 4)]


@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_stopped_makes_no_victim(size):
    """Who was contacted twice is warned of a third suspicious contact: one whose only sign was stopped is none."""
    log = [
        sms(MANY[0], B, LOAN, 0),
        sms(MANY[1], B, LOAN, 1),
        *(sms(a, B, BANK, 2 + n) for n, a in enumerate(MANY[2:5])),
    ]
    deciding = engine(rules={"TEXT_BANK": capped(1)})
    codes = [{r.code for r in d.reasons} for d in decide(deciding, log, size)]
    assert codes == [{"TEXT_LOAN"}, {"TEXT_LOAN"}, {"TEXT_BANK", "VICTIM_CONTACTED"}, set(), set()]


def test_a_newer_stage_lifts_it_and_the_same_does_not():
    deciding = engine(rules={"TEXT_BANK": capped(3, serial=5)})
    assert touched(deciding.decide(texts())) == 3
    down = deciding.rules_version
    deciding.swap(snapshot(rules={"TEXT_BANK": capped(3, serial=5), "TEXT_LOAN": Stage("enforce")}))
    assert deciding.rules_version == down
    assert touched(deciding.decide(texts(at=100))) == 0
    deciding.swap(snapshot(rules={"TEXT_BANK": capped(3, serial=6)}))  # it counts anew
    assert touched(deciding.decide(texts(at=200))) == 3
    assert [trip.serial for trip in deciding.trips] == [5, 6]
    deciding.swap(snapshot(rules={"TEXT_BANK": Stage("shadow", cap=Cap(3), serial=7)}))  # what the brake writes
    assert deciding.rules_version == down
    deciding.swap(snapshot())  # the stage was taken back: a decision, too
    assert touched(deciding.decide(texts(at=300))) == 40


@pytest.mark.parametrize("serial", [0, 5])
def test_a_stage_that_is_taken_back_lifts_it(serial):
    deciding = engine(feeds={"a": capped(3, serial)}, numbers=index(everybody("a")))
    assert touched(deciding.decide(texts(""))) == 3
    deciding.swap(snapshot(numbers=index(everybody("a"))))
    assert touched(deciding.decide(texts("", at=100))) == 40


def test_who_adopts_another_engine_keeps_its_own_brake():
    deciding, other = engine(rules={"TEXT_BANK": capped(3)}), engine()
    deciding.decide(texts())
    deciding.adopt({0: other.memory()}, snapshot(rules={"TEXT_BANK": capped(3)}))
    assert touched(deciding.decide(texts(at=100))) == 0


def test_a_smaller_part_of_the_traffic_is_no_reason_to_stop():
    """A second worker joins: each has half of the traffic and of the cap from now on."""
    brake = Brake({"a": Cap(100)})
    for n in range(80):
        assert not brake.take("a", T0 + n * 700)
    brake.part = 0.5
    for n in range(80, 400):
        assert not brake.take("a", T0 + 80 * 700 + (n - 80) * 1_400)
    brake.part = 1.0
    for n in range(400, 450):
        assert not brake.take("a", T0 + 10_000_000 + n)


def test_who_has_no_partitions_for_a_moment_keeps_its_part():
    deciding = engine(rules={"TEXT_BANK": capped(10)})
    deciding.part = 0.5
    deciding.part = 0.0
    assert deciding.part == 0.5
    assert touched(deciding.decide(texts())) == 5


def test_a_part_of_a_cap_is_not_lost_to_rounding():
    for workers in range(1, 200):
        brake = Brake({"a": Cap(workers * 2)}, 1 / workers)
        assert [bool(brake.take("a", T0)) for _ in range(3)] == [False, False, True]


def test_without_caps_nothing_is_counted():
    deciding: Engine = engine(rules={"TEXT_BANK": Stage("canary", 0.5), "TEXT_LOAN": Stage("shadow")})
    deciding.decide(texts(BOTH))
    assert (deciding._judge.brake.caps, deciding._judge.brake._events, deciding.trips) == ({}, 0, [])
    assert Rollout({"TEXT_BANK": Stage("shadow")}).caps() == {}
    assert AUTOMATON.pack.version in deciding.rules_version
