"""The files of a simulated log: the same bytes for the same seed, the truth beside the events and never in them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections import Counter

import pytest

from detectors.model.errors import LanjieError
from detectors.model.events import CallEvent, CardEvent, SmsEvent
from detectors.normalise.phone import canonical
from loadtest.fraud import PATTERNS
from loadtest.sim.profile import load, profile_of
from loadtest.sim.truth import read_subjects, read_truth
from loadtest.sim.write import EVENTS, LISTS, PROFILE, SUBJECTS, TRUTH, write
from loadtest.truth import FRAUDULENT
from stream.logs import LogReader
from stream.wire import decode_event

Z = 3.719


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("smoke")
    write(load("smoke"), found)
    return found


@pytest.fixture(scope="module")
def log(folder):
    """(event, truth) in the order of the log."""
    truth = read_truth(folder / TRUTH)
    events = [decode_event(line.raw) for line in LogReader([str(folder / EVENTS)])]
    assert [event.id for event in events] == list(truth)
    return [(event, truth[event.id]) for event in events]


@pytest.fixture(scope="module")
def subjects(folder):
    return read_subjects(folder / SUBJECTS)


def test_the_same_profile_gives_the_same_bytes(folder, tmp_path):
    write(load("smoke"), tmp_path)
    for name in (EVENTS, TRUTH, SUBJECTS, LISTS, PROFILE):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_another_seed_gives_another_log(folder, tmp_path):
    profile = load("smoke")
    other = {field: getattr(profile, field) for field in profile.__struct_fields__} | {"seed": profile.seed + 1}
    report = write(type(profile)(**other), tmp_path)
    assert report["events_sha256"] != json.loads((folder / PROFILE).read_bytes())["events_sha256"]


def test_ordinary_people_hardly_ever_ask_for_a_code(log):
    texts = [event.text for event, truth in log if isinstance(event, SmsEvent) and truth.cls == "person"]
    asking = [text for text in texts if "验证码" in text]
    mean = len(texts) * 3 / 9801
    assert 1 < mean < 3
    assert len(asking) <= mean + Z * math.sqrt(mean) + 1, "Poisson"
    assert len(set(texts)) > len(texts) / 2


def test_profile_json_says_what_is_in_the_log(folder, log):
    report = json.loads((folder / PROFILE).read_bytes())
    lines = b"".join(line.raw + b"\n" for line in LogReader([str(folder / EVENTS)]))
    assert report["events_sha256"] == hashlib.sha256(lines).hexdigest()
    assert report["events"] == len(log)
    assert report["by_class"] == Counter(f"{truth.label}/{truth.cls}" for _, truth in log)
    assert report["by_operation"] == Counter(truth.operation for _, truth in log if truth.operation)
    assert report["by_kind"]["sms"] == sum(isinstance(event, SmsEvent) for event, _ in log)
    assert report["profile"]["seed"] == load("smoke").seed


def test_about_twenty_thousand_events_and_every_pattern(log):
    assert 15_000 < len(log) < 30_000
    assert {truth.cls for _, truth in log if truth.label in FRAUDULENT} == PATTERNS.keys()
    hard = {"courier", "takeaway", "bank", "hospital", "code_sender", "school", "property_agent"}
    assert hard <= {truth.cls for _, truth in log if not truth.operation}


def test_ids_tell_nothing(log):
    """Each of the 64 bits is independent of the label: 64 four-field tables, their chi-squares added."""
    ids = [(int(event.id, 16), truth.label in FRAUDULENT) for event, truth in log]
    assert len({number for number, _ in ids}) == len(ids)
    bad, total = sum(fraud for _, fraud in ids), len(ids)
    statistic = 0.0
    for bit in range(64):
        ones = sum(number >> bit & 1 for number, _ in ids)
        both = sum(number >> bit & 1 for number, fraud in ids if fraud)
        expected = bad * ones / total
        deviance = total * (both - expected) ** 2 / (expected * (total - bad) * (total - ones) / total)
        statistic += deviance
    freedom = 64
    assert statistic < freedom * (1 - 2 / (9 * freedom) + Z * math.sqrt(2 / (9 * freedom))) ** 3


def test_number_forms_tell_nothing(log):
    """Between two mobiles, operations' numbers come in the same forms as honest ones. Each pair counts once: the switch
    writes an operation's number the same way to the same callee.
    """
    forms = {}
    for event, truth in log:
        if not isinstance(event, CardEvent) and (event.a_e164 or "").startswith("+861") and not event.visited_plmn:
            form = event.a_number.removesuffix(event.a_e164[3:])
            forms[event.a_e164, event.b_number[-11:]] = form, bool(truth.operation)
    counts = Counter(forms.values())
    total, theirs = sum(counts.values()), sum(n for (_, operation), n in counts.items() if operation)
    statistic = 0.0
    for form in ("", "+86", "0086"):
        of_form = counts[form, True] + counts[form, False]
        for operation, size in ((True, theirs), (False, total - theirs)):
            expected = of_form * size / total
            statistic += (counts[form, operation] - expected) ** 2 / expected
    assert theirs > 500
    assert statistic < 18.42  # chi-square with 2 degrees of freedom: -2 ln 0.0001


def test_fields_tell_nothing(log):
    """Each shape of an honest mobile's event is an operation's too: none is recognised by a field that it lacks."""
    shapes = {True: set(), False: set()}
    for event, truth in log:
        if isinstance(event, CardEvent) or not event.cell or event.route not in ("national", "p2p"):
            continue
        given = frozenset(name for name in event.__struct_fields__ if getattr(event, name) is not None)
        step = (event.phase, event.direction) if isinstance(event, CallEvent) else event.encoding
        shapes[bool(truth.operation)].add((step, given))
    assert shapes[True] == shapes[False]


def test_fields_of_cards_tell_nothing(log):
    """A step in a card's life has the same fields, whoever's card it is."""
    shapes = {}
    for event, truth in log:
        if isinstance(event, CardEvent):
            given = frozenset(name for name in event.__struct_fields__ if getattr(event, name) is not None)
            shapes.setdefault(event.phase, {}).setdefault(given, set()).add(bool(truth.operation))
    assert all(len(given) == 1 for given in shapes.values())
    assert {True, False} in [who for given in shapes.values() for who in given.values()]


def test_subjects_are_those_who_act(log, subjects):
    """A number has a row if it has an E.164 form and fraud comes from it; it begins with the first such event."""
    first = {}
    for event, truth in log:
        if truth.label in FRAUDULENT and event.a_e164:
            first.setdefault(event.a_e164, (event.time, truth.operation))
    rows = {number: (row.since, row.operation) for number, row in subjects.items() if row.operation}
    assert rows == first


def test_hard_benign_subjects_are_named(log, subjects):
    start = load("smoke").start_ms
    callers = {
        event.a_e164 or event.a_number: truth for event, truth in log if truth.cls in ("courier", "bank", "school")
    }
    for number, truth in callers.items():
        row = subjects[number]
        assert (row.label, row.cls, row.since, row.operation) == ("ham", truth.cls, start, "")


def test_subjects_are_canonical(log, subjects):
    """As decisions name them."""
    for event, _ in log:
        if (event.a_e164 or event.a_number) in subjects:
            assert canonical(event.a_number) in subjects


def test_services_that_are_pretended_are_no_subjects(log, subjects):
    pretended = {event.a_number for event, truth in log if truth.cls == "fake_base_station"}
    assert "10086" in pretended or any(number.startswith("955") for number in pretended)
    assert not pretended & {number for number, row in subjects.items() if row.label in FRAUDULENT}


def test_lists(folder, subjects):
    rows = list(csv.DictReader(io.StringIO((folder / LISTS).read_text())))
    profile = load("smoke")
    kinds = Counter(row["list"] for row in rows)
    assert {"110", "119", "120", "96110", "10086"} <= {row["number"] for row in rows if row["list"] == "protected"}
    sold = {
        truth.operation for event, truth in read_log(folder) if isinstance(event, CardEvent) and event.phase == "sold"
    }
    older = {n for n, row in subjects.items() if row.operation and row.operation not in sold}
    hit = {row["number"] for row in rows} & older
    share = profile.lists.coverage
    assert abs(len(hit) - share * len(older)) < Z * math.sqrt(share * (1 - share) * len(older))
    unrelated = profile.lists.block + profile.lists.grey
    wrong = sum(kinds.values()) - kinds["protected"] - unrelated - len(hit)
    assert wrong == round((unrelated + len(hit)) * 0.05 / 0.95)
    assert all(row["added"] < "2026-03-02T09:00:00Z" < row["expires"] for row in rows)


def test_no_list_knows_a_card_before_it_is_sold(folder):
    listed = {row["number"] for row in csv.DictReader(io.StringIO((folder / LISTS).read_text()))}
    sold = {e.a_e164 for e, t in read_log(folder) if t.operation and isinstance(e, CardEvent) and e.phase == "sold"}
    assert sold
    assert not sold & listed


def read_log(folder):
    truth = read_truth(folder / TRUTH)
    return [(event := decode_event(line.raw), truth[event.id]) for line in LogReader([str(folder / EVENTS)])]


def test_greetings_are_hard_benign(tmp_path):
    """Each sender writes one text to all acquaintances; the log may end before the last."""
    table = {
        "name": "greetings",
        "description": "",
        "seed": 5,
        "start": "2027-02-05T20:00:00+08:00",
        "minutes": 20,
        "population": {"subscribers": 1_000, "represents": 1_000},
        "benign": {"greetings": 0.1},
    }
    write(profile_of(table), tmp_path)
    subjects = read_subjects(tmp_path / SUBJECTS)
    texts = {}
    for event, truth in read_log(tmp_path):
        if truth.cls == "greetings":
            texts.setdefault(event.a_e164, []).append(event.text)
    assert len(texts) > 50
    assert all(len(set(sent)) == 1 for sent in texts.values())
    assert max(map(len, texts.values())) > 20
    assert all(subjects[number].cls == "greetings" for number in texts)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LanjieError, match="choose another folder"):
        write(load("smoke"), tmp_path / "file")


def test_a_damaged_truth_file_is_told(tmp_path):
    path = tmp_path / "truth.jsonl"
    path.write_text('{"id":"1","label":"ham","class":"person","source":"simulated"}\n{"id":"2"}\n')
    with pytest.raises(LanjieError, match=r"truth\.jsonl:2: no EventTruth \(.*`label`\); write the log again"):
        read_truth(path)
