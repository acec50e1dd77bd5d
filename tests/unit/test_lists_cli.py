"""`lanjie lists` through its command line, on files of every form."""

import gzip
import json
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from detectors.lists import Entry, ListKind, NumberIndex
from detectors.lists.dated import intervals, series_and_day
from detectors.lists.entry import Provenance
from detectors.lists.index import Layer
from stream.cli import main
from stream.number_files import compact_in_background, open_table

DATA = Path(__file__).parents[3] / "shared" / "data" / "number_lists"
CSV = "number,list,reason,expires\n13800001234,grey,seen,2026-06-01\n170*,grey,virtual operator,\n110,allow,,\n"


def lanjie(*args):
    return CliRunner().invoke(main, ["lists", *map(str, args)])


@pytest.fixture
def snapshot(tmp_path):
    (tmp_path / "grey.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    (tmp_path / "block.txt").write_text("13800001234\n+4121560####\ndomain:Bad.Example\n")
    built = lanjie("build", "-o", tmp_path / "n.lanjie", tmp_path / "grey.csv.gz", f"block:{tmp_path}/block.txt")
    assert built.exit_code == 0, built.output
    assert "6 entries (3 block, 2 grey, 1 allow), 2 of them prefixes or ranges" in built.output
    return tmp_path / "n.lanjie"


def check(snapshot, number, at="2026-01-01"):
    result = lanjie("check", number, "--at", at, "--lists", snapshot, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_why_a_number_is_listed(snapshot):
    found = check(snapshot, "138 0000 1234")
    assert (found["number"], found["counts"], found["region"]) == ("+8613800001234", "block", "CN 北京, China Mobile")
    assert [(e["list"], e["state"]) for e in found["entries"]] == [("block", "counts"), ("grey", "in force")]
    assert [e["state"] for e in check(snapshot, "13800001234", "2026-06-01")["entries"]] == ["counts", "expired"]


@pytest.mark.parametrize(
    ("number", "counts"),
    [("17012345678", "grey"), ("+41215601234", "block"), ("+412156012345", "none"), ("domain:bad.example", "block"),
     ("110", "protected"), ("0731110", "protected"), ("anonymous", "none")],
)  # fmt: skip
def test_prefixes_ranges_tokens_and_protected_numbers(snapshot, number, counts):
    assert check(snapshot, number)["counts"] == counts


def test_the_page_says_which_entry_counts(snapshot):
    page = lanjie("check", "13800001234", "--at", "2026-01-01", "--lists", snapshot).output
    assert "-> block by number: block.txt" in page
    assert "protected > immutable > allow > block > grey" in page


def test_a_delta_is_folded_in_by_another_process(snapshot, tmp_path):
    delta = tmp_path / "delta.jsonl"
    delta.write_text(
        '{"number":"13800001234","list":"block","op":"remove"}\n{"number":"13900000000","list":"immutable"}\n'
    )
    assert lanjie("compact", snapshot, delta, "-o", tmp_path / "new.lanjie").exit_code == 0
    assert check(tmp_path / "new.lanjie", "13800001234")["counts"] == "grey"
    assert check(tmp_path / "new.lanjie", "13900000000")["counts"] == "immutable"
    assert check(snapshot, "13800001234")["counts"] == "block"


async def test_compaction_in_the_background(snapshot, tmp_path):
    (tmp_path / "delta.csv").write_text("number,list\n13900000000,grey\n")
    await compact_in_background(snapshot, [tmp_path / "delta.csv"], tmp_path / "new.lanjie")
    assert len(open_table(tmp_path / "new.lanjie")) == 7


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.csv", b"", "empty; expected one number a line"),
        ("bad.csv", b"x\ny\nz\n", "0 of 3 lines usable; first: "),
        ("no_header.csv", b"13800001234,block\n", "begins with the header number,list"),
        ("text.csv.gz", b"number\n13800001234\n", "is not what its name says; expected gz data"),
        ("list.xlsx", b"PK", "expected .csv"),
    ],
)
def test_a_file_without_a_usable_line_is_refused(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    result = lanjie("build", "-o", tmp_path / "n.lanjie", tmp_path / name)
    assert result.exit_code == 1
    assert says in result.output
    assert not (tmp_path / "n.lanjie").exists()


@pytest.mark.parametrize(
    ("line", "options", "says"),
    [
        ("000", [], "$.number"),
        ("0", [], "$.number"),
        ("17*", [], "shorter than 3"),
        ("+8617*", [], "covers 1.00% of the numbering plan"),
        ("+33*", [], "shorter than 3"),
        ("+336*", [], "covers 10.00%"),
        ("13000000000-13999999999", [], "covers"),
        ("13900000000-13800000000", [], "ends before it begins"),
        ("110", [], "never blocked"),
        ("13800001234", ["--own", "1380000*"], "in the operator's own range +861380000*"),
        ("1380*", ["--own", "13800001234"], "in the operator's own range +8613800001234"),
    ],
)
def test_junk_is_refused_with_its_line_and_the_rest_is_used(tmp_path, line, options, says):
    (tmp_path / "l.txt").write_text(f"13511112222\n{line}\n")
    result = lanjie("build", "-o", tmp_path / "n.lanjie", tmp_path / "l.txt", *options)
    assert result.exit_code == 0
    assert f"{tmp_path}/l.txt:2: " in result.output
    assert says in result.output
    assert "1 lines refused" in result.output
    assert "13800001234:" not in result.output


def test_a_wider_pattern_can_be_allowed(tmp_path):
    (tmp_path / "l.txt").write_text("+336*\n")
    assert lanjie("build", "-o", tmp_path / "n.lanjie", tmp_path / "l.txt", "--max-share", "0.2").exit_code == 0


def test_dated_snapshots_become_times():
    def on(*numbers):
        return [Entry(f"+4100000000{n}", Provenance(ListKind.BLOCK, "s")) for n in numbers]

    days = [date(2025, 3, 31), date(2025, 4, 28), date(2025, 6, 30), date(2025, 7, 14)]
    found = list(intervals(dict(zip(days, [on(1, 2), on(1), on(1, 2), on(2)], strict=True))))
    ms = [1743379200000, 1745798400000, 1751241600000, 1752451200000]  # date -u -d 2025-03-31 +%s, ...
    assert {(e.number[-1], e.provenance.added, e.provenance.expires) for e in found} == {
        ("1", ms[0], ms[3]),
        ("2", ms[0], ms[1]),
        ("2", ms[2], None),
    }


@pytest.mark.skipif(not DATA.exists(), reason="needs the dated Swiss lists of ../shared/data")
def test_every_dated_snapshot_is_answered_as_it_was(tmp_path):
    files = sorted((DATA / "swiss").glob("*.txt"))
    assert lanjie("build", "--dated", "-o", tmp_path / "n.lanjie", *files).exit_code == 0
    index = NumberIndex(layers=[Layer(open_table(tmp_path / "n.lanjie"))])
    (layer,) = index.layers
    everything = {(e.pattern, e.provenance.source) for e in layer.table.entries()}
    for file in files:
        series, day = series_and_day(file.name)
        noon = int(day.strftime("%s")) * 1000 + 43_200_000
        listed = {p for e in layer.table.entries() if (p := e.pattern) and e.provenance.source == series
                  and e.provenance.in_force(noon)}  # fmt: skip
        written = {line.strip() for line in file.read_text().splitlines() if line.strip()}
        expanded = {f"{w.replace('#', '0')}-{w.replace('#', '9')}" if "#" in w else w for w in written}
        assert listed == expanded, file.name
        for number in written:
            if "#" not in number:
                assert index.find(number, noon) is not None
    assert len(everything) > 5_000


NOWHERE = {"LANJIE_BOOTSTRAP": "127.0.0.1:1"}


def test_without_kafka_the_files_answer_and_it_is_said(snapshot):
    environ = {**NOWHERE, "LANJIE_LISTS": str(snapshot)}
    result = CliRunner().invoke(main, ["lists", "check", "13800001234", "--json"], env=environ)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["counts"] == "block"
    assert "127.0.0.1:1: no Kafka there" in result.stderr
    assert "this is what the files alone say" in result.stderr
    as_it_was = ["lists", "check", "13800001234", "--at", "2026-01-01", "--json"]
    result = CliRunner().invoke(main, as_it_was, env=environ)
    assert json.loads(result.stdout)["counts"] == "block"
    assert "this is what the files alone say" in result.stderr
    result = CliRunner().invoke(main, ["lists", "check", "13800001234", "--files-only"], env=environ)
    assert (result.exit_code, result.stderr) == (0, "")


def test_without_kafka_and_files_there_is_no_answer():
    environ = {**NOWHERE, "LANJIE_LISTS": ""}
    result = CliRunner().invoke(main, ["lists", "check", "13800001234"], env=environ)
    assert result.exit_code == 1
    assert "no Kafka there; start one" in result.output
    result = CliRunner().invoke(main, ["lists", "check", "13800001234", "--files-only"], env=environ)
    assert result.exit_code == 2
    assert "no list is named" in result.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["add"], "name patterns, or a file of them with --file"),
        (["add", "13800001234", "--list", "black"], "'black' is not one of"),
        (["add", "13800001234", "--weight", "201"], "201.0 is not in the range"),
        (["add", "13800001234", "--from", "soon"], "$.from: 'soon'; expected ISO 8601"),
        (["remove", "13800001234", "--anyway"], "--anyway needs --list"),
        (["promote", "op b"], "'op b'; expected lower-case letters"),
        (["promote", "op-b", "--to", "canary"], "'canary'; expected shadow, enforce, or canary"),
        (["cap", "op-b"], "name limits"),
        (["import", "l.csv", "--feed", "x", "--stale-after", "soon"], "'soon'; expected a number and s, m, h or d"),
        (["import", "l.csv", "--feed", "x", "--serial", "a b"], "'a b'; expected up to 64"),
    ],
)
def test_what_cannot_be_a_change_is_told_before_kafka_is_asked(words, says):
    result = CliRunner().invoke(main, ["lists", *words, "--reason", "a test"], env=NOWHERE)
    assert result.exit_code == 2
    assert says in result.output


def test_every_change_has_a_reason():
    result = CliRunner().invoke(main, ["lists", "add", "13800001234"], env=NOWHERE)
    assert "Missing option '--reason'" in result.output


def test_too_many_patterns_are_a_feed(tmp_path):
    (tmp_path / "l.txt").write_text("".join(f"138{n:08d}\n" for n in range(100_001)))
    result = lanjie("add", "--file", tmp_path / "l.txt", "--reason", "a test")
    assert result.exit_code == 2
    assert "`lanjie lists import` takes more" in result.output


def test_all_verbs_are_there_in_one_place():
    page = lanjie("--help").output
    for verb in ("build", "check", "compact", "add", "remove", "import", "promote", "demote", "cap", "drop", "show",
                 "diff", "history"):  # fmt: skip
        assert f"\n  {verb} " in page
        assert lanjie(verb, "--help").exit_code == 0
