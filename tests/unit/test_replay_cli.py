"""`lanjie` and `lanjie replay`, as a user calls them."""

from __future__ import annotations

import gzip
import json
import os
import sys
import threading

import click
import pytest
import zstandard
from click.testing import CliRunner

from loadtest import sample
from stream.cli import VERBS, main

GOOD = (
    b'{"kind":"call","id":"c1","time":1790000000000,"a_number":"+8619900000001","b_number":"110"}\n'
    b'{"kind":"sms","id":"s1","time":1790000001000,"a_number":"+8619900090002","b_number":"+8619900000001","text":"hi"}\n'
)
SECRET = b"13812345678"
BAD = b'{"kind":"call","id":"c2","time":17,"a_number":"%s","b_number":"1"}' % SECRET
LISTS = str(sample.FOLDER / "lists.csv")


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(GOOD)
    return path


def run(*args, stdin=None):
    return CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)


def test_decides_every_event_in_order(log, tmp_path):
    result = run("replay", log, "-o", tmp_path / "out", "--lists", LISTS, "--json", tmp_path / "json")
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (tmp_path / "out").read_bytes().splitlines()]
    assert [(row["event_id"], row["action"]) for row in rows] == [("c1", "allow"), ("s1", "block")]
    assert not any("latency_us" in row for row in rows)
    report = json.loads((tmp_path / "json").read_bytes())
    assert (report["events"], report["decided"], report["rejected"]) == (2, 2, 0)
    assert report["by_kind"] == {"call": {"allow": 1}, "sms": {"block": 1}}
    assert rows[0]["lists"] == report["lists"]
    assert report["lists"].startswith("8-"), "nine lines; one that would block 110 is refused"


def test_lists_count_as_of_the_event_s_time(log, tmp_path):
    """The sample's entries expire in March 2027."""
    log.write_bytes(GOOD + GOOD.replace(b"1790000001000", b"1810000000000"))
    assert run("replay", log, "-o", tmp_path / "out", "--lists", f"grey:{LISTS}").exit_code == 0
    actions = [json.loads(line)["action"] for line in (tmp_path / "out").read_bytes().splitlines()]
    assert actions == ["allow", "block", "allow", "allow"]


def test_bad_lines_are_told_kept_and_do_not_stop_it(log, tmp_path):
    log.write_bytes(GOOD + BAD + b"\nno json\n" + GOOD)
    result = run("replay", log, "-o", tmp_path / "out", "--rejects", tmp_path / "bad", "--json", tmp_path / "json")
    assert result.exit_code == 0
    assert f"{log}:3: $.time: " in result.stderr
    assert f"{log}:4: $: not JSON" in result.stderr
    assert SECRET.decode() not in result.output
    assert (tmp_path / "bad").read_bytes() == BAD + b"\nno json\n"
    assert len((tmp_path / "out").read_bytes().splitlines()) == 4
    assert json.loads((tmp_path / "json").read_bytes())["rejected_by_code"] == {"invalid_field": 1, "malformed": 1}


def test_bad_lines_are_kept_beside_the_output_if_nobody_says_where(log, tmp_path):
    log.write_bytes(GOOD + BAD + b"\n")
    assert run("replay", log, "-o", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out.rejects").read_bytes() == BAD + b"\n"
    log.write_bytes(GOOD)
    assert run("replay", log, "-o", tmp_path / "out").exit_code == 0
    assert not (tmp_path / "out.rejects").exists()


def test_many_bad_lines_do_not_flood_the_terminal(log):
    log.write_bytes(b"x\n" * 1000)
    result = run("replay", log)
    assert result.exit_code == 0
    assert result.stderr.count("not JSON") == 20
    assert "1,000 lines rejected" in result.stdout


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_packed_or_not_and_from_stdin_it_gives_the_same_bytes(log, tmp_path, pack):
    run("replay", log, "-o", tmp_path / "plain")
    log.write_bytes(pack(GOOD))
    assert run("replay", log, "-o", tmp_path / "file").exit_code == 0
    assert run("replay", "-", "-o", tmp_path / "stdin", stdin=pack(GOOD)).exit_code == 0
    assert (tmp_path / "plain").read_bytes() == (tmp_path / "file").read_bytes() == (tmp_path / "stdin").read_bytes()


def test_the_sample_gives_the_same_bytes_twice(tmp_path):
    for name in ("one", "two"):
        result = run(
            "replay", sample.FOLDER / "sample.jsonl.zst", "-o", tmp_path / name, "--lists", LISTS,
            "--json", tmp_path / "json",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    report = json.loads((tmp_path / "json").read_bytes())
    assert report["by_action"]["block"] == 1
    assert report["rejected"] == 0


def test_decisions_to_stdout_and_the_table_to_stderr(log):
    result = run("replay", log, "-o", "-")
    assert [json.loads(line)["event_id"] for line in result.stdout.splitlines()] == ["c1", "s1"]
    assert "2 events decided" in result.stderr


def test_a_cut_log_is_decided_as_far_as_it_goes(log, tmp_path):
    log.write_bytes(zstandard.ZstdCompressor().compress(GOOD) + gzip.compress(GOOD))
    result = run("replay", log, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "damaged or cut short" in result.stderr
    assert len((tmp_path / "out").read_bytes().splitlines()) == 2


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["replay"], 2, "say which events"),
        (["replay", "/nowhere.jsonl"], 1, "/nowhere.jsonl: No such file"),
        (["replay", LISTS, "--lists", "/nowhere.csv"], 1, "/nowhere.csv: No such file"),
        (["replay", LISTS, "-o", LISTS], 2, "overwritten"),
        (["publish", LISTS, "--speed", "fast"], 2, "expected max or a factor"),
        (["publish", LISTS, "--speed", "2", "--rate", "5"], 2, "exclude each other"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_mistakes_are_told_without_a_traceback(args, code, message):
    result = run(*args)
    assert (result.exit_code, message in result.stderr) == (code, True), result.output
    assert "Traceback" not in result.output


def test_version_and_help():
    assert run("--version").output.startswith("lanjie, version ")
    assert all(f"  {name} " in run("--help").output for name in VERBS)


def test_help_does_not_import_the_verbs(monkeypatch):
    for verb in VERBS.values():
        monkeypatch.setitem(sys.modules, verb.place.partition(":")[0], None)  # an import would now fail
    assert run("--help").exit_code == 0


@pytest.mark.parametrize("name", VERBS)
def test_the_first_line_of_help_is_the_command_s_own(name):
    command = main.get_command(click.Context(main), name)
    assert command.help.splitlines()[0] == VERBS[name].help


def test_outputs_that_cannot_be_written_are_refused_before_anything_is_decided(log, tmp_path):
    same, nowhere = tmp_path / "same", tmp_path / "nowhere" / "x"
    for options, says in (
        (["-o", same, "--rejects", same], "two of them are the same file"),
        (["-o", same, "--rejects", "-"], "expected a file"),
        (["-o", nowhere], "No such file or directory"),
        (["-o", same, "--json", nowhere], "No such file or directory"),
    ):
        result = run("replay", log, *options)
        assert result.exit_code == 2, result.output
        assert says in result.output
        assert not same.exists() or not same.read_bytes()


def test_no_file_is_written_that_is_read_or_written_otherwise(log, tmp_path):
    model = tmp_path / "model"
    for args in (
        ["--json", log], ["-o", log], ["-o", tmp_path / "x", "--json", tmp_path / "x"], ["--rejects", log],
        ["-o", LISTS, "--lists", LISTS], ["-o", model, "--model", model],
    ):  # fmt: skip
        assert run("replay", log, *args).exit_code == 2, args
    assert log.read_bytes() == GOOD


def test_a_log_that_is_not_there_costs_nobody_the_old_output(tmp_path):
    out = tmp_path / "out"
    out.write_bytes(b"old")
    result = run("replay", tmp_path / "nosuch", "-o", out)
    assert (result.exit_code, "No such file" in result.stderr) == (1, True)
    assert out.read_bytes() == b"old"


def test_to_nowhere_and_options_that_do_not_go_together(log):
    assert run("replay", log, "-o", "/dev/null").exit_code == 0
    for args in (["--to", "2026-01-01"], ["--json", "-"], ["--as-of", "2026-01-01", "--as-it-was"], ["--from", "now"]):
        result = run("replay", log, *args)
        assert (result.exit_code, "Error: " in result.stderr) == (2, True), args
    assert run("replay").exit_code == 2


def test_a_pipe_is_read_once(tmp_path):
    """By one process, whatever was asked for: what one takes of it another never sees."""
    pipe, out = tmp_path / "pipe", tmp_path / "out"
    os.mkfifo(pipe)
    rows = b"".join(GOOD.replace(b'"c1"', b'"c%d"' % n).replace(b'"s1"', b'"s%d"' % n) for n in range(2_000))
    writer = threading.Thread(target=pipe.write_bytes, args=(rows,))
    writer.start()
    result = run("replay", pipe, "-o", out, "--processes", "2")
    writer.join()
    assert (result.exit_code, len(out.read_bytes().splitlines())) == (0, 4_000)


def test_a_folder_of_somebody_else_is_no_place_to_rest(log, tmp_path):
    """Whatever is in it is there afterwards, also what looks like ours."""
    for names in (["d.jsonl"], ["2024/x"], ["kept.json", "notes"]):
        folder = tmp_path / f"{len(names)}{names[0][0]}"
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("{}")
        result = run("replay", log, "-o", tmp_path / "out", "--resume", folder)
        assert (result.exit_code, "is not of a replay" in result.stderr) == (1, True)
        assert all((folder / name).read_text() == "{}" for name in names)
