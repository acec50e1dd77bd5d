"""`lanjie report` as a user calls it: a day worked out by hand, and what it must never show."""

import csv
import gzip
import json
import sys
from calendar import timegm
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from detectors.model.decision import Decision, Reason, Shadow
from detectors.model.errors import LanjieError
from detectors.model.events import CardEvent
from stream.cli.report import report
from stream.reports.page import ReportError
from stream.wire import encode_decision, encode_event

MIDNIGHT = timegm((2026, 2, 28, 16, 0, 0)) * 1000  # 1 March in Shanghai
HOUR = 3_600_000
A, B, C, D = "+8617000001111", "+8617000002222", "+8613900003333", "+8613900004444"
NUMBERS = ("17000001111", "17000002222", "13900003333", "13900004444", "13812345678")
FAKE_BANK = Reason("TEXT_BANK", "TEXT_BANK", "1", 75.0, "冒充银行", "Poses as a bank", detail="phishing")
GREY = Reason("LIST_GREY", "l.csv", "1-a", 35.0, "号码在灰名单中", "On the grey list", detail="as +86 138-1234-5678 is")
EVIL = Reason("LIST_BLOCK", "b", "1", 1.0, "<script>封</script>", "call 13812345678", detail="<script>1</script>")


def decision(n, hour, kind, subject, action, *reasons, **more):
    given = {"score": 50.0, "lists": "1-a", "rules": "1-b", "reasons": reasons}
    return Decision(
        event_id=f"e{n}", kind=kind, time=MIDNIGHT + int(hour * HOUR), subject=subject, action=action, **given | more
    )


#: One row an event: number, hours after midnight in Shanghai, kind, subject, action.
DAY = (
    decision(0, -0.001, "call", A, "block"),  # the day before
    decision(1, 0, "call", A, "allow"),
    decision(2, 1, "call", A, "warn", GREY),
    decision(3, 2, "sms", B, "restrict", FAKE_BANK, GREY, FAKE_BANK),  # a reason counts once
    decision(4, 3, "sms", B, "block", FAKE_BANK),
    decision(5, 4, "sms", "", "label", FAKE_BANK),  # withheld; not dealt with
    decision(6, 5, "card", C, "delay", GREY),
    decision(7, 6, "card", C, "warn", GREY),
    decision(8, 7, "card", D, "allow"),
    decision(9, 8, "call", D, "allow", shadow=Shadow("challenge", 80.0), degraded=("keywords",)),
    decision(10, 23.999, "call", D, "block", EVIL),
    decision(2, 1, "call", A, "challenge", GREY),  # decided again after a crash: the first counts
    decision(11, 24, "sms", B, "block"),  # the day after
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.jsonl").write_bytes(b"".join(encode_decision(each) + b"\n" for each in DAY))
    return tmp_path


def run(*args, code=0):
    result = CliRunner().invoke(report, [str(arg) for arg in args])
    if isinstance(result.exception, LanjieError):
        assert code == 1
    else:
        assert result.exit_code == code, result.output
    return result


def figures(*args):
    """Of the whole period, by (figure, of, measure)."""
    run(*args, "--json", "r.json")
    found = json.loads(Path("r.json").read_bytes())
    return {(f["figure"], f["of"], f["measure"]): f["value"] for f in found["figures"] if not f["part"]}, found


def test_a_day_worked_out_by_hand(folder):
    found, whole = figures("d.jsonl", "--from", "2026-03-01", "--to", "2026-03-01")
    assert found == {
        ("input", "read", ""): 13, ("input", "refused", ""): 0, ("input", "outside", ""): 2,
        ("input", "repeats", ""): 1,
        ("decisions", "call", "allow"): 2, ("decisions", "call", "warn"): 1, ("decisions", "call", "block"): 1,
        ("decisions", "sms", "label"): 1, ("decisions", "sms", "restrict"): 1, ("decisions", "sms", "block"): 1,
        ("decisions", "card", "allow"): 1, ("decisions", "card", "warn"): 1, ("decisions", "card", "delay"): 1,
        ("dealt_with", "call", ""): 2, ("dealt_with", "sms", ""): 2,
        ("warnings", "call", ""): 1,
        ("would_be", "call", "allow"): 1, ("would_be", "call", "warn"): 1, ("would_be", "call", "challenge"): 1,
        ("would_be", "call", "block"): 1,
        ("would_be", "sms", "label"): 1, ("would_be", "sms", "restrict"): 1, ("would_be", "sms", "block"): 1,
        ("would_be", "card", "allow"): 1, ("would_be", "card", "warn"): 1, ("would_be", "card", "delay"): 1,
        ("degraded", "call", ""): 1,
        ("subjects", "", "warn"): 1, ("subjects", "", "delay"): 1, ("subjects", "", "block"): 2,  # A; C; B and D
        ("cards", "", "delay"): 1, ("cards", "", "allow"): 1,
        ("reasons", "TEXT_BANK", ""): 2, ("reasons", "LIST_GREY", ""): 4, ("reasons", "LIST_BLOCK", ""): 1,
    }  # fmt: skip
    assert whole["headline"] == {
        "fraud calls dealt with": 2, "fraud SMS dealt with": 2, "blocked": 2, "warnings sent": 1,
        "numbers restricted or blocked": 2, "cards controlled": 1, "cards re-verified": None,
    }  # fmt: skip
    assert (whole["from"], whole["to"]) == ("2026-03-01T00:00:00+08:00", "2026-03-02T00:00:00+08:00")
    assert whole["reasons"]["TEXT_BANK"] == {"zh": "冒充银行", "en": "Poses as a bank"}


@pytest.mark.parametrize(
    ("words", "inside"),
    [
        ((), 13),
        (("--from", "2026-03-01"), 12),
        (("--to", "2026-03-01"), 12),
        (("--from", "2026-03-01T08:00"), 3),  # hours 8, 23.999 and 24
        (("--from", "2026-03-01T08:00Z"), 2),  # hour 16 there: 23.999 and 24
        (("--from", "2026-03-01T08:00", "--zone", "UTC"), 2),
        (("--from", "2026-03-01", "--to", "2026-03-01", "--zone", "UTC"), 3),  # hours 8 to 32 there
        (("--from", "2026-02-28T16:00Z", "--to", "2026-02-28T16:00:00.001Z"), 1),
    ],
)
def test_the_period_is_in_the_zone_s_time_and_without_its_end(folder, words, inside):
    found, _ = figures("d.jsonl", *words)
    assert found["input", "outside", ""] == 13 - inside


def test_days_and_hours_are_those_of_the_zone(folder):
    _, found = figures("d.jsonl", "--by", "day")
    dealt = {f["part"]: f["value"] for f in found["figures"] if (f["figure"], f["of"]) == ("dealt_with", "call")}
    assert dealt == {"": 3, "2026-02-28": 1, "2026-03-01": 2}
    _, found = figures("d.jsonl", "--by", "hour", "--zone", "UTC", "--from", "2026-03-01")
    dealt = {f["part"]: f["value"] for f in found["figures"] if (f["figure"], f["of"]) == ("dealt_with", "call")}
    assert dealt == {"": 1, "2026-03-01T15:00+00:00": 1}
    said = run("d.jsonl").stdout
    assert [word for word in ("2026-02-28", "2026-03-01", "2026-03-02") if word not in said] == []


def test_re_verifications_are_counted_from_events(folder):
    cards = [
        CardEvent(id=f"r{n}", time=MIDNIGHT + hour * HOUR, a_number=number, phase=phase)
        for n, hour, number, phase in (
            (1, 1, "13900003333", "re-verified"),
            (2, 2, "+8613900003333", "re-verified"),  # the same card
            (2, 2, "+8613900003333", "re-verified"),  # the same event
            (3, 3, "13900004444", "re-verified"),
            (4, 4, "13900004444", "woke"),
            (5, 24, "17000001111", "re-verified"),
        )
    ]
    (folder / "cards.jsonl").write_bytes(b"no event\n" + b"".join(encode_event(each) + b"\n" for each in cards))
    words = ("d.jsonl", "--events", "cards.jsonl", "--from", "2026-03-01", "--to", "2026-03-01")
    found, whole = figures(*words)
    assert (found["reverified", "events", ""], found["reverified", "cards", ""]) == (3, 2)
    assert whole["headline"]["cards re-verified"] == 2
    assert "cards.jsonl:1: $: not JSON" in run(*words).stderr


def test_csv_has_all_figures(folder):
    run("d.jsonl", "--by", "hour", "--csv", "r.csv", "--json", "r.json")
    rows = list(csv.DictReader((folder / "r.csv").open(encoding="utf-8", newline="")))
    told = json.loads((folder / "r.json").read_bytes())["figures"]
    assert [{**row, "value": int(row["value"])} for row in rows] == told
    assert len(rows) > 30


def test_no_number_and_no_markup_comes_out(folder):
    (folder / "d.jsonl").write_bytes(
        (folder / "d.jsonl").read_bytes() + b'{"event_id":"x","subject":"+8613812345678"}\n{"kind":"13812345678\n'
        + encode_decision(decision(12, 9, "13812345678", A, "allow")) + b"\n"
    )  # fmt: skip
    result = run("d.jsonl", "--by", "hour", "--csv", "r.csv", "--json", "r.json", "--html", "r.html")
    files = [(folder / name).read_text(encoding="utf-8") for name in ("r.csv", "r.json", "r.html")]
    for text in (result.stdout, result.stderr, *files):
        plain = text.replace("-", "").replace(" ", "").replace(",", "")
        assert [number for number in NUMBERS if number in plain] == []
    assert "<script" not in files[2]
    assert '&lt;script&gt;<span lang="zh-CN">封' in files[2]
    assert "call ###########" in files[2]
    assert "d.jsonl:14: $: no decision" in result.stderr
    assert "d.jsonl:16: $.kind: expected call, sms, card" in result.stderr


def test_bad_lines_are_told_and_counted(folder):
    good = encode_decision(DAY[1])
    builtins = msgspec.to_builtins(DAY[1])
    bad = [{**builtins, **each} for each in ({"action": "hang"}, {"time": 17}, {"latency_us": 1 << 60},
                                             {"shadow": {"action": "no", "score": 1.0}})]  # fmt: skip
    (folder / "d.jsonl").write_bytes(b"\n".join([good, *map(msgspec.json.encode, bad), *[b"x"] * 40, b""]))
    found, _ = figures("d.jsonl")
    assert (found["input", "read", ""], found["input", "refused", ""], found["decisions", "call", "allow"]) == (
        45,
        44,
        1,
    )
    stderr = run("d.jsonl").stderr.splitlines()
    assert [line.split(": ")[1] for line in stderr[:4]] == ["$.action", "$.time", "$.latency_us", "$.action"]
    assert len(stderr) == 21


def test_a_log_that_is_cut_short_is_counted_up_to_there(folder):
    packed = gzip.compress((folder / "d.jsonl").read_bytes())
    (folder / "cut.gz").write_bytes(gzip.compress(encode_decision(DAY[2]) + b"\n") + packed[:-9])
    result = run("cut.gz", "--json", "r.json", code=1)
    assert "cut.gz: damaged or cut short" in str(result.exception)
    assert json.loads((folder / "r.json").read_bytes())["headline"]["fraud calls dealt with"] >= 1
    assert "fraud calls dealt with" in result.stdout


def test_a_log_of_nothing_has_a_report(folder):
    (folder / "d.jsonl").write_bytes(b"")
    _, found = figures("d.jsonl", "--html", "r.html", "--csv", "r.csv")
    assert set(found["headline"].values()) == {0, None}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--from", "13812345678"), "--from: expected a date such as"),
        (("--zone", "Moon"), "--zone: no such time zone here"),
        (("--from", "2026-03-02", "--to", "2026-03-01"), "--to: not after --from"),
        (("--csv", "d.jsonl"), "also an input"),
        (("--csv", "r", "--json", "r"), "two outputs have the same name"),
        (("--html", "no/r.html"), "there is no folder no"),
        (("--by", "year"), "--by"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(folder, words, says):
    before = (folder / "d.jsonl").read_bytes()
    result = run("d.jsonl", *words, code=2)
    assert says in " ".join(result.output.replace("'", "").split())
    assert "13812345678" not in result.output
    assert (folder / "d.jsonl").read_bytes() == before


def test_a_log_that_is_not_there_is_told(folder):
    assert "no.jsonl: No such file" in str(run("d.jsonl", "no.jsonl", "--csv", "r.csv", code=1).exception)
    assert not (folder / "r.csv").exists()


def test_without_the_extra_it_is_said_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    result = run("d.jsonl", code=1)
    assert isinstance(result.exception, ReportError)
    assert str(result.exception) == "duckdb is missing; reports need it: pip install 'lanjie[reports]'"
