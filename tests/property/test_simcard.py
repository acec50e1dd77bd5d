"""The register of SIM cards, what is known of a card, and the signs; against models that keep everything."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.model.events import CallEvent, CardEvent, SmsEvent
from detectors.rulepack import load_rules
from detectors.simcard import CardFacts, Known, Register
from detectors.simcard.facts import DAY_MS, KEPT_MS, NOTHING
from detectors.simcard.register import AGENT_FROM, AGENT_MS, IDENTITY_FROM, IDENTITY_MS
from stream.cards.log import with_counts
from stream.wire import decode_event, encode_event
from tests.support.events import T0

SNAPSHOT = Snapshot.build(load_rules(), NumberIndex())
HOUR = 3_600_000
CARD = "13800000001"


def opened(n, *, identity=None, agent=None, channel=None, time=T0, phase="sold"):
    return CardEvent(
        id=f"{phase}-{n}-{time}", time=time, a_number=f"138{n:08}", phase=phase, identity_hash=identity,
        agent_id=agent, channel=channel,
    )  # fmt: skip


openings = st.lists(
    st.builds(
        opened,
        st.integers(0, 30),
        identity=st.sampled_from([None, "i", "j"]),
        agent=st.sampled_from([None, "a", "b"]),
        channel=st.sampled_from([None, "shop", "online", "campus"]),
        time=st.integers(0, 40 * 24 * 4).map(lambda quarter: T0 + quarter * 900_000),
        phase=st.sampled_from(["sold", "activated", "woke"]),
    ),
    max_size=60,
    unique_by=lambda event: event.id,
).map(lambda events: sorted(events, key=lambda event: event.time))


class Kept:
    """All openings for ever; counts by looking at all of them. For events in the order of time."""

    def __init__(self, field, span):
        self.field, self.span, self.firsts = field, span, defaultdict(dict)

    def add(self, event):
        key = getattr(event, self.field)
        if not key or event.phase not in ("sold", "activated"):
            return False, []
        known = self.firsts[key]
        # A card that left the span and is opened again is one more.
        inside = {n: e for n, e in known.items() if self.newest(known) - e.time < self.span}
        is_new = event.a_number not in inside
        if is_new:
            inside[event.a_number] = event
        inside = {n: e for n, e in inside.items() if self.newest(inside) - e.time < self.span}
        self.firsts[key] = inside
        return is_new, list(inside.values())

    @staticmethod
    def newest(known):
        return max((e.time for e in known.values()), default=0)


@given(openings)
def test_a_card_is_told_what_is_counted_by_hand(events):
    register, identities, agents = Register(), Kept("identity_hash", IDENTITY_MS), Kept("agent_id", AGENT_MS)
    for event in events:
        more, cards = identities.add(event)
        sold_more, sold = agents.add(event)
        expected = {}
        if more and len(cards) >= IDENTITY_FROM:
            expected |= {
                "identity_cards": len(cards),
                "identity_channels": len({e.channel for e in cards if e.channel}),
            }
        if sold_more and len(sold) >= AGENT_FROM:
            expected["agent_cards"] = len(sold)
        told = {count.event.a_number: count.event for count in register.see(event)}
        own = told.get(event.a_number)
        names = ("identity_cards", "identity_channels", "agent_cards")
        assert {n: getattr(own, n) for n in names if getattr(own, n, None) is not None} == expected
        everybody = {e.a_number for e in cards} if "identity_cards" in expected else set()
        everybody |= {e.a_number for e in sold} if "agent_cards" in expected else set()
        assert told.keys() <= everybody
        if len(cards) <= 12 and len(sold) <= 12:  # to there all are told of each one more
            assert told.keys() == everybody
        assert all(e.phase == "counted" and e.time == event.time for e in told.values())


@given(openings)
def test_the_same_events_cause_the_same_counts(events):
    def told():
        register = Register()
        return [count for event in events for count in register.see(event)]

    counts = told()
    assert counts == told()
    assert len({count.event.id for count in counts}) == len(counts)


def test_the_sale_and_the_activation_of_a_card_are_one_card():
    register = Register()
    for n in range(IDENTITY_FROM):
        found = register.see(opened(n, identity="i")) + register.see(opened(n, identity="i", phase="activated"))
    assert {count.event.identity_cards for count in found} == {IDENTITY_FROM}


def test_a_card_is_told_where_it_was_opened():
    register = Register()
    for n in range(IDENTITY_FROM):
        found = register.see(opened(n, identity="i"), place=n * 10)
    assert {count.event.a_number: count.place for count in found} == {f"138{n:08}": n * 10 for n in range(3)}


def test_who_is_verified_in_person_is_told_no_more():
    register = Register()
    for n in range(IDENTITY_FROM):
        register.see(opened(n, identity="i"))
    register.see(opened(0, identity="i", phase="re-verified"))
    found = register.see(opened(9, identity="i"))
    assert sorted(count.event.a_number for count in found) == [f"138{n:08}" for n in (1, 2, 9)]
    assert {count.event.identity_cards for count in found} == {IDENTITY_FROM + 1}  # it is still a card of that identity


def test_an_agent_with_many_cards_causes_few_counts_for_each():
    register = Register()
    told = sum(len(register.see(opened(n, agent="a", time=T0 + n * 1_000))) for n in range(1_000))
    assert told < 12 * 1_000


def test_the_register_is_bounded():
    register = Register(max_identities=20)
    for n in range(100):
        register.see(opened(n, identity=f"i{n}", agent=f"a{n}"))
    assert (register.identities, register.agents) == (20, 2)


@given(openings)
def test_a_log_with_counts_has_its_own_lines_in_their_order(events):
    lines = [encode_event(event) for event in events] + [b"no event", b'{"kind":"card"}']
    found = list(with_counts(lines))
    counted = [line for line in found if b'"counted"' in line]
    assert [line for line in found if b'"counted"' not in line] == lines
    register = Register()
    assert [decode_event(line) for line in counted] == [c.event for event in events for c in register.see(event)]
    once_more = list(with_counts(found))
    assert {line for line in once_more if b'"counted"' in line} == set(counted)


counts = st.none() | st.integers(0, 40)
tellings = st.lists(
    st.builds(
        CardEvent,
        id=st.uuids().map(str),
        time=st.integers(0, 100).map(lambda day: T0 + day * DAY_MS),
        a_number=st.just(CARD),
        phase=st.sampled_from(["counted", "woke", "sold"]),
        identity_cards=counts,
        identity_channels=counts,
        agent_cards=counts,
    ),
    max_size=8,
)


@given(tellings, st.randoms())
def test_what_is_known_is_the_most_that_was_told_in_any_order(events, random):
    near = [event for event in events if event.time - T0 < KEPT_MS]
    facts = [CardFacts(10), CardFacts(10)]
    for event in near:
        facts[0].learn(CARD, event)
    for event in random.sample(near, len(near)):
        facts[1].learn(CARD, event)
    said = [e for e in near if e.phase == "woke" or e.identity_cards or e.identity_channels or e.agent_cards]
    expected = NOTHING
    if said:
        most = [max(getattr(e, n) or 0 for e in said) for n in ("identity_cards", "identity_channels", "agent_cards")]
        woke = max((e.time for e in said if e.phase == "woke"), default=0)
        expected = Known(max(e.time for e in said), *most, woke)
    assert facts[0].of(CARD, T0) == facts[1].of(CARD, T0) == expected


def test_what_is_known_is_forgotten_in_time_and_for_want_of_room():
    facts = CardFacts(2)
    for n in range(3):
        facts.learn(str(n), CardEvent(id="1", time=T0, a_number="1", phase="counted", identity_cards=7))
    assert [bool(facts.of(str(n), T0).identity_cards) for n in range(3)] == [False, True, True]
    assert facts.of("1", T0 + KEPT_MS - 1).identity_cards == 7
    assert facts.of("1", T0 + KEPT_MS) == NOTHING


def card(phase="counted", **fields):
    return CardEvent(id=f"c{phase}", time=T0, a_number=CARD, phase=phase, **fields)


def call(n=0, *, after=HOUR, **fields):
    return CallEvent(id=f"call{n}", time=T0 + after + n * 1_000, a_number=CARD, b_number=f"139{n * 7_919:08}", **fields)


def decided(*events):
    return Engine(SNAPSHOT).decide(events)


def codes(decision):
    return {reason.code for reason in decision.reasons if reason.code.startswith("CARD_")}


@pytest.mark.parametrize(
    ("event", "expected", "action"),
    [
        (card(identity_cards=4), set(), "allow"),
        (card(identity_cards=5), {"CARD_IDENTITY_MANY"}, "label"),
        (card(identity_cards=5, identity_channels=3), {"CARD_IDENTITY_MANY", "CARD_MANY_CHANNELS"}, "warn"),
        (card(identity_cards=2, identity_channels=3), set(), "allow"),
        (card(agent_cards=19), set(), "allow"),
        (card(agent_cards=20), {"CARD_BULK_OPENED"}, "label"),
        (card(identity_cards=9, identity_channels=9, agent_cards=99),
         {"CARD_IDENTITY_MANY", "CARD_MANY_CHANNELS", "CARD_BULK_OPENED"}, "challenge"),
        (card("activated", identity_cards=5), {"CARD_IDENTITY_MANY"}, "label"),  # a sender that counts by itself
        (card("roamed", visited_plmn="45606"), {"CARD_ROAMS_HIGH_RISK"}, "label"),
        (card("roamed", visited_plmn="45201"), set(), "allow"),
        (card("woke"), {"CARD_WOKEN"}, "allow"),
        (card("re-verified", identity_cards=9), set(), "allow"),
    ],
)  # fmt: skip
def test_what_a_card_event_is_decided(event, expected, action):
    (decision,) = decided(event)
    assert (codes(decision), decision.action) == (expected, action)


BURST = [call(n) for n in range(45)]


def test_a_card_sign_weighs_in_a_call_that_something_else_speaks_against():
    calls = decided(card(identity_cards=6), *BURST)[1:]
    suspicious = [d for d in calls if {r.code for r in d.reasons} - codes(d)]
    assert {frozenset(codes(d)) for d in suspicious} == {frozenset({"CARD_IDENTITY_MANY"})}
    assert not any(codes(d) for d in calls if d not in suspicious)
    assert 0 < len(suspicious) < len(calls)
    without = {d.event_id: d.score for d in decided(*BURST)}
    assert all(d.score >= without[d.event_id] for d in calls)
    assert any(d.score > without[d.event_id] for d in suspicious)


def test_nothing_of_it_after_the_holder_was_verified_in_person():
    found = decided(card(identity_cards=6), card("re-verified"), *BURST)
    assert not any(codes(decision) for decision in found[1:])


def test_a_card_that_woke_three_days_ago_is_awake():
    late = [call(n, after=3 * DAY_MS) for n in range(45)]
    assert any("CARD_WOKEN" in codes(d) for d in decided(card("woke"), *BURST)[1:])
    assert not any("CARD_WOKEN" in codes(d) for d in decided(card("woke"), *late)[1:])


def test_a_suspicious_message_from_where_fraud_comes_from():
    text = "您的银行卡积分即将过期,点击 http://t.cn/abc 兑换"
    abroad = SmsEvent(id="s", time=T0, a_number=CARD, b_number="13911112222", text=text, visited_plmn="45606")
    harmless = SmsEvent(id="h", time=T0, a_number=CARD, b_number="13911112222", text="我到了", visited_plmn="45606")
    suspicious, other = decided(abroad, harmless)
    assert codes(suspicious) == {"CARD_ROAMS_HIGH_RISK"}
    assert (codes(other), other.action) == (set(), "allow")
