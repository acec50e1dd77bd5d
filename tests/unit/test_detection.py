"""What is said about a log of three fraud patterns and three innocent numbers, worked out by hand."""

from __future__ import annotations

import pytest

from detectors.model.events import CallEvent, CardEvent, SmsEvent
from loadtest.detection import detect
from loadtest.sim.truth import EventTruth, SubjectTruth

T = 1_790_000_000_000
POLICE, SECOND, SPAMMER = "+8613900000001", "+8613900000002", "+8613900000003"
COURIER, PERSON, BANK = "+8613800000001", "+8613800000002", "95588"
V1, V2, V3 = "+8613700000001", "+8613700000002", "+8613700000003"


def call(key, a, b, phase="attempt"):
    return CallEvent(id=key, time=T, a_number="as dialled", a_e164=a, b_number=b, phase=phase)


def sms(key, a, b, segment=1):
    return SmsEvent(id=key, time=T, a_number=a, b_number=b, text="x", segment=segment, segments=2)


def fraud(cls, operation, *, victim=True):
    return {"label": "fraud", "cls": cls, "source": "simulated", "operation": operation, "victim": victim}


HAM = {"label": "ham", "cls": "call", "source": "simulated"}
POLICE_1, POLICE_2, GAMBLING = fraud("police", "police-1"), fraud("police", "police-2"), fraud("gambling", "g-1")
LOG = [
    # POLICE: reaches V1 and V2, tries V3; the third attempt is warned of, and what comes then is not before it
    (call("p1", POLICE, V1), POLICE_1, "allow"),
    (call("p2", POLICE, V1, "answered"), POLICE_1, "label"),
    (call("p3", POLICE, V2), POLICE_1, "allow"),
    (call("p4", POLICE, V2, "answered"), POLICE_1, "allow"),
    (call("p5", POLICE, V3), POLICE_1, "warn"),
    (call("p6", POLICE, V3, "answered"), POLICE_1, "allow"),
    # SECOND: never measured; V2 again, and somebody who is no victim
    (call("s1", SECOND, V2), POLICE_2, "allow"),
    (call("s2", SECOND, V2, "answered"), POLICE_2, "allow"),
    (call("s3", SECOND, "10086", "answered"), fraud("police", "police-2", victim=False), "allow"),
    # SPAMMER: a long SMS counts once; its card is restricted before the second
    (sms("g1", SPAMMER, V1), GAMBLING, "label"),
    (sms("g2", SPAMMER, V1, segment=2), GAMBLING, None),
    (CardEvent(id="g3", time=T, a_number=SPAMMER, phase="woke"), GAMBLING, "restrict"),
    (sms("g4", SPAMMER, V3), GAMBLING, "block"),
    # innocent: a courier measured once in two, one person never; what the spammer does besides troubles nobody innocent
    (call("c1", COURIER, V1), HAM, "challenge"),
    (call("c2", COURIER, V2), HAM, "allow"),
    (call("h1", PERSON, V1), HAM, "allow"),
    (call("h2", SPAMMER, PERSON), HAM, "warn"),
    # a fake base station pretends to be the bank, which is innocent, and troubled
    (sms("b1", BANK, V1), fraud("base-station", "b-1"), "block"),
    (sms("b2", BANK, V2), HAM, "block"),
]
SUBJECTS = {
    POLICE: SubjectTruth(POLICE, "fraud", "police", T, "police-1"),
    SPAMMER: SubjectTruth(SPAMMER, "fraud", "gambling", T, "g-1"),
    COURIER: SubjectTruth(COURIER, "ham", "courier", T),
    BANK: SubjectTruth(BANK, "ham", "bank", T),
}


@pytest.fixture(scope="module")
def report():
    truth = {event.id: EventTruth(id=event.id, **known) for event, known, _ in LOG}
    actions = {event.id: action for event, _, action in LOG if action}
    unknown = call("nobody knows what this is", PERSON, V1)
    return detect([*(event for event, *_ in LOG), unknown], actions | {unknown.id: "block"}, truth, SUBJECTS)


def counts(share):
    return share["hits"], share["of"]


def test_recall_by_event_by_number_and_by_operation(report):
    police, gambling = report["patterns"]["police"], report["patterns"]["gambling"]
    assert [counts(police[what]) for what in ("events", "numbers", "operations")] == [(1, 9), (1, 2), (1, 2)]
    assert [counts(gambling[what]) for what in ("events", "numbers", "operations")] == [(2, 4), (1, 1), (1, 1)]
    assert police["numbers"]["share"] == 0.5
    # Wilson, n = 2, p = 0.5: 0.5 -+ 1.96 sqrt(0.125 + 0.2401) / 2.9207
    assert police["numbers"]["share_95"] == pytest.approx([0.0945, 0.9055], abs=2e-4)


def test_how_late(report):
    assert report["patterns"]["police"]["contacts_before_measure"] == {"p50": 2, "p90": None}  # SECOND: never
    assert report["patterns"]["gambling"]["contacts_before_measure"] == {"p50": 1, "p90": 1}


def test_victims_reached_before(report):
    assert report["patterns"]["police"]["victims"] == {"reached": 3, "before_measure": 2}
    assert report["patterns"]["gambling"]["victims"] == {"reached": 2, "before_measure": 1}


def test_precision_of_a_pattern_is_against_all_that_is_no_fraud(report):
    assert counts(report["patterns"]["police"]["precision"]) == (1, 4)  # beside c1, h2 and b2
    assert counts(report["patterns"]["gambling"]["precision"]) == (2, 5)
    assert (report["overall"]["tp"], report["overall"]["fp"]) == (4, 3)
    assert (report["overall"]["fn"], report["overall"]["tn"]) == (10, 2)


def test_innocent_numbers_by_what_they_are(report):
    benign = report["benign"]
    assert counts(benign["courier"]["numbers_measured"]) == (1, 1)
    assert (benign["courier"]["events"], benign["courier"]["events_measured"]) == (2, 1)
    assert counts(benign["ordinary"]["numbers_measured"]) == (0, 1)
    assert counts(benign["gambling"]["numbers_measured"]) == (0, 0)
    assert counts(benign["bank"]["numbers_measured"]) == (1, 1)
    assert counts(report["overall"]["benign_numbers_measured"]) == (2, 3)
    assert counts(report["overall"]["fraud_numbers"]) == (3, 4)
    assert counts(report["overall"]["precision_by_number"]) == (3, 5)


def test_by_action(report):
    assert report["patterns"]["police"]["by_action"] == {"allow": 7, "label": 1, "warn": 1}
    assert report["patterns"]["gambling"]["by_action"] == {"label": 1, "undecided": 1, "restrict": 1, "block": 1}
    assert report["by_action"]["allow"] == 9
    assert sum(report["by_action"].values()) == len(LOG)


def test_of_nothing_nothing_is_said():
    empty = detect([], {}, {}, {})
    assert (empty["patterns"], empty["benign"], empty["by_action"]) == ({}, {}, {})
    assert empty["overall"]["recall"] is None
    assert empty["overall"]["benign_numbers_measured"]["share"] is None
