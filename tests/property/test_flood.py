"""SMS bombing: messages of services by receiver, against a model that keeps all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.behaviour import Received
from detectors.behaviour.flood import FLOOD
from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.model.events import SmsEvent
from detectors.rulepack import load_rules
from tests.support.events import T0

SNAPSHOT = Snapshot.build(load_rules(), NumberIndex())
SPAN = 300_000
VICTIM = "13911112222"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4 * SPAN)), max_size=80))
def test_what_one_received_is_what_came_since_the_last_span_but_one(messages):
    received, seen, begins = Received(SPAN), [], []
    for receiver, after in sorted(messages, key=lambda each: each[1]):
        time = T0 + after
        if not begins or time - begins[-1] >= SPAN:
            begins.append(time)
        seen.append((receiver, time))
        # Of the span before this one, if that did not end a whole span ago.
        since = begins[-2] if len(begins) > 1 and begins[-1] - begins[-2] < 2 * SPAN else begins[-1]
        expected = sum(who == receiver and at >= since for who, at in seen)
        assert received.add(receiver, time) == expected == received.of(receiver)


def test_it_is_bounded_and_a_clock_that_was_ahead_does_no_harm():
    received = Received(SPAN, max_receivers=10)
    for n in range(1000):
        received.add(str(n), T0)
    assert len(received._young) + len(received._old) <= 20
    received.add("x", T0 + 1000 * SPAN)
    assert [received.add("y", T0 + n) for n in range(3)] == [1, 2, 3]


def sms(n, *, b=VICTIM, route="port", time=None, **more):
    common = {"id": f"s{n}", "time": T0 + n * 1_000 if time is None else time, "b_number": b, "route": route}
    return SmsEvent(a_number=f"1069{n:08}", text=f"验证码{n:06},五分钟内有效", **common, **more)


def fired(*events):
    decisions = Engine(SNAPSHOT).decide(events)
    return ["SMS_FLOOD" in {reason.code for reason in d.reasons} for d in decisions]


def test_the_messages_of_services_that_flood_one_person_are_challenged():
    decisions = Engine(SNAPSHOT).decide([sms(n) for n in range(FLOOD + 3)])
    assert [d.action for d in decisions] == ["allow"] * (FLOOD - 1) + ["challenge"] * 4


@pytest.mark.parametrize(
    "events",
    [
        [sms(n, b=f"139{n:08}") for n in range(20)],  # to many people
        [sms(n, route="p2p") for n in range(20)],  # a chat
        [sms(n, time=T0 + n * SPAN) for n in range(20)],  # through the day
        [sms(n, segment=2, segments=2) for n in range(20)],  # once a message
        [sms(n, b="") for n in range(20)],
        [sms(0) for n in range(20)],  # repeated by a producer
    ],
)
def test_what_is_no_flood(events):
    assert not any(fired(*events))


def test_an_honest_sender_is_no_risky_contact():
    """The victim who asks one of them what it was is not told of having been contacted by a risky number."""
    engine = Engine(SNAPSHOT)
    engine.decide([sms(n) for n in range(FLOOD + 3)])
    assert not engine.memory().victims.watching


def test_a_number_that_nothing_blocks_is_not_bombed_either():
    decisions = Engine(SNAPSHOT).decide([sms(n, b="110") for n in range(20)])
    assert {d.action for d in decisions} == {"allow"}
