"""`lanjie export`: what is read back is what was decided, and nobody can be told from it who was not meant to be."""

import json
import re
import stat
import sys
from datetime import UTC, datetime
from hashlib import blake2b

import duckdb
import pytest
from click.testing import CliRunner

from detectors.model.decision import Decision, Reason, Shadow
from detectors.model.errors import LanjieError
from stream.cli.export import export
from stream.wire import encode_decision

T0 = 1_790_000_000_000
A, B = "+8617000001111", "+8613900002222"
KEY = b"an example of a key, long enough"
REASON = Reason("TEXT_BANK", "TEXT_BANK", "2", 75.5, "冒充银行", "Poses as a bank", span=(1, 6), detail="phishing")
TOLD = Reason("LIST_GREY", "l.csv", "1-a", 35.0, "灰名单", "On the grey list", detail="as +86 138-1234-5678 is")
NUL = Reason("ODD", "ODD", "1", 0.0, "\0\u2028😀", '"', detail="\\u0000\n")


def decision(n, subject, *reasons, **more):
    given = {"kind": "sms", "action": "warn", "score": 0.1 + n, "lists": "1-a", "rules": "1-b", **more}
    return Decision(event_id=f"e{n}", time=T0 + n * 3_600_000, subject=subject, reasons=reasons, **given)


DECISIONS = (
    decision(0, A, REASON, TOLD, latency_us=1234, degraded=("keywords", "campaign")),
    decision(1, B, kind="call", action="allow", shadow=Shadow("block", 150.0)),
    decision(2, "", NUL, kind="card"),
    decision(0, A, action="block"),  # decided again
    decision(3, A, latency_us=-5),
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.jsonl").write_bytes(b"".join(encode_decision(each) + b"\n" for each in DECISIONS))
    (tmp_path / "key").write_bytes(KEY + b"\n")
    return tmp_path


def run(*args, code=0):
    result = CliRunner().invoke(export, [str(arg) for arg in args])
    if isinstance(result.exception, LanjieError):
        assert code == 1, result.exception
    else:
        assert result.exit_code == code, f"{result.output} {result.exception!r}"
    return result


def read(name, columns="*"):
    """Rows as dicts, in the file's order; times as milliseconds, with which the type is proven as well."""
    replaced = "" if columns != "*" else " REPLACE (epoch_ms(time) AS time)"
    with duckdb.connect(name if name.endswith(".duckdb") else ":memory:") as connection:
        table = "decisions" if name.endswith(".duckdb") else f"read_parquet('{name}')"
        found = connection.execute(f"SELECT {columns}{replaced} FROM {table}")  # noqa: S608 - ours
        names = [each[0] for each in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def expected(d):
    """A decision as a row, without its subject."""
    return {
        "event_id": d.event_id, "kind": d.kind, "time": d.time, "action": d.action, "score": d.score, "lists": d.lists,
        "rules": d.rules, "degraded": list(d.degraded), "latency_us": d.latency_us,
        "shadow_action": d.shadow and d.shadow.action, "shadow_score": d.shadow and d.shadow.score,
        "reasons": [
            {"code": r.code, "rule": r.rule, "version": r.version, "weight": r.weight, "zh": r.zh, "en": r.en,
             "detail": r.detail if r is not TOLD else "as " + "#" * len("+86 138-1234-5678") + " is",
             "span": r.span and list(r.span)}
            for r in d.reasons
        ],
    }  # fmt: skip


@pytest.mark.parametrize("name", ["e.parquet", "e.duckdb"])
def test_what_is_read_back_is_what_was_decided(folder, name):
    said = run("d.jsonl", "-o", name).stdout
    assert said == f"{name}: 5 decisions; 0 lines refused, 0 outside the period\n"
    assert read(name) == [expected(each) for each in DECISIONS]
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o644
    assert sorted(path.name for path in folder.iterdir()) == sorted(["d.jsonl", "key", name]), (
        "nothing is left beside it"
    )


@pytest.mark.parametrize("name", ["e.parquet", "e.duckdb"])
def test_types_are_those_that_the_module_says(folder, name):
    run("d.jsonl", "-o", name, "--key-file", "key")
    with duckdb.connect(name if name.endswith(".duckdb") else ":memory:") as connection:
        table = "decisions" if name.endswith(".duckdb") else f"'{name}'"
        types = {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM {table}").fetchall()}
    struct = types.pop("reasons")
    assert re.sub(r'"', "", struct) == (
        "STRUCT(code VARCHAR, rule VARCHAR, version VARCHAR, weight DOUBLE, zh VARCHAR, en VARCHAR, detail VARCHAR, "
        "span INTEGER[])[]"
    )
    texts = ("event_id", "kind", "action", "lists", "rules", "shadow_action", "subject")
    assert types == dict.fromkeys(texts, "VARCHAR") | {
        "time": "TIMESTAMP WITH TIME ZONE", "score": "DOUBLE", "shadow_score": "DOUBLE", "degraded": "VARCHAR[]",
        "latency_us": "BIGINT",
    }  # fmt: skip


def test_pseudonyms_are_those_of_the_key(folder):
    run("d.jsonl", "-o", "a.parquet", "--key-file", "key")
    key = blake2b(KEY).digest()
    names = {
        number: blake2b(number.encode(), key=key, digest_size=16, person=b"lanjie-subject").hexdigest() or None
        for number in (A, B)
    }
    assert [row["subject"] for row in read("a.parquet", "subject")] == [names.get(d.subject) for d in DECISIONS]
    (folder / "other").write_bytes(KEY[::-1])
    run("d.jsonl", "-o", "b.parquet", "--key-file", "other")
    others = {row["subject"] for row in read("b.parquet", "subject")} - {None}
    assert len(others) == 2
    assert others.isdisjoint(names.values())


@pytest.mark.parametrize("words", [(), ("--key-file", "key")])
@pytest.mark.parametrize("name", ["e.parquet", "e.duckdb"])
def test_no_number_is_in_it(folder, name, words):
    result = run("d.jsonl", "-o", name, *words)
    told = json.dumps(read(name), ensure_ascii=False).replace("-", "").replace(" ", "")
    for number in ("17000001111", "13900002222", "13812345678"):
        assert number not in told
        assert number not in result.output
        assert number.encode() not in (folder / name).read_bytes()


def test_numbers_only_for_who_says_so_and_then_only_for_him(folder):
    assert "subject" not in {column for row in read_after(("d.jsonl", "-o", "e.parquet")) for column in row}
    run("d.jsonl", "-o", "e.parquet", "--i-may-see-numbers")
    assert [row["subject"] for row in read("e.parquet", "subject")] == [d.subject or None for d in DECISIONS]
    assert stat.S_IMODE((folder / "e.parquet").stat().st_mode) == 0o600
    result = run("d.jsonl", "-o", "e.parquet", "--i-may-see-numbers", "--key-file", "key", code=2)
    assert "expected one of them" in result.output


def read_after(words):
    run(*words)
    return read(words[-1])


def test_only_the_period_is_in_it(folder):
    at = datetime.fromtimestamp(DECISIONS[1].time / 1000, UTC).isoformat()
    said = run("d.jsonl", "-o", "e.parquet", "--from", at, "--to", at.replace("+00:00", ".001+00:00")).stdout
    assert "1 decisions; 0 lines refused, 4 outside" in said
    assert [row["event_id"] for row in read("e.parquet")] == ["e1"]


def test_bad_lines_are_told_and_the_rest_is_there(folder):
    with (folder / "d.jsonl").open("ab") as file:
        file.write(b'{"event_id":"13812345678"}\n')
    result = run("d.jsonl", "-o", "e.parquet")
    assert result.stderr == "d.jsonl:6: $: no decision (ValidationError)\n"
    assert "5 decisions; 1 lines refused" in result.stdout


def test_a_log_that_is_cut_short_is_exported_up_to_there(folder):
    (folder / "cut.gz").write_bytes(b"\x1f\x8b" + bytes(20))
    result = run("d.jsonl", "cut.gz", "-o", "e.parquet", code=1)
    assert "cut.gz: damaged or cut short" in str(result.exception)
    assert len(read("e.parquet")) == 5


def test_an_export_of_nothing_has_its_columns(folder):
    (folder / "d.jsonl").write_bytes(b"")
    run("d.jsonl", "-o", "e.parquet")
    assert read("e.parquet") == []


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("-o", "e.csv"), 2, "expected a name that ends with .parquet or .duckdb"),
        (("-o", "no/e.parquet"), 2, "there is no folder no"),
        (("-o", "e.parquet", "--key-file", "none"), 1, "none: No such file or directory; expected the file of a key"),
        (("-o", "e.parquet", "--key-file", "short"), 1, "short: 3 bytes; expected a key of 16 or more"),
        (("no.jsonl", "-o", "e.parquet"), 1, "no.jsonl: No such file"),
    ],
)
def test_mistakes_are_told_and_what_was_there_stays(folder, words, code, says):
    (folder / "short").write_bytes(b"abc\n")
    (folder / "e.parquet").write_bytes(b"before")
    result = run("d.jsonl", *words, code=code)
    assert says in f"{' '.join(result.output.split())} {result.exception}"
    assert (folder / "e.parquet").read_bytes() == b"before"


def test_without_the_extra_it_is_said_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    assert "pip install 'lanjie[reports]'" in str(run("d.jsonl", "-o", "e.parquet", code=1).exception)
