"""The register of SIM cards, what is known of a card, and the signs; against models that keep everything."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.model.events import CallEvent, CardEvent, SmsEvent
from detectors.rulepack import load_rules
from detectors.simcard import CardFacts, Register
from detectors.simcard.facts import DAY_MS, KEPT_MS, WOKEN_MS
from detectors.simcard.register import AGENT_FROM, AGENT_MS, IDENTITY_FROM, IDENTITY_MS
from stream.cards.log import with_counts
from stream.wire import decode_event, encode_event
from tests.support.events import T0
from tests.support.trials import index, layer, listed

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


@given(st.permutations(range(6)))
def test_in_whatever_order_openings_are_seen_the_highest_count_is_what_a_card_knows_at_the_end(order):
    """They come from several partitions, which are read side by side."""
    register, facts = Register(), CardFacts(10)
    for n in order:
        for count in register.see(opened(n, identity="i", agent="a", time=T0 + n * 60_000)):
            facts.learn(count.event.a_number, count.event, ALL)
    known = [facts.of(f"138{n:08}").measures(T0 + HOUR) for n in range(6)]
    assert {(found["identity_cards"], found["agent_cards"]) for found in known} == {(6, 6)}


def test_a_card_is_told_where_it_was_opened():
    register = Register()
    for n in range(IDENTITY_FROM):
        found = register.see(opened(n, identity="i"), place=n * 10)
    assert {count.event.a_number: count.place for count in found} == {f"138{n:08}": n * 10 for n in range(3)}


def test_who_is_verified_in_person_is_told_no_more():
    """Neither of their identity nor of their agent."""
    register = Register()
    for n in range(AGENT_FROM):
        register.see(opened(n, identity="i", agent="a"))
    register.see(opened(0, phase="re-verified"))
    found = register.see(opened(9, identity="i", agent="a", time=T0 + 1))
    assert sorted(count.event.a_number for count in found) == [f"138{n:08}" for n in (1, 2, 3, 4, 9)]
    assert {count.event.identity_cards for count in found} == {AGENT_FROM + 1}  # it is still a card of that identity


def test_an_agent_with_many_cards_causes_few_counts_for_each():
    register = Register()
    told = sum(len(register.see(opened(n, agent="a", time=T0 + n * 1_000))) for n in range(1_000))
    assert told < 12 * 1_000


def test_the_register_is_bounded():
    register = Register(max_cards=20)
    for n in range(1000):
        register.see(opened(n, identity=f"i{n}", agent=f"a{n // 3}"))
        register.see(opened(n, phase="re-verified"))
    assert register.identities <= 2 * 20
    assert register.agents <= 2 * 20


def test_a_card_whose_number_is_written_in_two_forms_is_one_card():
    register, found = Register(), []
    for n in range(IDENTITY_FROM):
        found += register.see(opened(n, identity="i"))
        found += register.see(replace(opened(n, identity="i", phase="activated"), a_e164=f"+86138{n:08}"))
    assert {count.event.identity_cards for count in found} == {IDENTITY_FROM}
    register.see(replace(opened(0, time=T0 + 1, phase="re-verified"), a_e164="+8613800000000"))
    assert "13800000000" not in {count.event.a_number for count in register.see(opened(9, identity="i"))}


def test_what_identity_and_agent_tell_of_a_card_is_one_event():
    """Also where one of the two events names the identity and the other the agent."""
    register, found = Register(), []
    for n in range(AGENT_FROM):
        found += register.see(opened(n, identity="i", time=T0 + n))
        found += register.see(opened(n, agent="a", time=T0 + n, phase="activated"))
    assert len({count.event.id for count in found}) == len(found)
    both = Register()
    for n in range(AGENT_FROM):
        found = both.see(opened(n, identity="i", agent="a"))
    assert {(count.event.identity_cards, count.event.agent_cards) for count in found} == {(AGENT_FROM, AGENT_FROM)}


def test_one_clock_that_is_years_ahead_silences_nobody():
    register, found = Register(), []
    register.see(opened(0, identity="i", agent="a"))
    register.see(opened(99, identity="i", agent="a", time=T0 + 3_650 * DAY_MS))
    for n in range(1, 12):
        found = register.see(opened(n, identity="i", agent="a", time=T0 + n))
    assert {(count.event.identity_cards, count.event.agent_cards) for count in found} == {(11, 11)}  # of the last 11


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
        time=st.integers(0, 40).map(lambda day: T0 + day * DAY_MS),
        a_number=st.just(CARD),
        phase=st.sampled_from(["counted", "counted", "woke", "sold", "re-verified"]),
        identity_cards=counts,
        identity_channels=counts,
        agent_cards=counts,
    ),
    max_size=8,
)
ALL = {"identity_cards": 1, "identity_channels": 1, "agent_cards": 1}


@given(tellings, st.integers(40, 80).map(lambda day: T0 + day * DAY_MS))
def test_what_is_known_is_what_was_told_last(events, now):
    """Of one moment the most, since the holder was verified in person, for as long as it holds."""
    events.sort(key=lambda event: event.time)
    facts = CardFacts(10)
    for event in events:
        facts.learn(CARD, event, ALL)
    verified = [event.time for event in events if event.phase == "re-verified"]
    after = [i for i, event in enumerate(events) if event.phase == "re-verified"][-1:] or [-1]
    since = [e for e in events[after[0] + 1 :] if e.time > max(verified, default=0)]
    expected = {}
    for names in (("identity_cards", "identity_channels"), ("agent_cards",)):
        said = [event for event in since if any(getattr(event, name) for name in names)]
        last = [event for event in said if event.time == said[-1].time]
        if last and now - last[-1].time < KEPT_MS:
            expected |= {name: max(getattr(event, name) or 0 for event in last) for name in names}
    woke = [event.time for event in since if event.phase == "woke"]
    expected["woken"] = int(bool(woke) and now - max(woke) < WOKEN_MS)
    assert facts.of(CARD).measures(now) == {name: value for name, value in expected.items() if value}


def told(day=0, **fields):
    return CardEvent(id="1", time=T0 + day * DAY_MS, a_number=CARD, phase="counted", **fields)


def test_what_is_known_is_forgotten_in_time():
    facts = CardFacts(2)
    facts.learn(CARD, told(identity_cards=7, agent_cards=30), ALL)
    facts.learn(CARD, replace(told(20), phase="woke"), ALL)  # which renews nothing else
    facts.learn(CARD, told(25, agent_cards=40), ALL)
    assert facts.of(CARD).measures(T0 + KEPT_MS - 1) == {"identity_cards": 7, "agent_cards": 40}
    assert facts.of(CARD).measures(T0 + KEPT_MS) == {"agent_cards": 40}
    facts.learn(CARD, told(-40, identity_cards=50), ALL)  # late by far
    assert facts.of(CARD).measures(T0) == {"identity_cards": 7, "agent_cards": 40}


def test_what_is_known_is_bounded_and_honest_cards_push_nobody_out():
    facts = CardFacts(10)
    facts.learn("marked", told(identity_cards=7), {"identity_cards": 5})
    for n in range(1000):
        facts.learn(str(n), told(identity_cards=1, agent_cards=90), {"identity_cards": 5})
    assert (len(facts), facts.of("marked").identity_cards) == (1, 7)
    for n in range(1000):
        facts.learn(str(n), told(identity_cards=6), {"identity_cards": 5})
    assert len(facts) <= 2 * 10


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
         {"CARD_IDENTITY_MANY", "CARD_MANY_CHANNELS", "CARD_BULK_OPENED"}, "warn"),
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
    """Also if what was told before is told once more, or only comes now."""
    marked, late = card(identity_cards=6), replace(card(identity_cards=7), id="late", time=T0 - 1)
    found = decided(marked, replace(card("re-verified"), time=T0 + 1), marked, late, *BURST)
    assert not any(codes(decision) for decision in found[2:])


def test_counts_that_are_told_late_change_nothing_else():
    """A first start of `lanjie cards watch` tells of openings of weeks ago while calls come."""
    old = [replace(told(-20, identity_cards=6), id=f"old{n}", a_number=f"1370000{n:04}") for n in range(len(BURST))]
    mixed = [each for pair in zip(BURST, old, strict=True) for each in pair]
    calls = [(d.event_id, d.action, d.score) for d in decided(*mixed) if d.kind == "call"]
    assert calls == [(d.event_id, d.action, d.score) for d in decided(*BURST)]


@pytest.mark.parametrize("text", ["国家反诈中心提醒您:凡是要求转账汇款的都是诈骗", "我到了"])
def test_what_speaks_for_a_message_does_not_let_a_card_sign_in(text):
    sms = SmsEvent(id="s", time=T0 + 1, a_number=CARD, b_number="13911112222", text=text)
    assert not codes(decided(card(identity_cards=9, identity_channels=9), sms)[1])


def test_who_calls_a_listed_number_from_abroad_is_a_victim_and_no_risk():
    engine = Engine(Snapshot.build(load_rules(), index(layer([listed("+8613700000001")]))))
    (decision,) = engine.decide([replace(call(visited_plmn="51502"), b_number="13700000001")])
    assert ({reason.code for reason in decision.reasons}, decision.action) == ({"LIST_BLOCK_CALLEE"}, "warn")
    assert not engine.memory().victims.watching


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
