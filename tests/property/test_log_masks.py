"""No number and no message in a log line, wherever in it they are put, whoever says it, in either form."""

from __future__ import annotations

import json
import logging
import re
from datetime import datetime

from hypothesis import example, given
from hypothesis import strategies as st

from detectors.model.errors import LanjieError
from stream.log_lines import Lines
from stream.log_masks import digits_masked
from stream.settings import LOG_FORMATS

WIDE = str.maketrans("0123456789", "".join(map(chr, range(0xFF10, 0xFF1A))))
GROUPED = st.sampled_from(["{0}{1}{2}", "{0} {1} {2}", "{0}-{1}-{2}", "({0}) {1}.{2}", "{0} - {1} / {2}"])
PREFIXES = st.sampled_from(["", "+86", "0086", "+86 ", "86-", "tel:+86", "0"])


@st.composite
def numbers(draw) -> str:
    """A phone number as people and systems write it."""
    parts = [draw(st.from_regex(pattern, fullmatch=True)) for pattern in ("1[3-9][0-9]", "[0-9]{4}", "[0-9]{4}")]
    written = draw(PREFIXES) + draw(GROUPED).format(*parts)
    return written.translate(WIDE) if draw(st.booleans()) else written


#: What may stand beside a number without making it part of another.
BESIDE = st.text("abcxyz ,;:'\"<>[]{}=您号_", max_size=5)
MESSAGES = st.sampled_from(
    ["您的积分即将过期", "your account is suspended", "click http://icbc.example/x now", "转账 to me"]
)
LIBRARIES = st.sampled_from(["aiokafka.conn", "faust.app", "asyncio", "mode", "root", "streaming", "py.warnings"])
LOGGERS = st.one_of(LIBRARIES, st.sampled_from(["stream.app", "detectors.engine"]))
HOW = (
    "text",
    "bytes",
    "list",
    "dict",
    "object",
    "error",
    "our error",
    "template",
    "exc_info",
    "extra",
    "logger's error",
)


class Thing:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Thing({self.text})"


def said(logger: str, how: str, secret: str, form: str) -> str:
    """The line in which ``secret`` is put in the given way."""
    values = {
        "text": secret,
        "bytes": secret.encode(),
        "list": [1, (secret, None)],
        "dict": {secret: {"value": secret}},
        "object": Thing(secret),
        "error": ValueError(secret),
        "our error": LanjieError(secret),
        "logger's error": KeyError(secret),
    }
    record = logging.LogRecord(logger, logging.ERROR, __file__, 1, "see %s at %d", (values.get(how, "x"), 5), None)
    if how == "template":
        record.msg, record.args = f"see {secret.replace('%', '')}", ()
    elif how == "extra":
        record.subscriber = secret
    elif how == "exc_info":
        error = ValueError(secret)
        error.__cause__ = KeyError(secret)
        record.exc_info = type(error), error, None
    line = Lines(form).format(record)
    assert len(line.splitlines()) == 1
    return line


def digits(text: str) -> str:
    """All digits, plain, whatever parts them."""
    return "".join(str(int(each)) for each in text if each.isdecimal())


@given(LOGGERS, st.sampled_from(HOW), numbers(), st.tuples(BESIDE, BESIDE))
@example("stream.app", "text", "+86 138 0000 1234", ("", ""))
@example("stream.app", "our error", "１３８００００１２３４", ("", ""))
def test_no_number_leaves_whole(logger: str, how: str, number: str, beside: tuple[str, str]):
    line = "".join(said(logger, how, number.join(beside), form) for form in LOG_FORMATS)
    assert digits(number)[-11:] not in digits(re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "", line))
    assert number not in line


@given(LIBRARIES, st.sampled_from([how for how in HOW if how not in {"template", "our error"}]), MESSAGES)
def test_no_message_leaves_through_a_library(logger: str, how: str, text: str):
    for form in LOG_FORMATS:
        assert text not in said(logger, how, text, form)


@given(LOGGERS, st.sampled_from(["error", "exc_info", "logger's error", "bytes"]), MESSAGES)
def test_no_message_leaves_through_an_exception(logger: str, how: str, text: str):
    for form in LOG_FORMATS:
        assert text not in said(logger, how, text, form)


@given(st.text())
def test_any_text_becomes_one_line_that_can_be_written(text: str):
    shown = digits_masked(text)
    assert len(shown.splitlines()) <= 1
    shown.encode()
    assert digits_masked(shown) == shown


@given(
    st.from_regex(r"[0-9]{1,9}-[0-9a-f]{12}([0-9a-f]{4})?", fullmatch=True).filter(
        lambda text: re.search("[a-f]", text) and not re.search(r"\d{10}", text)
    )
)
def test_our_versions_stay(version: str):
    assert digits_masked(f"rules {version} in force") == f"rules {version} in force"


@given(st.datetimes(), st.ip_addresses(v=4), st.uuids(), st.integers(0, 65535))
def test_times_addresses_and_ids_stay(time, address, uuid, port):
    for text in (
        f"since {time:20%y-%m-%dT%H:%M:%S}Z",
        f"{address}:{port}",
        f"member {uuid}",
        f"{time:20%y-%m-%d}",
    ):
        assert digits_masked(text) == text


@given(
    st.datetimes(),
    st.sampled_from(
        ["%y-%m-%d", "%y-%m-%dT%H:%M", "%y-%m-%d %H:%M:%S", "%y-%m-%d %H:%M:%S,%f", "%y-%m-%dT%H:%M:%S.%f"]
    ),
    st.sampled_from(["", " ", "T", ":", ",", ".", "-", " - "]),
    st.from_regex(r"[1-9][0-9]{6,12}", fullmatch=True),
)
@example(datetime.fromisoformat("2026-11-26"), "%y-%m-%d", " ", "87654321")
@example(datetime.fromisoformat("2026-11-26"), "%y-%m-%d", "T", "1234567")
def test_a_number_after_a_time_is_hidden(time: datetime, form: str, between: str, number: str):
    moment = f"20{time:{form}}"
    assert number not in digits_masked(f"call at {moment}{between}{number} failed")


@given(st.from_regex(r"[0-9]{7,30}", fullmatch=True))
def test_most_of_a_number_is_hidden(number: str):
    shown = digits_masked(number)
    assert len(shown) == len(number)
    assert sum(map(str.isdigit, shown)) <= (2 if len(number) <= 10 else 8)


@given(st.integers(), st.floats(allow_nan=False), LOGGERS)
def test_numbers_given_as_numbers_stay(whole: int, real: float, logger: str):
    record = logging.LogRecord(logger, logging.INFO, __file__, 1, "%d %r %s", (whole, real, whole), None)
    assert json.loads(Lines("json").format(record))["message"] == f"{whole} {real} {whole}"
