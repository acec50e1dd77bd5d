"""`lanjie cards count`, as a user calls it, and `lanjie replay` over what it writes."""

from __future__ import annotations

import gzip
import json

import pytest
import zstandard
from click.testing import CliRunner

from detectors.model.events import CardEvent
from stream.cli import main
from stream.wire import encode_event
from tests.support.events import T0

PERSON = "13812345678"


def run(*args, stdin=None):
    return CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)


def opened(n: int, **fields: str) -> bytes:
    """Cards of one identity, each through another of three channels; five are many."""
    channel = ("shop", "online", "campus")[n % 3]
    fields = {"phase": "sold", "identity_hash": "i", "channel": channel, **fields}
    return encode_event(CardEvent(id=f"c{n}", time=T0 + n * 1_000, a_number=f"1380000000{n}", **fields))


def log_of(*lines: bytes) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def told(lines: list[bytes]) -> list[tuple[str, int, int]]:
    """Number, cards and channels of each count."""
    events = [json.loads(line) for line in lines]
    assert all(event["phase"] == "counted" for event in events)
    return [(event["msisdn"], event["identity_cards"], event["identity_channels"]) for event in events]


FIVE = [opened(n) for n in range(5)]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(log_of(*FIVE))
    return path


def test_counts_stand_right_after_the_line_that_causes_them(log, tmp_path):
    result = run("cards", "count", log, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.stdout == "5 lines, 12 counts put in\n"
    lines = (tmp_path / "out").read_bytes().splitlines()
    # From the third card on all are told of each one more: 3, 4 and 5 of them.
    assert [lines[at] for at in (0, 1, 2, 6, 11)] == FIVE
    for at, cards in ((3, 3), (7, 4), (12, 5)):
        assert sorted(told(lines[at : at + cards])) == [(f"1380000000{n}", cards, 3) for n in range(cards)]
    assert len(lines) == 5 + 3 + 4 + 5
    assert len({json.loads(line)["id"] for line in lines}) == len(lines)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_packed_or_not_and_from_stdin_it_gives_the_same_bytes(log, tmp_path, pack):
    run("cards", "count", log, "-o", tmp_path / "plain")
    log.write_bytes(pack(log_of(*FIVE)))
    assert run("cards", "count", log, "-o", tmp_path / "file").exit_code == 0
    piped = run("cards", "count", "-", "-o", "-", stdin=pack(log_of(*FIVE)))
    assert (tmp_path / "plain").read_bytes() == (tmp_path / "file").read_bytes() == piped.stdout_bytes
    assert piped.stderr == "5 lines, 12 counts put in\n"


def test_several_logs_and_folders_are_one_log(log, tmp_path):
    run("cards", "count", log, "-o", tmp_path / "whole")
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / "1").write_bytes(log_of(*FIVE[:2]))
    (parts / "2").write_bytes(gzip.compress(log_of(FIVE[2])))
    (tmp_path / "rest").write_bytes(log_of(*FIVE[3:]))
    assert run("cards", "count", parts, tmp_path / "rest", "-o", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("name", ["log.jsonl", "folder/../log.jsonl"])
def test_an_output_that_is_its_input_is_refused_and_left_as_it_is(log, tmp_path, name):
    (tmp_path / "folder").mkdir()
    result = run("cards", "count", log, "-o", tmp_path / name)
    assert result.exit_code == 2
    assert "is also an input: it would be overwritten" in " ".join(result.stderr.split())
    assert log.read_bytes() == log_of(*FIVE)


def test_what_is_no_card_event_passes_as_it_is_and_blank_lines_are_left_out(log, tmp_path):
    others = [
        b"no json",
        b'{"kind":"card","id":"x","msisdn":%s}' % PERSON.encode(),
        b' {"kind": "call", "id": "c", "time": 1790000000000, "a_number": "1", "b_number": "2"} ',
        b'{"kind":"sms","id":"s","time":1790000000000,"a_number":"1","b_number":"2","text":"a \\"card\\" for you"}',
        b"\xff\xfe",
    ]
    mixed = [line for pair in zip(FIVE, others, strict=True) for line in (*pair, b"", b"  ")]
    log.write_bytes(b"\r\n".join(mixed))
    result = run("cards", "count", log, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.stdout == "10 lines, 12 counts put in\n"
    lines = (tmp_path / "out").read_bytes().splitlines()
    assert [line for line in lines if b'"counted"' not in line] == [line for line in mixed if line.strip()]
    assert PERSON not in result.output


def test_an_empty_log_gives_an_empty_one(log, tmp_path):
    log.write_bytes(b"")
    assert run("cards", "count", log, "-o", tmp_path / "out").stdout == "0 lines, 0 counts put in\n"
    assert (tmp_path / "out").read_bytes() == b""


def test_counted_twice_it_says_the_same_once_more(log, tmp_path):
    run("cards", "count", log, "-o", tmp_path / "once")
    run("cards", "count", tmp_path / "once", "-o", tmp_path / "twice")
    once, twice = ((tmp_path / name).read_bytes().splitlines() for name in ("once", "twice"))
    assert set(once) == set(twice)
    assert len(twice) == len(once) + 12


@pytest.mark.parametrize("what", ["a log that is not there", "a cut log", "an output that cannot be written"])
def test_what_a_user_gets_wrong_is_told_in_a_line(log, tmp_path, what):
    output = tmp_path / "out"
    if what == "a log that is not there":
        log.unlink()
    elif what == "a cut log":
        log.write_bytes(gzip.compress(log_of(*FIVE))[:-12])
    else:
        output = tmp_path / "nowhere" / "out"
    result = run("cards", "count", log, "-o", output)
    assert result.exit_code in (1, 2)
    assert str(output if "output" in what else log) in "".join(result.stderr.split("\n"))
    assert "Traceback" not in result.output


def test_replayed_the_cards_are_told_what_was_counted(log, tmp_path):
    burst = [
        b'{"kind":"sms","id":"s%d","time":%d,"a_number":"%s","b_number":"13911112222","text":"%s"}'
        % (n, T0 + 60_000 + n, number, "您的银行卡积分即将过期,点击 http://t.cn/abc 兑换".encode())
        for n, number in enumerate((b"13800000002", b"13800000099"))
    ]
    log.write_bytes(log_of(*FIVE, *burst))
    assert run("cards", "count", log, "-o", tmp_path / "counted").exit_code == 0
    found = {}
    for name in ("log.jsonl", "counted"):
        result = run("replay", tmp_path / name, "-o", tmp_path / f"{name}.out", "--processes", 1)
        assert result.exit_code == 0, result.output
        assert not (tmp_path / f"{name}.out.rejects").exists()
        rows = [json.loads(line) for line in (tmp_path / f"{name}.out").read_bytes().splitlines()]
        found[name] = {row["event_id"]: {reason["code"] for reason in row.get("reasons", ())} for row in rows}
    many = {"CARD_IDENTITY_MANY", "CARD_MANY_CHANNELS"}
    assert (len(found["log.jsonl"]), len(found["counted"])) == (7, 19)
    assert found["counted"]["s0"] - found["log.jsonl"]["s0"] == many
    assert found["counted"]["s1"] == found["log.jsonl"]["s1"] == found["log.jsonl"]["s0"] != set()
    of_counts = [codes for name, codes in found["counted"].items() if name.startswith("count-")]
    # Of the third and fourth card: through many channels. Of the fifth: many, too.
    assert (
        sorted(map(sorted, of_counts))
        == [["CARD_IDENTITY_MANY", "CARD_MANY_CHANNELS"]] * 5 + [["CARD_MANY_CHANNELS"]] * 7
    )
