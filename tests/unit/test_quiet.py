"""Log lines of the Kafka libraries: one of those that are alike in ten seconds, and how many there were."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

import pytest

from stream import quiet
from stream.log_lines import Lines
from stream.log_masks import CUT
from stream.quiet import EVERY, Seldom, quiet_logs


@dataclass
class Time:
    now: float = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return 0


class Log(logging.Handler):
    """Keeps what is written, as a worker's handler writes it."""

    def __init__(self, time: Time) -> None:
        super().__init__()
        self.said: list[dict[str, str]] = []
        self.setFormatter(Lines("json"))
        self.addFilter(Seldom(time))

    @property
    def lines(self) -> list[str]:
        return [each["message"] for each in self.said]

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(json.loads(self.format(record)))

    def say(self, name: str, text: str, *args: object, level: int = logging.ERROR) -> None:
        self.handle(logging.LogRecord(name, level, __file__, 1, text, args, None))


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def log(time: Time) -> Log:
    return Log(time)


def test_the_same_line_passes_once_in_ten_seconds_and_says_how_many_there_were(time: Time, log: Log):
    #  100.0  one passes         100.5 .. 109.5  19 do not          110.0  one passes, and tells
    for step in range(21):
        time.now = 100.0 + step / 2
        log.say("aiokafka.client", "Unable connect to node with id %s: %s", step, "refused")
    assert log.lines == [
        "Unable connect to node with id 0: refused",
        "Unable connect to node with id 20: refused [19 more like this in the 10 s before]",
    ]


def test_what_was_told_is_not_told_again(time: Time, log: Log):
    log.say("kafka", "away")
    log.say("kafka", "away")
    for later in (EVERY, 2 * EVERY):
        time.now = 100 + later
        log.say("kafka", "away")
    assert log.lines == ["away", "away [1 more like this in the 10 s before]", "away"]


@pytest.mark.parametrize("name", ["stream.app", "detectors", "aiokafkaish", "asyncio"])
def test_all_others_pass_every_time(log: Log, name: str):
    log.say(name, "the same")
    log.say(name, "the same")
    assert log.lines == ["the same"] * 2


def test_loggers_levels_and_texts_are_told_apart(log: Log):
    log.say("aiokafka.client", "away")
    log.say("aiokafka.conn", "away")
    log.say("aiokafka.client", "away", level=logging.WARNING)
    log.say("aiokafka.client", "back")
    log.say("aiokafka.client", "away")
    assert log.lines == ["away", "away", "away", "back"]


def test_debugging_is_not_disturbed(log: Log):
    for _ in range(3):
        log.say("faust.transport", "fetching", level=logging.DEBUG)
    assert len(log.lines) == 3


def test_percent_signs_of_a_told_line_are_kept(time: Time, log: Log):
    log.say("mode.services", "%s at 100%%", "lag")
    log.say("mode.services", "%s at 100%%", "lag")
    time.now += EVERY
    log.say("mode.services", "%s at 100%%", "lag")
    assert log.lines[-1] == "lag at 100% [1 more like this in the 10 s before]"


def test_the_event_of_a_line_is_the_same_whatever_is_told_with_it(time: Time, log: Log):
    for _ in range(2):
        log.say("aiokafka", "Unable connect to %s", "a:1")
    time.now += EVERY
    log.say("aiokafka", "Unable connect to %s", "a:1")
    assert [each["event"] for each in log.said] == ["Unable connect to %s"] * 2
    assert log.lines[1] == "Unable connect to a:1 [1 more like this in the 10 s before]"
    assert all(set(each) == {"time", "level", "logger", "event", "message"} for each in log.said)


def test_a_long_text_is_cut_but_not_what_is_told_with_it(time: Time, log: Log):
    for _ in range(2):
        log.say("aiokafka", "x" * 1_000)
    time.now += EVERY
    log.say("aiokafka", "x" * 1_000)
    assert log.lines == ["x" * CUT, "x" * CUT + " [1 more like this in the 10 s before]"]


def test_lines_that_are_all_different_do_not_fill_the_memory(time: Time, log: Log, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(quiet, "MOST", 10)
    for number in range(1_000):
        log.say("kafka", f"number {number}")
    assert len(log.lines) == 1_000
    (seldom,) = log.filters
    assert len(seldom._passed) <= 10


def test_children_of_a_library_are_heard_through_the_handlers(monkeypatch: pytest.MonkeyPatch):
    handler = logging.NullHandler()
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    quiet_logs(Time())
    assert [type(each) for each in handler.filters] == [Seldom]
