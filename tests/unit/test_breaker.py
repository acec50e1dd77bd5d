"""When a detector is left alone and when it is tried again, by a clock that is moved by hand."""

import logging
import re

import pytest
from prometheus_client import CollectorRegistry

from detectors.engine import Engine
from detectors.judge import PROTECTION
from detectors.lists import Entry, ListKind, NumberIndex
from detectors.lists.entry import Provenance
from detectors.lists.protected import Protected
from detectors.registry import NAMES
from stream.breaker import OFF_SECONDS, RAISED_IN_A_ROW, SLOW_IN_A_ROW, Breakers
from stream.metrics import Metrics
from tests.support.events import T0
from tests.support.faults import FaultError, Time, failing
from tests.support.trials import call, sms, snapshot

LISTED = "13800000001"


class World:
    """Breakers, their clock and their metrics."""

    def __init__(self):
        self.registry, self.clock = CollectorRegistry(), Time()
        self.breakers = Breakers(self.clock, Metrics(self.registry))

    def value(self, name, **labels):
        return self.registry.get_sample_value(name, labels)

    def is_off(self, name="keywords"):
        return self.value("lanjie_detector_off", detector=name) == 1

    def takes(self, seconds, events=1, name="keywords"):
        if self.breakers.lets(name):
            self.clock.now += seconds
            self.breakers.went_well(name, events)
            return True
        return False

    def raises(self, *, came_through=False, name="keywords"):
        if self.breakers.lets(name):
            self.breakers.raised(name, FaultError("13900001111"), came_through=came_through)
            return True
        return False


@pytest.fixture
def world():
    return World()


def test_all_are_on_at_first(world):
    assert {name: world.value("lanjie_detector_off", detector=name) for name in NAMES} == dict.fromkeys(NAMES, 0)
    assert all(world.breakers.lets(name) for name in NAMES)


def test_it_is_off_after_so_many_batches_in_a_row_and_others_are_not(world):
    for _ in range(RAISED_IN_A_ROW - 1):
        assert world.raises()
    assert not world.is_off()
    assert world.raises()
    assert world.is_off()
    assert not world.raises()
    assert world.breakers.lets("lists")
    assert world.value("lanjie_detector_failures_total", detector="keywords", kind="raised") == RAISED_IN_A_ROW


@pytest.mark.parametrize("relief", ["well", "came through"])
def test_one_success_ends_the_row(world, relief):
    for _ in range(50):
        for _ in range(RAISED_IN_A_ROW - 1):
            assert world.raises()
        assert world.takes(0.001) if relief == "well" else world.raises(came_through=True)
    assert not world.is_off()


def test_poison_among_others_never_turns_it_off(world):
    for _ in range(10 * RAISED_IN_A_ROW):
        assert world.raises(came_through=True)
    assert not world.is_off()


def test_it_is_tried_after_a_while_and_on_again_if_that_goes_well(world):
    for _ in range(RAISED_IN_A_ROW):
        world.raises()
    world.clock.now += OFF_SECONDS - 0.001
    assert not world.breakers.lets("keywords")
    world.clock.now += 0.001
    assert world.raises()  # as badly as before
    assert not world.breakers.lets("keywords")
    world.clock.now += OFF_SECONDS
    assert world.takes(0.001)
    assert not world.is_off()
    for _ in range(RAISED_IN_A_ROW - 1):  # the row begins anew
        assert world.raises()
    assert not world.is_off()


@pytest.mark.parametrize(
    ("seconds", "events", "is_slow"),
    [
        (0.050, 1, False),
        (0.0501, 1, True),
        (0.0501, 50, True),
        (0.0501, 51, False),
        (0.5, 500, False),
        (0.6, 500, True),
    ],
)
def test_what_is_slow(world, seconds, events, is_slow):
    world.clock.now = 0.0  # so that sums of seconds are exact
    for _ in range(SLOW_IN_A_ROW):
        world.clock.now = 0.0
        world.takes(seconds, events)
    assert world.is_off() is is_slow
    slow = world.value("lanjie_detector_failures_total", detector="keywords", kind="slow") or 0
    assert slow == SLOW_IN_A_ROW * is_slow


def test_one_quick_batch_ends_the_row_of_slow_ones_and_a_slow_trial_fails(world):
    for _ in range(20):
        for _ in range(SLOW_IN_A_ROW - 1):
            world.takes(1.0)
        world.takes(0.001)
    assert not world.is_off()
    for _ in range(SLOW_IN_A_ROW):
        world.takes(1.0)
    assert world.is_off()
    world.clock.now += OFF_SECONDS
    assert world.takes(1.0)
    assert world.is_off()
    world.clock.now += OFF_SECONDS
    assert world.takes(0.001)
    assert not world.is_off()


def test_each_transition_is_logged_once_without_what_the_exception_says(world, caplog):
    with caplog.at_level(logging.WARNING, logger="stream.breaker"):
        for _ in range(RAISED_IN_A_ROW):
            world.raises()
        world.clock.now += OFF_SECONDS
        world.raises()
        world.clock.now += OFF_SECONDS
        world.takes(0.001)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert re.match(r"detector keywords raised FaultError at \S+; decisions are made without it", said[0])
    assert said[1].startswith("detector keywords is off and is tried again every 30 s: it raised FaultError at")
    assert said[2] == "detector keywords is on again"
    assert not any("13900001111" in line for line in said)


def guarded(world, **more):
    lists = NumberIndex([Entry(f"+86{LISTED}", Provenance(ListKind.BLOCK, "s", weight=150.0))])
    return Engine(snapshot(numbers=lists), guard=world.breakers, **more)


def test_a_poison_message_in_every_batch_costs_itself_only(world):
    with failing(lambda name, batch: name == "keywords" and any(e.text == "poison" for _, e, _ in batch.sms)):
        engine = guarded(world)
        for n in range(3 * RAISED_IN_A_ROW):
            events = [
                sms("13700000001", "13700000002", "poison", 2 * n),
                sms("13700000003", "13700000004", "贷款秒批", 2 * n + 1),
            ]
            poison, other = engine.decide(events)
            assert (poison.action, poison.degraded) == ("allow", ("keywords",))
            assert (other.degraded, "TEXT_LOAN" in {r.code for r in other.reasons}) == ((), True)
    assert not world.is_off()


def test_a_detector_that_always_raises_is_off_for_what_it_sees_and_only_for_that(world):
    asked = []

    def raises(name, batch):
        asked.append(name)
        return name == "keywords"

    with failing(raises):
        engine = guarded(world)
        for n in range(RAISED_IN_A_ROW + 5):
            # Calls between the messages tell nothing about who sees only messages.
            (called,) = engine.decide([call(LISTED, "13700000002", 2 * n)])
            (written,) = engine.decide([sms(LISTED, "13700000002", "贷款秒批", 2 * n + 1)])
            assert (called.action, called.degraded) == ("block", ())
            assert (written.action, written.degraded) == ("block", ("keywords",))
    assert world.is_off()
    assert asked.count("keywords") == RAISED_IN_A_ROW


def test_a_protection_that_raises_lets_pass_and_is_asked_again_always(world, monkeypatch):
    def broken(*_):
        raise FaultError

    engine = guarded(world, on_fault={})
    with monkeypatch.context() as patched:
        patched.setattr(Protected, "touches", broken)
        for n in range(2 * RAISED_IN_A_ROW):
            (decision,) = engine.decide([call(LISTED, "110", n)])
            assert (decision.action, decision.degraded, decision.time) == ("allow", (PROTECTION,), T0 + n)
    assert world.value("lanjie_detector_failures_total", detector=PROTECTION, kind="raised") == 2 * RAISED_IN_A_ROW
    assert [d.action for d in engine.decide([call(LISTED, "110", 98), call(LISTED, "13700000002", 99)])] == [
        "allow",
        "block",
    ]
