"""A caller who is not judged with an event could not have been found: against one who judges always, in full."""

from collections import Counter
from dataclasses import replace
from random import Random
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.behaviour import CallBehaviour, CallerWindows, Novelty
from detectors.behaviour import detector as behaviour
from detectors.behaviour.novelty import DAY_MS
from detectors.contract import Batch
from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.model.decision import Evidence
from detectors.model.events import CallEvent, CardEvent, SmsEvent
from detectors.rulepack import load_rules
from detectors.rulepack.schema import Measure
from tests.support.events import T0

SNAPSHOT = Snapshot.build(load_rules(), NumberIndex())
SHIPPED = SNAPSHOT.rules.behaviour
HALF = SNAPSHOT.rules.window_seconds * 500
START = T0 // HALF * HALF


class Tireless(CallBehaviour):
    """Judges with every event."""

    def __init__(self, *parts):
        super().__init__(*parts)
        self._lowest = 1

    def _judge(self, batch, i, caller, time, events):
        view = self._windows.view(caller)
        for _, rule, needed, _, _ in self._rules if events else ():
            if rule.measure.endswith("changes") and 0 < events < behaviour._SETTLED:
                continue
            found = {name: self._measure(name, view, caller, time) for name, _ in needed}
            if all(found[name] >= threshold for name, threshold in needed):
                detail = " ".join(f"{name}={value}" for name, value in found.items())
                batch.add(i, Evidence(rule.id, rule.id, str(rule.version), detail=detail))
        return 0


def decided(snapshot, events, sizes, detector=CallBehaviour, max_callers=1_000):
    """In batches of these sizes, and what is left one by one."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("detectors.registry.CallBehaviour", detector)
        deciding, found, at = Engine(snapshot, max_callers=max_callers), [], 0
        for size in [*sizes, *[1] * len(events)]:
            found += deciding.decide(events[at : at + size])
            at += size
    return found


CALL = (CallEvent, {})
ANSWER = (CallEvent, {"phase": "answered"})
RING = (CallEvent, {"phase": "ended", "ring_ms": 4_000})
SILENCE = (CallEvent, {"phase": "ended", "ring_ms": 9_000, "talk_ms": 1_500})
TALK = (CallEvent, {"phase": "ended", "ring_ms": 9_000, "talk_ms": 90_000})
MESSAGE = (SmsEvent, {"text": ""})
CARD = (CardEvent, {"phase": "woke"})
#: Of a block: who does what, how often, to numbers how far apart, what changes, how fast, how long after the last.
BLOCK = (
    [f"1380000000{n}" for n in range(3)],
    [[CALL], [MESSAGE], [CARD], [CALL, RING], [CALL, ANSWER], [CALL, ANSWER, TALK], [CALL, SILENCE], [CALL, MESSAGE]],
    [1, 2, 3, 5, 8, 13],
    [0, 3, 7_919_317],
    ["", "", "", "cell", "visited_plmn", "imei_hash"],
    [0, 500, 20_000, 80_000],
    [0, 0, 0, 1_000, HALF - 1, HALF, 2 * HALF, 3 * HALF, -1_000, -HALF, -3 * HALF, DAY_MS + HALF],
)


def stream(blocks, again=()):
    """The events of blocks; of the places ``again`` some come a second time."""
    found, time = [], START
    for caller, acts, times, apart, changes, step, later in blocks:
        time = max(START, time + later)
        for i in range(times):
            both = {"id": "", "time": time, "a_number": caller, "b_number": f"139{i * apart % 10**8:08}"}
            for kind, more in acts:
                named = both | more | ({changes: f"4600{i % 3}"} if changes else {})
                known = {name: value for name, value in named.items() if name in kind.__struct_fields__}
                found.append(kind(**known | {"id": f"e{len(found)}"}))
            time += step
    for at in again:
        found.insert(at % (len(found) + 1), found[at * 7 % len(found)])
    return found


streams = st.builds(
    stream,
    st.lists(st.tuples(*map(st.sampled_from, BLOCK)), min_size=1, max_size=12),
    st.lists(st.integers(0, 500), max_size=4),
)
counted = st.sampled_from(["attempts", "sms", "short", "silent", "one_ring", "sequential", "voice_then_sms"])
#: Mostly what is counted, as only then not everybody is judged always.
needs = st.one_of(
    st.dictionaries(counted, st.integers(2, 12), min_size=1, max_size=2),
    st.dictionaries(counted, st.integers(2, 12), min_size=1, max_size=2),
    st.dictionaries(st.sampled_from(["cell_changes", "imei_changes"]), st.integers(1, 4), min_size=1),
    st.dictionaries(st.sampled_from(get_args(Measure)), st.integers(1, 12) | st.just(60), min_size=1, max_size=3),
)


def ruled(*needed):
    """By rules that need this: the ids are those of shipped ones."""
    parts = [(rule, *each.items()) for rule, each in zip(SHIPPED, needed, strict=False)]
    rules = tuple(
        msgspec.structs.replace(rule, measure=measure, threshold=threshold, also=dict(also))
        for rule, (measure, threshold), *also in parts
    )
    return replace(SNAPSHOT, rules=msgspec.structs.replace(SNAPSHOT.rules, behaviour=rules))


@given(
    streams,
    st.lists(needs, min_size=1, max_size=5),
    st.lists(st.integers(1, 40), max_size=6),
    st.sampled_from([2, 1_000]),
)
@settings(max_examples=200)
def test_nobody_is_missed_by_any_rules(events, needed, sizes, max_callers):
    snapshot = ruled(*needed)
    found = decided(snapshot, events, sizes, max_callers=max_callers)
    assert found == decided(snapshot, events, [], Tireless, max_callers=max_callers)


@pytest.mark.parametrize("seed", range(3))
def test_nobody_is_missed_by_the_shipped_rules_and_all_of_them_fire(seed):
    """Three callers at a time, who are others after every ten blocks, and blocks of up to 50."""
    rng, (_, acts, times, *rest) = Random(seed), BLOCK
    blocks = [
        (f"1380000{n // 10:03}{rng.randrange(3)}", *map(rng.choice, (acts, [*times, 50], *rest))) for n in range(300)
    ]
    events = stream(blocks, [rng.randrange(3_000) for _ in range(100)])
    found = decided(SNAPSHOT, events, [rng.randrange(100) for _ in range(20)])
    assert found == decided(SNAPSHOT, events, [], Tireless)
    fired = Counter(reason.code for d in found for reason in d.reasons)
    assert min(fired[rule.id] for rule in SHIPPED) >= 5, fired


class Counting(CallBehaviour):
    """Keeps at how many events it judged."""

    def __init__(self, *parts):
        super().__init__(*parts)
        self.judged = []

    def _judge(self, batch, i, caller, time, events):
        self.judged.append(events)
        return super()._judge(batch, i, caller, time, events)


def judged(rules, events):
    """At how many events of the caller, and what was found."""
    detector, batch = Counting(rules, CallerWindows(2 * HALF), Novelty(bits=10)), Batch(events)
    detector.inspect(batch)
    return detector.judged, batch.hits


def block(acts, times, changes="", later=0, step=0):
    """Of one caller, to numbers far apart."""
    return BLOCK[0][0], acts, times, 7_919_317, changes, step, later


def test_judged_is_when_a_rule_can_fire_at_the_soonest():
    """As far as that is known: three calls more could have been messages. From the 40th on a rule fires each time."""
    seen, hits = judged(ruled({"sms": 3}, {"attempts": 40}).rules.behaviour, stream([block([CALL], 60)]))
    assert seen == [*range(3, 40, 3), *range(40, 61)]
    assert list(hits) == list(range(39, 60))


@pytest.mark.parametrize(
    ("needed", "blocks", "expected"),
    [
        # What is due after five more counts from before the silence; but those came that nobody counted down.
        ([{"sms": 5}, {"attempts": 12}], [block([CALL], 6), block([MESSAGE], 6, later=3 * HALF)], [10, 11]),
        # The second change is found at once, and from the sixth event on with each.
        ([{"imei_changes": 2}, {"sms": 4}], [block([CALL], 3, "imei_hash"), block([CALL], 6)], [2, 5, 6, 7, 8]),
        # Any time, the number wakes.
        ([{"woken_number": 1, "attempts": 3}], [block([CALL], 5), block([CARD], 1), block([CALL], 2)], [5, 6, 7]),
        # In the half window before there were four.
        ([{"attempts": 7}], [block([CALL], 4), block([CALL], 3, later=HALF)], [6]),
        ([{"attempts": 7}], [block([CALL], 4), block([CALL], 6, later=2 * HALF)], []),
    ],
)
def test_whom_a_rule_finds_is_judged_just_then(needed, blocks, expected):
    _, hits = judged(ruled(*needed).rules.behaviour, stream(blocks))
    assert list(hits) == expected


@pytest.mark.parametrize("step", [67_000, 150_000])
def test_whoever_calls_all_day_and_does_no_harm_is_judged_seldom(step):
    """480 calls, all answered and talked on. But for the first five events, each comes to six or more."""
    calls = stream([block([CALL, ANSWER, TALK], 480, step=step)])
    seen, hits = judged(SHIPPED, calls)
    assert hits == {}
    assert 0 < len(seen) < len(calls) / 5


def test_of_whom_is_kept_when_to_judge_them_is_bounded(monkeypatch):
    monkeypatch.setattr(behaviour, "_MOST_JUDGED", 10)
    detector = CallBehaviour(ruled({"attempts": 1}).rules.behaviour, CallerWindows(2 * HALF), Novelty(bits=10))
    for n in range(100):
        detector.inspect(Batch(stream([(f"13800000{n:03}", [CALL], 3, 1, "", 0, 0)])))
        assert 1 <= len(detector._next) <= 11
