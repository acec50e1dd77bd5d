"""The detection figures against a model that goes over the whole log again for every single question."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from detectors.model.decision import ACTIONS
from detectors.model.events import CallEvent, CardEvent, SmsEvent
from loadtest.detection import detect
from loadtest.sim.truth import EventTruth, SubjectTruth

T = 1_790_000_000_000
FELT = {"warn", "challenge", "delay", "restrict", "block"}
numbers = st.sampled_from([f"+861380000000{n}" for n in range(5)])
patterns = st.sampled_from(["police", "gambling"])


@st.composite
def logs(draw):
    rows = []
    for n in range(draw(st.integers(0, 25))):
        common = {"id": f"e{n}", "time": T + n, "a_number": draw(numbers)}
        kind = draw(st.sampled_from(["call", "sms", "card"]))
        if kind == "call":
            phase = draw(st.sampled_from(["attempt", "answered", "ended"]))
            event = CallEvent(**common, b_number=draw(numbers), phase=phase)
        elif kind == "sms":
            event = SmsEvent(**common, b_number=draw(numbers), text="x", segment=draw(st.integers(1, 2)))
        else:
            event = CardEvent(**common, phase="woke")
        label = draw(st.sampled_from(["fraud", "illegal", "ham", "ad"]))
        bad = label in ("fraud", "illegal")
        truth = EventTruth(
            event.id,
            label,
            draw(patterns) if bad else "call",
            "simulated",
            operation=draw(st.sampled_from(["", "one", "two"])) if bad else "",
            victim=bad and draw(st.booleans()),
        )
        rows.append((event, truth, draw(st.none() | st.sampled_from(list(ACTIONS)))))
    return rows


kinds = st.dictionaries(numbers, st.sampled_from([("fraud", "police"), ("ham", "courier")]), max_size=3)
subjects = kinds.map(lambda found: {number: SubjectTruth(number, *kind, T) for number, kind in found.items()})


@given(logs(), subjects)
def test_it_is_as_the_naive_model_has_it(log, known):
    actions = {event.id: action for event, _, action in log if action}
    report = detect([event for event, *_ in log], actions, {truth.id: truth for _, truth, _ in log}, known)
    bad = [row for row in log if row[1].label in ("fraud", "illegal")]
    good = [row for row in log if row not in bad]
    false_alarms = sum(row[2] in FELT for row in good)
    assert report["patterns"].keys() == {truth.cls for _, truth, _ in bad}
    for name, found in report["patterns"].items():
        rows = [row for row in bad if row[1].cls == name]
        hits = sum(row[2] in FELT for row in rows)
        assert (found["events"]["hits"], found["events"]["of"]) == (hits, len(rows))
        assert (found["precision"]["hits"], found["precision"]["of"]) == (hits, hits + false_alarms)
        assert found["operations"]["of"] == len({row[1].operation for row in rows} - {""})
        assert found["operations"]["hits"] == len({r[1].operation for r in rows if r[2] in FELT} - {""})
        check_numbers(found, rows)
    check_innocent(report, bad, good, known)


def check_numbers(found, rows):
    who = {event.a_number for event, *_ in rows}
    before, victims = [], set()
    for number in who:
        own = [row for row in rows if row[0].a_number == number]
        felt = [n for n, row in enumerate(own) if row[2] in FELT]
        early = [event for event, *_ in own[: felt[0] if felt else len(own)]]
        contacts = sum(
            (isinstance(e, CallEvent) and e.phase == "attempt") or (isinstance(e, SmsEvent) and e.segment == 1)
            for e in early
        )
        before.append(contacts if felt else math.inf)
        victims |= {e.b_number for e, t, _ in own if e in early and t.victim and reaches(e)}
    assert (found["numbers"]["hits"], found["numbers"]["of"]) == (sum(b < math.inf for b in before), len(who))
    for percent, name in ((50, "p50"), (90, "p90")):  # nearest rank: the least that so many do not exceed
        least = min(b for b in before if 100 * sum(other <= b for other in before) >= percent * len(before))
        assert found["contacts_before_measure"][name] == (None if least == math.inf else least)
    assert found["victims"]["before_measure"] == len(victims)
    assert found["victims"]["reached"] == len({e.b_number for e, t, _ in rows if t.victim and reaches(e)})


def check_innocent(report, bad, good, known):
    guilty = {number for number, row in known.items() if row.label == "fraud"}
    used = guilty | ({event.a_number for event, *_ in bad} - known.keys())
    innocent = {event.a_number for event, *_ in good} - used
    wrong = {event.a_number for event, _, action in good if action in FELT} - used
    share = report["overall"]["benign_numbers_measured"]
    assert (share["hits"], share["of"]) == (len(wrong), len(innocent))
    couriers = {number for number, row in known.items() if row.cls == "courier"}
    for name, who in (("courier", innocent & couriers), ("ordinary", innocent - couriers)):
        if who:
            part = report["benign"][name]["numbers_measured"]
            assert (part["hits"], part["of"]) == (len(who & wrong), len(who))
    assert sum(row["events"] for row in report["benign"].values()) == len(good)
    assert sum(report["by_action"].values()) == len(good) + len(bad)


def reaches(event):
    return isinstance(event, SmsEvent) or (isinstance(event, CallEvent) and event.phase == "answered")
