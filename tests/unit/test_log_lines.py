"""Log lines: their form as text and JSON, exceptions without what they quote, and what goes wrong while logging."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from detectors.model.errors import LanjieError
from stream.log_lines import FRAMES, Lines

NUMBER = "13900001234"
MESSAGE = "您的积分即将过期,请登录兑换"


def line(form: str, text: object, *args: object, name: str = "stream.app", level: int = logging.INFO, **more) -> str:
    record = logging.LogRecord(name, level, __file__, 1, text, args, more.pop("exc_info", None))
    record.created = 1790000000.1234
    vars(record).update(more)
    return Lines(form).format(record)


def as_json(text: object, *args: object, **more) -> dict[str, object]:
    return json.loads(line("json", text, *args, **more))


def message(text: object, *args: object, name: str = "stream.app") -> str:
    return as_json(text, *args, name=name)["message"]


def raised(error: BaseException) -> tuple[type[BaseException], BaseException, object]:
    def fail() -> None:
        raise error

    try:
        fail()
    except BaseException:  # noqa: BLE001 - to have its traceback
        return sys.exc_info()


def test_text():
    assert line("text", "health and metrics: %s", "http://127.0.0.1:9464") == (
        "2026-09-21T14:13:20.123Z INFO stream.app: health and metrics: http://127.0.0.1:9464"
    )


def test_json():
    assert as_json("%s offset %d: %s", "rules.v1", 7, "old", level=logging.WARNING) == {
        "time": "2026-09-21T14:13:20.123Z",
        "level": "WARNING",
        "logger": "stream.app",
        "event": "%s offset %d: %s",
        "message": "rules.v1 offset 7: old",
    }


def test_fields_are_those_that_the_caller_adds():
    assert as_json("moved", shard=3, who=NUMBER)["fields"] == {"shard": 3, "who": "139000***34"}
    assert "fields" not in as_json("moved", name="faust.app", data=NUMBER)


@pytest.mark.parametrize("form", ["text", "json"])
def test_one_line_whatever_is_in_it(form: str):
    said = line(form, "a\nb %s", "c\r\nd\u2028e\x1b[31m\ud800", exc_info=raised(LanjieError("x\ny")))
    assert len(said.splitlines()) == 1
    said.encode()


# -- exceptions


def test_of_an_exception_there_are_type_and_way_and_never_what_it_quotes():
    secret = f"{NUMBER} {MESSAGE}"
    said = as_json("lists stay", exc_info=raised(ValueError(secret)))
    assert said["error"]["type"] == said["error"]["text"] == "ValueError"
    place = " > ".join(said["error"]["at"])
    assert [each.rpartition(":")[0] for each in said["error"]["at"]] == [__name__] * 2
    text = line("text", "lists stay", exc_info=raised(ValueError(secret)))
    assert text.endswith(f"lists stay [ValueError at {place}]")


def test_texts_of_our_own_errors_and_of_files_and_kafka_are_told():
    for error, said in (
        (LanjieError(f"l.csv:3: {NUMBER}: expected"), "l.csv:3: 139000***34: expected"),
        (FileNotFoundError(2, "No such file", "/a"), "[Errno 2] No such file: '/a'"),
        (KafkaConnectionError("no 10.0.0.1:9092"), "KafkaConnectionError: no 10.0.0.1:9092"),
        (KeyError(NUMBER), "KeyError"),
        (TimeoutError(), "TimeoutError"),
    ):
        assert message("%s", error) == message("%s", error, name="aiokafka.client") == said


def test_causes_are_told_and_end():
    first, second = ValueError(MESSAGE), OSError(28, "No space left")
    second.__cause__ = first
    first.__cause__ = second  # a circle
    said = line("text", "x", exc_info=raised(second))
    assert "OSError: [Errno 28] No space left at " in said
    assert said.count("caused by") == 3
    assert MESSAGE not in said


def test_a_long_way_is_cut_at_its_outer_end():
    def deeper(left: int) -> None:
        if not left:
            raise ValueError
        deeper(left - 1)

    try:
        deeper(50)
    except ValueError:
        said = as_json("x", exc_info=sys.exc_info())
    assert len(said["error"]["at"]) == FRAMES
    assert len(set(said["error"]["at"])) == 2


# -- what is said by libraries


def test_of_libraries_names_and_numbers_are_told_and_texts_are_not():
    def kafka(text: object, *args: object) -> str:
        return message(text, *args, name="aiokafka.consumer")

    assert kafka("group %s at %d: %.1f", "lanjie-1", 123456789, 0.25) == "group lanjie-1 at 123456789: 0.2"
    assert kafka("%s", {TopicPartition("t.calls", 0)}) == "(TopicPartition(t.calls, 0))"
    assert kafka("%d %s", 1, {"t": [1, None, b"abc"]}) == "1 (t=(1, None, <3 bytes>))"
    assert kafka("%r", MESSAGE) == f"'<{len(MESSAGE)} characters>'"
    assert kafka("%s", object()) == "<object>"
    assert kafka("%s %s", int, list(range(50)))[:20] == "int (0, 1, 2, 3, 4, "
    assert kafka(f"Task failed\nfuture: {MESSAGE}") == "Task failed"
    assert kafka(f"got {MESSAGE[:2]}") == "got **"
    assert kafka(ValueError(MESSAGE)) == "ValueError"
    assert kafka("%(topic)s", {"topic": "t", "value": MESSAGE}) == "t"


# -- what goes wrong


@pytest.mark.parametrize("args", [(), ("x", "y"), ("x",)])
def test_arguments_that_do_not_fit(args: tuple[str, ...]):
    assert message("%d of %s", *args) in {"%d of %s", "%d of %s [its arguments do not fit]"}


def test_an_argument_that_cannot_be_shown():
    class Bad:
        def __str__(self) -> str:
            raise RuntimeError(MESSAGE)

    assert message("%s", Bad()) == "a line that cannot be shown: RuntimeError"
    assert as_json("x", huge=1 << 70)["message"] == "a line that cannot be shown: TypeError"


AWKWARD = f"""
import logging, threading, warnings
from stream.clock import SystemClock
from stream.log_lines import set_up_logs
set_up_logs("INFO", "json", SystemClock())
logging.getLogger("aiokafka").info("%d", {NUMBER!r}, {MESSAGE!r})
warnings.warn({MESSAGE!r})
thread = threading.Thread(target=lambda: [].index({NUMBER!r}))
thread.start()
thread.join()
{{}}[{NUMBER!r}]
"""


def test_all_that_a_process_says_are_such_lines():
    done = subprocess.run(
        [sys.executable, "-c", AWKWARD], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    lines = [json.loads(each) for each in done.stderr.splitlines()]
    assert [(each["logger"], each["message"]) for each in lines] == [
        ("aiokafka", "%d [its arguments do not fit]"),
        ("py.warnings", f"<string>:7: UserWarning: {'*' * 8},{'*' * 5}"),
        ("stream.log_lines", "nobody caught ValueError"),
        ("stream.log_lines", "nobody caught KeyError"),
    ]
    assert [each["error"]["type"] for each in lines[2:]] == ["ValueError", "KeyError"]
    assert NUMBER not in done.stderr
    assert MESSAGE not in done.stderr
    assert done.returncode == 1
