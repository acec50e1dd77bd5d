"""The figures against a model that keeps every decision in a list and counts by hand."""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from detectors.model.decision import Decision, Reason, Shadow
from detectors.model.events import CardEvent
from stream.logs import Line
from stream.reports.intake import Intake
from stream.reports.ledger import Ledger
from stream.reports.period import Period
from stream.reports.summary import Summary
from stream.wire import encode_decision, encode_event

LADDER = ["allow", "label", "warn", "challenge", "delay", "restrict", "block"]
T0 = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1000
HOUR = 3_600_000
#: Each example opens a database: forty of them, and none to make a failing one smaller, which would take minutes.
CHEAP = settings(max_examples=40, phases=(Phase.explicit, Phase.reuse, Phase.generate))

subjects = st.sampled_from(["", "+8613800000001", "+8613800000002", "+8613800000003"])
ids = st.integers(0, 25).map("e{}".format)
times = st.integers(T0, T0 + 60 * HOUR)
reasons = st.lists(st.sampled_from("ABC").map(lambda code: Reason(code, code, "1", 1.0, "字", "word")), max_size=3)
shadows = st.none() | st.builds(Shadow, st.sampled_from(LADDER), st.just(1.0))
decisions = st.builds(
    lambda reasons, **rest: Decision(score=1.0, lists="l", rules="r", reasons=tuple(reasons), **rest),
    reasons=reasons, event_id=ids, kind=st.sampled_from(["call", "sms", "card"]), time=times, subject=subjects,
    action=st.sampled_from(LADDER), shadow=shadows, degraded=st.sampled_from([(), ("keywords",)]),
)  # fmt: skip
cards = st.builds(
    CardEvent, id=ids, time=times, a_number=subjects.map(lambda number: number.removeprefix("+86")),
    phase=st.sampled_from(["re-verified", "woke"]),
)  # fmt: skip
zones = st.sampled_from(["Asia/Shanghai", "UTC", "America/St_Johns", "Asia/Kolkata"])
bounds = st.tuples(st.none() | times, st.none() | times)


def first_of_each(found, name):
    kept = {}
    for each in found:
        kept.setdefault(getattr(each, name), each)
    return list(kept.values())


def parts_of(ms, zone, by):
    """The whole period, and the day or hour."""
    local = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
    hour = local.astimezone(ZoneInfo(zone)).replace(minute=0, second=0, microsecond=0)
    return "", str(hour.date()) if by == "day" else hour.isoformat("T", "minutes")


def model(once, events, zone, by):
    found = Counter()
    strongest = {}
    for d in once:
        rank = LADDER.index(d.action)
        for part in parts_of(d.time, zone, by):
            found[part, "decisions", d.kind, d.action] += 1
            found[part, "would_be", d.kind, d.shadow.action if d.shadow else d.action] += 1
            found[part, "dealt_with", d.kind, ""] += rank >= 2 and d.kind in ("call", "sms")
            found[part, "warnings", d.kind, ""] += rank == 2 and d.kind in ("call", "sms")
            found[part, "degraded", d.kind, ""] += bool(d.degraded)
            for code in {reason.code for reason in d.reasons} if rank >= 2 else ():
                found[part, "reasons", code, ""] += 1
            for figure in ("subjects", "cards") if d.kind == "card" else ("subjects",):
                if d.subject:
                    key = part, figure, d.subject
                    strongest[key] = max(strongest.get(key, 0), rank)
    for (part, figure, _), rank in strongest.items():
        found[part, figure, "", LADDER[rank]] += 1
    verified = {}
    for event in events:
        for part in parts_of(event.time, zone, by):
            found[part, "reverified", "events", ""] += 1
            verified.setdefault(part, set()).update({event.a_number} - {""})
    for part, numbers in verified.items():
        found[part, "reverified", "cards", ""] = len(numbers)
    return +found


@CHEAP
@given(st.lists(decisions, max_size=40), st.lists(cards, max_size=10), zones, st.sampled_from(["day", "hour"]), bounds)
def test_figures_are_those_of_a_list(found, events, zone, by, bounds):
    since, until = bounds
    period = Period(since, until, ZoneInfo(zone), by)
    told = []
    intake, card_intake = Intake(period, told.append), Intake(period, told.append)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(period, Path(folder))
        for each in intake.decisions(Line(f"d:{n}", encode_decision(d)) for n, d in enumerate(found)):
            ledger.add(each)
        for event in card_intake.reverified(Line(f"c:{n}", encode_event(e)) for n, e in enumerate(events)):
            ledger.add_reverified(event)
        figures = ledger.figures(intake, reverified=True)
        assert b"138000000" not in b"".join(path.read_bytes() for path in Path(folder).iterdir())
    inside = [d for d in found if (since is None or d.time >= since) and (until is None or d.time < until)]
    verified = [e for e in events if e.phase == "re-verified"
                and (since is None or e.time >= since) and (until is None or e.time < until)]  # fmt: skip
    once = first_of_each(inside, "event_id")
    counted = {tuple(each[:4]): each.value for each in figures if each.figure != "input" and each.value}
    assert counted == dict(model(once, first_of_each(verified, "id"), zone, by))
    assert {f.of: f.value for f in figures if f.figure == "input"} == {
        "read": len(found), "refused": 0, "outside": len(found) - len(inside), "repeats": len(inside) - len(once),
    }  # fmt: skip
    assert told == []
    assert set(ledger.parts) >= {part for part, *_ in counted} - {""}
    summary = Summary(period, figures, parts=ledger.parts, words=ledger.words, reverified=True, lists=False)
    assert sum(row[-1] for row in next(iter(summary.tables())).rows[:-1]) == len(once)
