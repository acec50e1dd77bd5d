"""What each crime looks like on the wire. Expected rates are written out here; bounds are exact quantiles (1e-7)."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest

from detectors.model.events import CallEvent, CardEvent, SmsEvent
from loadtest.fraud import PATTERNS
from stream.wire import decode_event, encode_event
from tests.support.sim_world import (
    ANSWERS,
    DAY_MS,
    PEOPLE,
    START,
    SmallWorld,
    acted,
    attempts,
    binomial_range,
    poisson_range,
)

MINUTE = 60_000
ALL = sorted(PATTERNS)
LIGHT = {"fake_base_station": {"minutes": 10}}  # 13,000 messages prove no more than 1,000


def phase(drafts, name, label="fraud"):
    return [
        d.event for d in drafts if isinstance(d.event, CallEvent) and d.event.phase == name and d.label.label == label
    ]


def within(count, bounds):
    return bounds[0] <= count <= bounds[1]


@pytest.mark.parametrize("pattern", ALL)
def test_same_seed_same_events(pattern):
    once, again, other = (acted(pattern, seed=seed, **LIGHT.get(pattern, {})) for seed in (1, 1, 2))
    assert once == again
    assert once != other


@pytest.mark.parametrize("pattern", ALL)
def test_truth_is_beside_the_event_and_not_in_it(pattern):
    drafts = acted(pattern, **LIGHT.get(pattern, {}))
    assert len({draft.event.id for draft in drafts}) == len(drafts) > 0
    for draft in drafts:
        assert START <= draft.event.time < SmallWorld().end
        assert draft.operation == f"{pattern}-1"
        assert draft.label.source == "simulated"
        assert draft.label.label in (
            {"fraud", "ham"} | ({"illegal"} if pattern in ("gambling_sms", "account_rental") else set())
        )
        assert draft.label.cls == (pattern if draft.label.label != "ham" else draft.label.cls)
        wire = encode_event(draft.event)
        assert decode_event(wire) == draft.event
        assert pattern.encode() not in wire.replace(draft.event.id.encode(), b"")


@pytest.mark.parametrize("pattern", ALL)
def test_nothing_before_it_begins_or_after_the_world_ends(pattern):
    late = acted(pattern, days=0.5, start_after_minutes=600, **LIGHT.get(pattern, {}))
    assert all(START + 600 * MINUTE <= draft.event.time < START + 720 * MINUTE for draft in late)
    assert acted(pattern, days=0.5, start_after_minutes=720) == []


@pytest.mark.parametrize("pattern", ALL)
def test_what_victims_and_services_do_is_benign_and_nothing_else(pattern):
    for draft in acted(pattern, **LIGHT.get(pattern, {})):
        by_person = draft.event.a_number.startswith(PEOPLE)
        assert (draft.label.cls == "victim") == by_person
        assert (draft.label.label == "ham") == (draft.label.cls in ("victim", "code"))
        if by_person:
            assert not draft.victim
        if draft.label.cls == "code":
            assert re.fullmatch(r"106\d+", draft.event.a_number)
            assert draft.event.route == "port"


# Cards times the source's rate a card and day; an operation that waits for its cards loses that part of the day.
CALLS = {
    "police": 6 * 31.0,
    "customer_service": 8 * 63.64,
    "loan": 4 * 31.0,
    "refund": 5 * 31.0,
    "sim_box": 32 * 120,
    "goip": 32 * 98.38,
    "many_cards": 15 * 31.0 * 23 / 24,
    "woken_cards": 10 * 63.64 * 23.5 / 24,
    "roaming": 5 * 63.64 * 23.5 / 24,
    "wangiri": 8 * 250,
}
MESSAGES = {
    "boss": 2 * 8,
    "loan": 4 * 89.82,
    "refund": 5 * 31.0,
    "order_brushing": 4 * 89.82,
    "gambling_sms": 3 * 1067.55,
    "account_rental": 2 * 89.82,
    "bulk_cards": 40 * 89.82 * 23 / 24,
    "fake_base_station": 80_000 / 12 / 6,
    "sms_bombing": 3 * 1_000,
}
HOOKING = {
    "police",
    "customer_service",
    "boss",
    "loan",
    "refund",
    "order_brushing",
    "goip",
    "many_cards",
    "woken_cards",
}
NOBODY_HOOKED = {pattern: {"hooked": 0} for pattern in HOOKING | {"roaming"}}
#: Above, the lines of a box are too busy for all their calls: six hours of talk a card and day at intensity 1.
INTENSITIES = {"sim_box": (0.5, 1.0)}


@pytest.mark.parametrize(
    ("pattern", "kind", "mean", "intensity"),
    [
        (pattern, kind, mean, intensity)
        for kind, means in ((CallEvent, CALLS), (SmsEvent, MESSAGES))
        for pattern, mean in means.items()
        for intensity in INTENSITIES.get(pattern, (0.5, 1.0, 2.0))
    ],
)
def test_as_many_as_the_source_says(pattern, kind, mean, intensity):
    drafts = acted(pattern, intensity=intensity, **LIGHT.get(pattern, {}), **NOBODY_HOOKED.get(pattern, {}))
    done = [e for label in ("fraud", "illegal") for e in attempts(drafts, kind, label=label)]
    assert within(len(done), poisson_range(mean * intensity))


@pytest.mark.parametrize("pattern", sorted(CALLS))
def test_as_many_are_answered(pattern):
    share = {"sim_box": 0.7, "goip": 0.6 * ANSWERS, "wangiri": 0}.get(pattern, ANSWERS)
    drafts = acted(pattern, **NOBODY_HOOKED.get(pattern, {}))
    called, taken = len(phase(drafts, "attempt")), len(phase(drafts, "answered"))
    assert within(taken, binomial_range(called, share)) if share else taken == 0


@pytest.mark.parametrize(
    ("pattern", "cards", "median_s"), [("customer_service", 200, 40.5), ("goip", 200, 40.5), ("sim_box", 32, 150)]
)
def test_talk_times_have_the_median_of_the_source(pattern, cards, median_s):
    ends = phase(acted(pattern, numbers=cards, **NOBODY_HOOKED.get(pattern, {})), "ended")
    talks = [event.talk_ms for event in ends if event.talk_ms]
    assert within(sum(talk < median_s * 1000 for talk in talks), binomial_range(len(talks), 0.5))


def test_a_call_is_attempt_answer_and_end():
    legs = {}
    for draft in acted("customer_service"):
        if isinstance(draft.event, CallEvent):
            key, _, _ = draft.event.id.rpartition("-")
            legs.setdefault(key, []).append(draft.event)
    for first, *rest in legs.values():
        assert first.phase == "attempt"
        if len(rest) == 2:
            taken, ended = rest
            assert taken.time - first.time == taken.ring_ms
            assert ended.time - taken.time == ended.talk_ms
            assert ended.release_cause == 16
        elif rest and rest[0].phase == "ended":
            assert rest[0].time - first.time == rest[0].ring_ms
            assert rest[0].talk_ms == 0
            assert rest[0].release_cause in (17, 18, 19, 21)


def test_a_line_makes_one_call_at_a_time():
    drafts = acted("sim_box", intensity=2.0)
    ends = {event.id.rpartition("-")[0]: event.time for event in phase(drafts, "ended")}
    free = {}
    for call in attempts(drafts, CallEvent):
        assert call.time >= free.get(call.a_number, 0)
        free[call.a_number] = ends.get(call.id.rpartition("-")[0], SmallWorld().end)


def test_police_show_another_number():
    calls = phase(acted("police", intensity=5, hooked=0), "attempt")
    spoofed = [call for call in calls if call.presented_cli != call.a_number]
    assert within(len(spoofed), binomial_range(len(calls), 362 / 2242))
    assert all("110" in call.presented_cli and call.network_cli == call.a_number for call in spoofed)
    assert {call.route for call in spoofed} == {"international"}
    assert {call.route for call in calls if call not in spoofed} == {"national"}


def test_who_believes_the_police_is_written_to_and_called_again():
    drafts = acted("police", numbers=60, intensity=0.5, hooked=0.2, days=2)
    calls, sms = attempts(drafts, CallEvent, label="fraud"), attempts(drafts, SmsEvent, label="fraud")
    first, written = {}, {(event.a_number, event.b_number): event.time for event in sms}
    for call in calls:
        first.setdefault((call.a_number, call.b_number), call)
    taken = {event.id.rpartition("-")[0] for event in phase(drafts, "answered")}
    heard = {(c.a_number, c.b_number): c.time for c in reversed(calls) if c.id.rpartition("-")[0] in taken}
    assert all(heard[pair] < time for pair, time in written.items())  # from a card that they have talked to
    opened = [
        pair for pair, call in first.items() if call.time < START + DAY_MS and call.id.rpartition("-")[0] in taken
    ]
    assert within(sum(pair in written for pair in opened), binomial_range(len(opened), 0.2))
    assert any(draft.label.cls == "code" for draft in drafts)


def test_the_boss_writes_to_people_who_know_each_other():
    world = SmallWorld()
    written = [e.b_number for e in attempts(acted("boss", intensity=5, hooked=0), SmsEvent, label="fraud")]
    pairs = sum(b in world.acquaintances(a) for a, b in pairwise(written))
    assert pairs >= len(written) // 2 - 1  # of every manager's two, the second knows the first


def test_a_refund_is_announced_and_then_called_about():
    drafts = acted("refund", hooked=0)
    sent = {(e.a_number, e.b_number, e.time) for e in attempts(drafts, SmsEvent, label="fraud")}
    for call in phase(drafts, "attempt"):
        assert any(a == call.a_number and b == call.b_number and time < call.time for a, b, time in sent)


def test_the_car_is_in_one_cell_at_a_time():
    sms = attempts(acted("fake_base_station", minutes=30, stop_minutes=5), SmsEvent, label="fraud")
    cells = [event.cell for event in sms]
    changes = [a for a, b in zip(cells, [*cells[1:], None], strict=True) if a != b]
    assert len(changes) == len(set(cells)) == 6
    for cell in set(cells):
        times = [event.time for event in sms if event.cell == cell]
        assert max(times) - min(times) < 5 * MINUTE
    assert {event.imei_hash for event in sms} == {None}
    assert all(len(event.a_number) == 5 for event in sms)


def test_one_ring_and_who_calls_back():
    drafts = acted("wangiri", intensity=3)
    ends = phase(drafts, "ended")
    assert all(600 <= event.ring_ms < 2_500 and event.talk_ms == 0 and event.release_cause == 16 for event in ends)
    baits = {event.a_number for event in ends}
    back = phase(drafts, "attempt", "ham")
    assert {event.b_number for event in back} <= baits
    assert within(len(back), binomial_range(len(ends), 0.04))
    assert any(number.startswith("+9791") for number in baits)
    assert any(number.startswith("+86") for number in baits)


@pytest.mark.parametrize(("pattern", "channels"), [("sim_box", 8), ("goip", 16)])
def test_a_box_has_many_cards_in_few_handsets_in_one_place(pattern, channels):
    calls = phase(acted(pattern), "attempt")
    assert len({call.imei_hash for call in calls}) == channels
    assert len({call.a_number for call in calls}) == 32
    assert len({call.cell for call in calls}) == 1
    cards_of = {imei: {c.a_number for c in calls if c.imei_hash == imei} for imei in {c.imei_hash for c in calls}}
    assert min(map(len, cards_of.values())) > 24


def test_goip_dials_one_number_after_the_other():
    dialled = [int(call.b_number) for call in attempts(acted("goip", hooked=0), CallEvent, label="fraud")]
    assert dialled == list(range(dialled[0], dialled[0] + len(dialled)))
    failed = [e for e in phase(acted("goip", hooked=0), "ended") if e.release_cause == 1]
    assert within(len(failed), binomial_range(len(dialled), 0.4))


def test_ordinary_cards_are_seen_in_two_handsets():
    seen = {}
    for call in phase(acted("customer_service"), "attempt"):
        seen.setdefault(call.a_number, set()).add(call.imei_hash)
    assert {len(handsets) for handsets in seen.values()} == {2}
    assert len(set().union(*seen.values())) == 2 * 8


def cards_of(drafts, name):
    return [d.event for d in drafts if isinstance(d.event, CardEvent) and d.event.phase == name]


def acts_of(drafts, number):
    return [d.event.time for d in drafts if d.event.a_number == number and not isinstance(d.event, CardEvent)]


def test_bulk_cards_come_from_one_agent_within_minutes():
    drafts = acted("bulk_cards", numbers=25, sold_minutes=20)
    sold, active = cards_of(drafts, "sold"), {card.a_number: card.time for card in cards_of(drafts, "activated")}
    assert len(sold) == len(active) == 25
    assert len({card.agent_id for card in sold}) == len({card.channel for card in sold}) == 1
    assert len({card.identity_hash for card in sold}) == 25
    assert max(card.time for card in sold) - min(card.time for card in sold) < 20 * MINUTE
    for card in sold:
        assert MINUTE <= active[card.a_number] - card.time < 5 * MINUTE
        assert min(acts_of(drafts, card.a_number)) > active[card.a_number]


def test_many_cards_have_one_identity_and_many_sellers():
    drafts = acted("many_cards")
    sold = cards_of(drafts, "sold")
    assert len(sold) == 15
    assert len({card.identity_hash for card in sold}) == 1
    assert len({card.agent_id for card in sold}) == 15
    assert len({card.channel for card in sold}) > 1
    assert {call.a_number for call in phase(drafts, "attempt")} <= {card.a_number for card in sold}


def test_woken_cards_wake_before_they_call():
    drafts = acted("woken_cards")
    woken = {card.a_number: card for card in cards_of(drafts, "woke")}
    assert len(woken) == 10
    assert all(number.startswith("+861990002") for number in woken)  # the dormant ones of the small world
    for number, card in woken.items():
        assert card.time < min(acts_of(drafts, number))


def test_roaming_cards_call_from_where_they_went():
    drafts = acted("roaming", intensity=2, hooked=0.5)
    went = {card.a_number: card.visited_plmn for card in cards_of(drafts, "roamed")}
    assert len(went) == 5
    assert {plmn[:3] for plmn in went.values()} <= {"456", "414", "457", "515"}
    for event in phase(drafts, "attempt") + attempts(drafts, SmsEvent, label="fraud"):
        assert event.visited_plmn == went[event.a_number]
        assert event.route == "international"


def test_a_bombardment_is_short_and_from_many_senders():
    by_victim = {}
    for event in attempts(acted("sms_bombing"), SmsEvent, label="fraud"):
        by_victim.setdefault(event.b_number, []).append(event)
    assert len(by_victim) == 3
    for events in by_victim.values():
        assert events[-1].time - events[0].time < 20 * MINUTE
        assert len({event.a_number for event in events}) > 50
        assert all(re.search(r"\d{6}", event.text) for event in events)
        assert {event.route for event in events} == {"port"}


def test_who_is_offered_money_for_an_account_is_no_victim():
    labels = Counter((d.label.label, d.victim) for d in acted("account_rental") if d.label.label != "ham")
    assert set(labels) == {("illegal", False)}
