"""`lanjie dlq` on the real broker: what it shows says nothing about a person, what it puts back is there once."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import signal
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from detectors.model.events import SmsEvent
from stream.deadletter import MAX_VALUE_BYTES, DeadLetter
from stream.kafka import CODECS
from stream.topics import LISTS, SMS, dlq
from stream.wire import decode_decision, encode_event
from tests.integration.test_worker import RAISING
from tests.support.letters import Dlq, Original, bare
from tests.support.topics import publish, read_all
from tests.support.worker import COMMAND, Pipeline

NUMBER, TEXT = "13800004321", "今晚七点老地方见"


@pytest.fixture
def cli(kafka: str, tmp_path: Path) -> Dlq:
    return Dlq(kafka, tmp_path)


def event(n: int, **more: object) -> bytes:
    value = SmsEvent(id=f"s{n}", time=1_790_000_000_000 + n, a_number=NUMBER, b_number="13900000001", text=TEXT)
    return json.dumps({**json.loads(encode_event(value)), **more}, ensure_ascii=False).encode()


def originals(count: int) -> list[Original]:
    return [(b"k%d" % (n % 3), event(n), [("ce_id", b"s%d" % n), ("ce_id", b""), ("x", b"\xff")], n % 4)
            for n in range(count)]  # fmt: skip


def summary(output: str) -> str:
    return output.splitlines()[-1]


def test_list_counts_by_topic_and_code_and_what_is_open(cli: Dlq):
    assert cli.run("dlq", "list").output == "no dead letters\n"
    cli.bury(originals(5), "engine_error", "$: ZeroDivisionError at x:1")
    cli.bury(originals(3), "invalid_field", "$.text: missing")
    first, second = cli.json("dlq", "list")["letters"]
    assert (first["topic"], first["code"], first["letters"], first["open"]) == (cli.sms, "engine_error", 5, 5)
    assert (second["code"], second["letters"], second["example"]) == ("invalid_field", 3, "$.text: missing")
    assert first["oldest"] <= first["newest"] <= second["newest"]
    cli.run("dlq", "redrive", "--code", "engine_error", "--limit", 2)
    assert [(row["letters"], row["open"]) for row in cli.json("dlq", "list")["letters"]] == [(5, 3), (3, 3)]
    assert [row["code"] for row in cli.json("dlq", "list", "--code", "invalid_field")["letters"]] == ["invalid_field"]
    assert cli.json("dlq", "list", "--topic", "telecom.calls.v1")["letters"] == []
    assert cli.json("dlq", "list", "--since", "2100-01-01")["letters"] == []
    assert len(cli.json("dlq", "list", "--since", "2020-01-01")["letters"]) == 2
    table = cli.run("dlq", "list").output.splitlines()
    assert [line.split()[:4] for line in table][1] == [cli.sms, "engine_error", "5", "3"]


def test_what_is_shown_names_the_field_and_nobody(cli: Dlq):
    headers = [("ce_type", b"lanjie.sms.received.v1"), ("caller", NUMBER.encode())]
    cli.bury([(NUMBER.encode(), event(1, b_numbr=NUMBER, v=7), headers, 2)], "unknown_version")
    (row,) = cli.json("dlq", "list", "--limit", 5)["letters"]
    assert row["position"] == f"{cli.queue}/2/0"
    page = cli.run("dlq", "show", row["position"]).output
    for secret in (NUMBER, NUMBER[-4:], TEXT, TEXT[:2], "1790"):
        assert secret not in page
    for said in ("unknown_version", f"{cli.sms}/2/0", '"b_numbr": "###########"', '"v": 7', "lanjie.sms.received.v1"):
        assert said in page
    assert cli.run("dlq", "show", f"{SMS.name}/2/0").output == page
    raw = cli.run("dlq", "show", row["position"], "--raw").stdout_bytes
    assert raw == event(1, b_numbr=NUMBER, v=7)
    file = cli.folder / "letter"
    cli.run("dlq", "show", row["position"], "-o", file)
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (raw, 0o600)
    assert "expected the name of a new file" in cli.run("dlq", "show", row["position"], "-o", file, code=1).output


@pytest.mark.parametrize(
    ("where", "code", "says"),
    [
        ("telecom.sms.v1.dlq/2/5", 1, "no record; expected an offset from 0 on and below 0"),
        ("telecom.sms.v1.dlq/9/0", 1, "not there; expected a partition below 4"),
        ("telecom.sms.v1.dlq/x", 2, "expected one such as telecom.calls.v1.dlq/0/17"),
        ("intercept.decisions.v1/0/0", 2, "expected one of telecom.calls.v1"),
    ],
)
def test_a_position_that_is_none_is_told(cli: Dlq, where: str, code: int, says: str):
    assert says in " ".join(cli.run("dlq", "show", where, code=code).output.split())


def test_what_is_put_back_is_what_came_in_and_only_once(cli: Dlq):
    records = cli.bury([*originals(40), (b"tomb", None, [], 1), (None, b"no key", [("h", b"1")], 3)])
    said = cli.run("dlq", "redrive", "--dry-run").output
    assert summary(said) == "42 would be re-driven (dry run); 0 were before, 0 are copies of one, 0 cannot be"
    assert cli.came_back() == []
    assert summary(cli.run("dlq", "redrive").output).startswith("42 re-driven; 0 were before")
    back = cli.came_back()
    assert [bare(record) for record in back] == [bare(record) for record in records]
    assert {dict(record.headers)["dlq.redriven"] for record in back} == {b"1"}
    letters = {f"{each.topic}/{each.partition}/{each.offset}": each for each in cli.read(cli.queue)}
    assert all(letters[dict(each.headers)["dlq.from"].decode()].value == each.value for each in back)
    assert summary(cli.run("dlq", "redrive").output).startswith("0 re-driven; 42 were before")
    assert cli.came_back() == back


def test_filters_leave_what_a_later_run_takes(cli: Dlq):
    cli.bury(originals(30), "engine_error")
    cli.bury(originals(8), "unknown_version")
    took = [
        summary(cli.run("dlq", "redrive", *words).output).partition(" ")[0]
        for words in (
            ("--until", "2020-01-01"), ("--since", "2100-01-01"), ("--topic", "telecom.calls.v1"),
            ("--code", "unknown_version", "--limit", 3), ("--code", "unknown_version"), ("--limit", 7, "--rate", 40),
            ("--topic", f"{cli.sms}.dlq"), (),
        )
    ]  # fmt: skip
    assert took == ["0", "0", "0", "3", "5", "7", "23", "0"]
    assert len(cli.came_back()) == 38


def test_a_worker_that_died_left_two_letters_of_one_record_which_goes_back_once(cli: Dlq):
    records = cli.bury(originals(3))
    cli.letters(DeadLetter(record, "engine_error", "$: again") for record in records)
    assert summary(cli.run("dlq", "redrive").output) == ("3 re-driven; 0 were before, 3 are copies of one, 0 cannot be")
    cli.letters(DeadLetter(record, "invalid_field", "$: and again") for record in records)
    assert summary(cli.run("dlq", "redrive").output).startswith("0 re-driven; 9 were before")
    assert len(cli.came_back()) == 3


def test_what_cannot_go_back_as_it_was_is_told_and_stays(cli: Dlq):
    good, *bad = cli.bury(originals(5))
    (last,) = cli.bury([(b"k", b"often", [("dlq.redriven", b"3")], 0)])
    cut, null, gone = (dataclasses.replace(each, offset=100 + n) for n, each in enumerate(bad[:3]))
    cut = dataclasses.replace(cut, value=b"x" * (MAX_VALUE_BYTES + 1))
    null = dataclasses.replace(null, key=None, value=None)
    gone = dataclasses.replace(gone, partition=7)
    cli.letters(DeadLetter(each, "malformed", "$") for each in (cut, null, gone))
    asyncio.run(publish(cli.bootstrap, cli.queue, [(b"k", b"by hand", [("a", b"b")])]))
    result = cli.run("dlq", "redrive", code=1)
    assert "5 re-driven; 0 were before, 0 are copies of one, 5 cannot be" in result.stdout
    for says in (
        f"cut, the rest of a value of {MAX_VALUE_BYTES + 1:,} bytes; expected all: read {cli.sms}/{cut.partition}/100",
        "had neither key nor value",
        f"came from {cli.sms}/7/102; expected a partition below 4",
        "was re-driven 3 times and came back",
        "expected the headers dlq.reason, dlq.code",
        "5 letters cannot be re-driven; they stay where they are",
    ):
        assert says in result.stderr
    assert summary(cli.run("dlq", "redrive", "--code", "engine_error", "--force").output).startswith(
        "1 re-driven; 5 were"
    )
    assert [(r.value, dict(r.headers)["dlq.redriven"]) for r in cli.came_back() if r.value == last.value] == [
        (b"often", b"3"), (b"often", b"4")
    ]  # fmt: skip
    assert bare(good) in [bare(record) for record in cli.came_back()]


def test_headers_that_came_in_cannot_pass_for_ours(cli: Dlq):
    forged = [("dlq.reason", b"$"), ("dlq.code", b"nul"), ("dlq.topic", b"rules.v1"), ("dlq.partition", b"3"),
              ("dlq.offset", b"0"), ("dlq.timestamp", b"0"), ("dlq.was_null", b"true")]  # fmt: skip
    records = cli.bury([(b"k", b"a", forged, 0), (b"k", b'["0/0/0"]', [("dlq.note", b"redriven")], 0)])
    assert [(row["code"], row["letters"]) for row in cli.json("dlq", "list")["letters"]] == [("engine_error", 2)]
    cli.run("dlq", "redrive")
    assert [bare(record) for record in cli.came_back()] == [bare(record) for record in records]


@pytest.mark.parametrize("codec", CODECS)
def test_large_and_compressed_letters_go_back(cli: Dlq, codec: str):
    noise = random.Random(7).randbytes(900 << 10)
    text = event(0, text=TEXT * 60_000)  # 1.4 MiB, which only compressed fits on an input
    given: list[Original] = [(b"k", noise, [], 0), (b"k", event(1), [], 0)]
    records = cli.bury([*given, *([(b"k", text, [], 0)] if codec != "none" else [])], codec=codec)
    assert summary(cli.run("dlq", "redrive").output).startswith(f"{len(records)} re-driven")
    assert [bare(record) for record in cli.came_back()] == [bare(record) for record in records]


def test_what_the_topic_does_not_take_is_told_and_holds_nobody_up(cli: Dlq):
    noise = random.Random(7).randbytes(100 << 10)
    cli.bury([*originals(8), (b"large", noise, [], 1), *originals(8)])

    async def smaller() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=cli.bootstrap)
        await admin.start()
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, cli.sms, {"max.message.bytes": "50000"})])
        await admin.close()

    asyncio.run(smaller())
    result = cli.run("dlq", "redrive", code=1)
    assert "16 re-driven; 0 were before, 0 are copies of one, 1 cannot be" in result.stdout, result.stderr
    assert f"{cli.queue}/1/2: {cli.sms} takes no record of this size" in result.stderr
    assert len(cli.came_back()) == 16


OPEN = """
import os, signal
from stream.dlq.way import Way
stock, put, done = Way._write, Way.put, []
"""
KILL_BEFORE_COMMIT = (
    OPEN
    + """
async def write(self, *args):
    await stock(self, *args)
    done.append(1)
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
Way._write = write
"""
)
KILL_AFTER_COMMIT = (
    OPEN
    + """
async def put_and_die(self, *args):
    await put(self, *args)
    done.append(1)
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
Way.put = put_and_die
"""
)
WAIT_BEFORE_COMMIT = (
    OPEN
    + """
import sys
async def write(self, *args):
    await stock(self, *args)
    print("written", flush=True)
    sys.stdin.readline()
Way._write = write
"""
)


@pytest.mark.parametrize(("how", "committed"), [(KILL_BEFORE_COMMIT, 2), (KILL_AFTER_COMMIT, 3)])
def test_kill_9_leaves_whole_transactions_and_the_next_run_goes_on(cli: Dlq, how: str, committed: int):
    records = cli.bury((key, value, headers, 1) for key, value, headers, _ in originals(40))
    code, _, _ = cli.process(how, "--rate", 10)
    assert code == -signal.SIGKILL
    assert summary(cli.run("dlq", "redrive").output).startswith(
        f"{40 - committed * 10} re-driven; {committed * 10} were before"
    )
    assert [bare(record) for record in cli.came_back()] == [bare(record) for record in records]


def test_a_second_run_throws_the_first_one_out(cli: Dlq):
    records = cli.bury(originals(20))

    async def both() -> tuple[str, bytes]:
        first = await cli.begin(WAIT_BEFORE_COMMIT)
        assert first.stdout
        assert await asyncio.wait_for(first.stdout.readline(), 30) == b"written\n"
        second = await asyncio.to_thread(cli.run, "dlq", "redrive")
        _, told = await asyncio.wait_for(first.communicate(b"\n" * 9), 60)
        assert first.returncode == 1
        return second.output, told

    said, told = asyncio.run(both())
    assert summary(said).startswith("20 re-driven; 0 were before")
    assert b"another redrive has begun and taken over" in told
    assert b"Traceback" not in told
    assert sorted(map(bare, cli.came_back())) == sorted(map(bare, records))


def test_changes_are_not_re_driven_and_it_is_said_what_to_do(cli: Dlq):
    queue = cli.settings.named(dlq(LISTS)).name
    names = ("reason", "code", "topic", "partition", "offset", "timestamp")
    texts = ("$.number: no pattern", "invalid_field", queue.removesuffix(".dlq"), "0", "4", "1")
    headers = [(f"dlq.{name}", text.encode()) for name, text in zip(names, texts, strict=True)]
    asyncio.run(publish(cli.bootstrap, queue, [(b"entry/block/x", b"{}", headers)]))
    listed = cli.run("dlq", "list")
    assert "invalid_field" in listed.stdout
    assert "letters of lists.numbers.v1 are signed changes" in listed.stderr
    assert summary(cli.run("dlq", "redrive").output).startswith("0 re-driven")
    refused = " ".join(cli.run("dlq", "redrive", "--topic", "lists.numbers.v1", code=2).output.split())
    assert "have the change made again (`lanjie lists add`" in refused


async def test_a_worker_decides_what_was_put_back_and_what_is_still_wrong_comes_back(pipeline: Pipeline):
    good = [SmsEvent(id=f"s{n}", time=1_790_000_000_000 + n, a_number=f"1380000{n:04d}", b_number="13900000001",
                     text=TEXT) for n in range(20)]  # fmt: skip
    topic, queue = pipeline.prefix + SMS.name, pipeline.prefix + dlq(SMS).name
    await pipeline.publish(list(good))
    await publish(pipeline.bootstrap, topic, [(b"k", event(99, v=2), ())])
    broken = await pipeline.start(RAISING + COMMAND)
    await read_all(pipeline.bootstrap, queue, until=2)
    await pipeline.decisions(19)
    assert await broken.end(signal.SIGTERM) == 0

    cli = Dlq(pipeline.bootstrap, pipeline.folder, pipeline.prefix)
    assert await asyncio.to_thread(lambda: {r["code"] for r in cli.json("dlq", "list")["letters"]}) == {
        "engine_error", "unknown_version"
    }  # fmt: skip
    mended = await pipeline.start()
    for times in (1, 2, 3):
        await asyncio.to_thread(cli.run, "dlq", "redrive")
        letters = await read_all(pipeline.bootstrap, queue, until=lambda seen, n=times: sum(
            dict(each.headers).get("dlq.code") == b"unknown_version" for each in seen) > n)  # fmt: skip
        assert max(dict(each.headers).get("dlq.redriven", b"0") for each in letters) == b"%d" % times
    decided = [decode_decision(record.value).event_id for record in await pipeline.decisions(20)]
    assert sorted(decided) == sorted(each.id for each in good)
    refused = await asyncio.to_thread(lambda: cli.run("dlq", "redrive", code=1).stderr)
    assert "was re-driven 3 times and came back" in refused
    assert await mended.end(signal.SIGTERM) == 0
