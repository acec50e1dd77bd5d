"""`lanjie backtest` over a log of a dozen events and two tiny packs, with figures worked out by hand."""

from __future__ import annotations

import gzip
import json
from math import sqrt
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner

import stream.backtest
from detectors.model.events import CallEvent, SmsEvent
from stream.cli import main
from stream.wire import encode_event
from tests.support import rules
from tests.support.events import T0

LOAN = """
[[rule]]
id = "TEXT_LOAN"
version = 1
class = "loan"
zh = "无抵押贷款"
en = "Loan without security"
source = "written for this test"
all = [["贷款"], ["秒批"]]
positives = ["贷款秒批", "贷款当天秒批"]
near_misses = ["贷款", "秒批"]
"""
CALLER = "13855500004"
SENT = (
    ("bank", "13855500001", "工商银行积分"),
    ("loan-1", "13855500002", "贷款秒批"),
    ("loan-2", "13855500002", "您好,贷款秒批"),
    ("notice", "13855500003", "反诈中心:谨防贷款秒批"),
    ("listed", "13855500009", "hi"),
    ("hello", "13855500006", "hello"),
)
EVENTS = [
    *(
        SmsEvent(id=name, time=T0 + n, a_number=a, b_number=f"1377770000{n}", text=text)
        for n, (name, a, text) in enumerate(SENT)
    ),
    *(CallEvent(id=f"call-{n}", time=T0 + 100 + n, a_number=CALLER, b_number="13766600000") for n in range(5)),
]
#: ``hello`` and the first four calls have no label.
LABELS = {
    "bank": ("fraud", "phishing"),
    "loan-1": ("fraud", "loan"),
    "loan-2": ("ham", ""),
    "notice": ("ad", "warning"),
    "listed": ("illegal", "loan"),
    "call-4": ("other", ""),
    "elsewhere": ("fraud", "loan"),
}


def run(*args):
    return CliRunner().invoke(main, ["backtest", *map(str, args)])


def folder(path, files):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


@pytest.fixture
def packs(tmp_path):
    """Before, and after: TEXT_BANK weighs more, TEXT_LOAN is new, CALL_BURST is gone."""
    burst, _, fanout = rules.BEHAVIOUR.partition('[[rule]]\nid = "CALL_FANOUT"')
    after = rules.files(
        text=rules.TEXT.replace("version = 3", "version = 4") + LOAN,
        behaviour=f'{burst.partition("[[rule]]")[0]}[[rule]]\nid = "CALL_FANOUT"{fanout}',
        policy="\n".join(line for line in rules.POLICY.splitlines() if not line.startswith("CALL_BURST"))
        .replace("cap = 90", "cap = 200"),
        weights=rules.WEIGHTS.replace('weight = 60, group = "text", ceiling = "delay"',
                                      'weight = 90, group = "text", ceiling = "restrict"')
        + 'TEXT_LOAN = {weight = 100, group = "text", ceiling = "block"}\n',
    )  # fmt: skip
    return folder(tmp_path / "before", rules.files()), folder(tmp_path / "after", after)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(encode_event(event) + b"\n" for event in EVENTS))
    return path


@pytest.fixture
def lists(tmp_path):
    """Of before only: one number is on its block list. Both need a list with something in it."""
    before, after = tmp_path / "before.csv", tmp_path / "after.csv"
    before.write_text("number,list,source\n+8613855500009,block,police 13855500009\n+8613100000000,grey,x\n")
    after.write_text("number,list,source\n+8613100000000,grey,x\n")
    return before, after


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.jsonl"
    rows = [{"id": name, "label": label, "class": cls, "n": 1} for name, (label, cls) in LABELS.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def options(packs, lists):
    before, after = packs
    return ["--rules", after, "--against", before, "--lists", lists[1], "--against-lists", lists[0], "--cost", "none"]


@pytest.fixture
def labelled(options, labels):
    return [*options, "--labels", labels]


@pytest.fixture
def report(log, labels, options, tmp_path):
    result = run(log, *options, "--labels", labels, "--json", tmp_path / "r.json", "--html", tmp_path / "r.html")
    assert result.exit_code == 0, result.output
    return json.loads((tmp_path / "r.json").read_bytes())


def wilson(hits, total):
    """The roots of (p - x)^2 = z^2 x (1 - x) / n in x."""
    z2, p = 1.959963984540054**2, hits / total
    a, b, c = 1 + z2 / total, -(2 * p + z2 / total), p * p
    low, high = ((-b + sign * sqrt(max(0.0, b * b - 4 * a * c))) / (2 * a) for sign in (-1, 1))
    return {"value": pytest.approx(p, abs=1e-4), "low": pytest.approx(low, abs=1e-4),
            "high": pytest.approx(high, abs=1e-4), "of": total}  # fmt: skip


def test_events_and_subscribers_by_what_becomes_of_them(report):
    assert report["schema"] == "lanjie-backtest/1"
    assert report["events"] == 11
    assert report["changed_events"] == {
        "newly_blocked": 2, "released": 1, "stronger": 2, "weaker": 1, "newly_acted_on": 2, "no_longer_acted_on": 2,
    }  # fmt: skip
    assert report["changed_subscribers"] == {
        "newly_blocked": 1, "released": 1, "stronger": 2, "weaker": 1, "other": 0,
    }  # fmt: skip
    moved = {(row["kind"], row["before"], row["after"]): row["events"] for row in report["actions"]}
    assert moved == {
        ("sms", "challenge", "restrict"): 1, ("sms", "allow", "block"): 2, ("sms", "allow", "label"): 1,
        ("sms", "block", "allow"): 1, ("sms", "allow", "allow"): 1, ("call", "allow", "allow"): 4,
        ("call", "warn", "allow"): 1,
    }  # fmt: skip


def test_the_readme_names_every_field(report):
    readme = (Path(stream.backtest.__file__).parent / "README.md").read_text()
    shown = [report, *report["rules"], *report["subscribers"]["released"], *report["labels"]["classes"]]
    assert not {name for row in shown for name in row if f"`{name}" not in readme}


def test_precision_and_recall_against_the_labels(report):
    """Before: bank, listed are acted on rightly, call-4 wrongly; after: bank, loan-1 rightly, loan-2 wrongly."""
    found = report["labels"]
    assert found["events"] == 6
    for side in ("before", "after"):
        assert [found[side][name] for name in ("tp", "fp", "fn", "tn")] == [2, 1, 1, 2]
        assert found[side]["precision"] == found[side]["recall"] == wilson(2, 3)
    classes = {(row["label"], row["class"]): row for row in found["classes"]}
    assert classes["fraud", "phishing"]["acted_on"] == {"before": wilson(1, 1), "after": wilson(1, 1)}
    assert classes["fraud", "loan"]["acted_on"] == {"before": wilson(0, 1), "after": wilson(1, 1)}
    assert classes["illegal", "loan"]["acted_on"] == {"before": wilson(1, 1), "after": wilson(0, 1)}
    assert [classes["ham", ""][name] for name in ("fraud", "newly_acted_on")] == [False, 1]
    assert [classes["other", ""][name] for name in ("fraud", "no_longer_acted_on")] == [False, 1]


def test_every_rule_with_what_comes_from_it(report):
    found = {(row["code"], row["version"]): row for row in report["rules"]}

    def counts(code, version):
        row = found[code, version]
        names = ("newly_blocked", "released", "stronger", "weaker")
        return [*row["fired"].values(), *row["alone"].values(), *(row[name] for name in names)]

    # fired and alone: after, before, as JSON sorts them
    assert counts("TEXT_LOAN", "1") == [3, 0, 3, 0, 2, 0, 1, 0]
    assert counts("TEXT_BANK", "3") == [0, 1, 0, 1, 0, 0, 0, 0]
    assert counts("TEXT_BANK", "4") == [1, 0, 1, 0, 0, 0, 1, 0]
    assert counts("TEXT_NOTICE", "1") == [1, 1, 0, 0, 0, 0, 0, 0]
    assert counts("CALL_BURST", "1") == [0, 1, 0, 1, 0, 0, 0, 1]
    assert counts("LIST_BLOCK", "police 138555***09") == [0, 1, 0, 1, 0, 1, 0, 0]
    assert len(found) == 6
    loan = found["TEXT_LOAN", "1"]["labels"]
    assert loan["after"]["precision"] == loan["after"]["recall"] == wilson(1, 3)
    assert loan["after"]["classes"] == {"fraud/loan": wilson(1, 1)}
    assert loan["before"]["precision"] is None


def test_rules_that_fire_together(report):
    """TEXT_LOAN fires three times, TEXT_NOTICE once, and then with it."""
    (pair,) = report["overlap"]
    assert [rule["code"] for rule in pair["rules"]] == ["TEXT_LOAN", "TEXT_NOTICE"]
    assert (pair["together"], pair["jaccard"]) == (1, 0.3333)


def test_subscribers_with_an_example_and_why(report):
    (blocked,) = report["subscribers"]["newly_blocked"]
    assert (blocked["subscriber"], blocked["before"], blocked["after"]) == ("+86138******02", "allow", "block")
    assert blocked["stronger_events"] == 2
    example = blocked["example"]
    assert (example["event"], example["position"], example["other"]) == ("loan-1", 1, "+86137******01")
    assert example["before"] == {"action": "allow", "score": 0, "reasons": [], "rests_on": []}
    assert example["after"]["rests_on"] == ["TEXT_LOAN"]
    assert example["after"]["reasons"] == [
        {"code": "TEXT_LOAN", "version": "1", "weight": 100, "zh": "无抵押贷款", "en": "Loan without security"}
    ]
    stronger = report["subscribers"]["stronger"]
    assert [row["example"]["event"] for row in stronger] == ["bank", "notice"], "two steps, then one"
    assert report["subscribers"]["weaker"][0]["example"]["event"] == "call-4"
    assert report["subscribers"]["released"][0]["example"]["before"]["rests_on"] == ["LIST_BLOCK"]


def test_what_is_written_has_no_number_and_no_text_of_the_log(report, log, labels, options, tmp_path):
    result = run(log, *options, "--labels", labels)
    written = [result.output, (tmp_path / "r.json").read_text(), (tmp_path / "r.html").read_text()]
    for text in written:
        for event in EVENTS:
            assert event.a_number not in text
            assert event.b_number not in text
        assert not any(sent in text for _, _, sent in SENT if sent not in ("hi", "hello"))
    assert '<span lang="zh-CN">无抵押贷款</span> / Loan without security' in written[2]


@pytest.mark.parametrize(
    ("limits", "code", "says"),
    [
        (["--max-new-blocks", 1, "--max-released", 1], 0, "ok      --max-new-blocks: 1 subscribers newly blocked"),
        (["--max-new-blocks", 0], 1, "FAILED  --max-new-blocks: 1 subscribers newly blocked; at most 0"),
        (["--max-released", 0], 1, "FAILED  --max-released: 1 subscribers released; at most 0"),
        (["--max-new-blocks", 1, "--blocked-from", "restrict"], 1, "2 subscribers newly blocked; at most 1"),
        (["--min-precision", 0.2], 0, "ok      --min-precision: precision 0.6667 (95 %: 0.2077 to 0.9385)"),
        (["--min-precision", 0.21], 1, "FAILED  --min-precision"),
    ],
)
def test_gates_and_exit_status(log, labelled, limits, code, says):
    result = run(log, *labelled, *limits)
    assert result.exit_code == code, result.output
    assert says in result.output


def test_no_labelled_measure_is_no_precision(log, options, tmp_path):
    """A limit on what nothing is known about is not kept."""
    (tmp_path / "few").write_text('{"id": "elsewhere", "label": "fraud"}\n')
    result = run(log, *options, "--labels", tmp_path / "few", "--min-precision", 0)
    assert result.exit_code == 1
    assert "FAILED  --min-precision: no labelled event is acted on" in result.output


def test_without_labels_there_is_no_precision(log, options, tmp_path):
    result = run(log, *options, "--json", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    assert "precision" not in result.output
    report = json.loads((tmp_path / "r.json").read_bytes())
    assert report["labels"] is None
    assert {row["labels"] for row in report["rules"]} == {None}


def test_a_log_cut_short_is_compared_as_far_as_it_goes(log, options, tmp_path):
    whole = log.read_bytes()
    log.write_bytes(zstandard.ZstdCompressor().compress(whole) + gzip.compress(whole))
    result = run(log, *options, "--json", tmp_path / "r.json", "--html", tmp_path / "r.html")
    assert result.exit_code == 1
    assert "damaged or cut short" in result.stderr
    report = json.loads((tmp_path / "r.json").read_bytes())
    assert report["events"] == 11
    assert "cut short" in report["log_cut"]
    assert "The log is not whole" in (tmp_path / "r.html").read_text()


def test_bad_lines_are_counted_and_told_without_their_content(log, options, tmp_path):
    log.write_bytes(log.read_bytes() + b'{"kind":"call","id":"x","time":17,"a_number":"13812345678","b_number":"1"}\n')
    result = run(log, *options, "--json", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    assert f"{log}:12: $.time: " in result.stderr
    assert "13812345678" not in result.output
    assert json.loads((tmp_path / "r.json").read_bytes())["rejected"] == {"invalid_field": 1}


def test_mistakes_are_told_in_one_line(log, options, labels, packs, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    for args, code, says in (
        ([log], 2, "both sides are the same"),
        ([log, "--rules", packs[0], "--against", packs[0]], 2, "both sides are the same"),
        ([log, *options, "--min-precision", 0.5], 2, "expected --labels too"),
        ([log, *options, "--json", log], 2, "is also an input"),
        ([log, *options, "--labels", labels, "--html", labels], 2, "is also an input"),
        ([log, *options, "--json", tmp_path / "x", "--html", tmp_path / "x"], 2, "is both --html and --json"),
        ([log, *options, "--json", tmp_path / "nowhere" / "x"], 2, "there is no folder"),
        ([tmp_path / "empty", *options], 1, "no event in it; nothing was compared"),
        ([tmp_path / "nowhere", *options], 1, "No such file or directory"),
    ):
        result = run(*args)
        assert (result.exit_code, says in result.output) == (code, True), result.output
        assert "Traceback" not in result.output
