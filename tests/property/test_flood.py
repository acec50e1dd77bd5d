"""SMS bombing: messages of services by receiver, against a model that keeps all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.behaviour import Received
from detectors.behaviour.flood import MESSAGES
from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.model.events import SmsEvent
from detectors.rulepack import load_rules
from tests.support.events import T0

SNAPSHOT = Snapshot.build(load_rules(), NumberIndex())
SPAN = 300_000
VICTIM = "13911112222"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(0, 4 * SPAN)), max_size=80))
def test_what_one_received_is_what_came_since_the_last_span_but_one(messages):
    received, seen, begins = Received(SPAN), [], []
    for receiver, sender, after in sorted(messages, key=lambda each: each[2]):
        time = T0 + after
        if not begins or time - begins[-1] >= SPAN:
            begins.append(time)
        seen.append((receiver, sender, time))
        # Of the span before this one, if that did not end a whole span ago.
        since = begins[-2] if len(begins) > 1 and begins[-1] - begins[-2] < 2 * SPAN else begins[-1]
        own = [who for to, who, at in seen if to == receiver and at >= since]
        flow = received.add(receiver, sender, time)
        assert flow == received.of(receiver)
        assert (flow.messages, flow.services) == (len(own), len(set(own)))  # none of the three share a bit


def test_it_is_bounded_and_a_clock_that_was_ahead_does_no_harm():
    received = Received(SPAN, max_receivers=10)
    for n in range(1000):
        received.add(str(n), "x", T0)
    assert len(received) <= 20
    received.add("x", "x", T0 + 1000 * SPAN)
    assert [received.add("y", "x", T0 + n).messages for n in range(3)] == [1, 2, 3]


def sms(n, *, a=None, b=VICTIM, route="port", time=None, text="验证码{:06},五分钟内有效", **more):
    common = {"id": f"s{n}", "time": T0 + n * 1_000 if time is None else time, "b_number": b, "route": route}
    return SmsEvent(a_number=a or f"1069{n:08}", text=text.format(n), **common, **more)


def fired(*events):
    decisions = Engine(SNAPSHOT).decide(events)
    return ["SMS_FLOOD" in {reason.code for reason in d.reasons} for d in decisions]


def test_the_messages_of_services_that_flood_one_person_are_challenged():
    decisions = Engine(SNAPSHOT).decide([sms(n) for n in range(MESSAGES + 3)])
    assert [d.action for d in decisions] == ["allow"] * (MESSAGES - 1) + ["challenge"] * 4


@pytest.mark.parametrize(
    "events",
    [
        [sms(n, b=f"139{n:08}") for n in range(20)],  # to many people
        [sms(n, route="p2p") for n in range(20)],  # a chat
        [sms(n, time=T0 + n * SPAN) for n in range(20)],  # through the day
        [sms(n, segment=2, segments=2) for n in range(20)],  # once a message
        [sms(n, b="") for n in range(20)],
        [sms(0) for n in range(20)],  # repeated by a producer
        [sms(n, a="95588") for n in range(20)],  # one bank tells of each payment
        [sms(n, a=f"1390000{n:04}", b="106900001111") for n in range(20)],  # people answer
    ],
)
def test_what_is_no_flood(events):
    assert not any(fired(*events))


@pytest.mark.parametrize("text", ["验证码{:06},五分钟内有效", "验证码{:06},详情 http://t.cn/A6abcde"])
def test_an_honest_sender_is_no_risky_contact(text):
    """The victim who asks one of them what it was is not told of having been contacted by a risky number."""
    engine = Engine(SNAPSHOT)
    decisions = engine.decide([sms(n, text=text) for n in range(MESSAGES + 3)])
    assert decisions[-1].action == "challenge"
    assert not engine.memory().victims.watching


def test_a_number_that_nothing_blocks_is_not_bombed_either():
    decisions = Engine(SNAPSHOT).decide([sms(n, b="110") for n in range(20)])
    assert {d.action for d in decisions} == {"allow"}
