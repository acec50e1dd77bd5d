"""The log level at run time: louder for a while, and back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from stream.log_level import LogLevel, level_now


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    before = logging.getLogger().level
    logging.getLogger().setLevel("ERROR")
    yield
    logging.getLogger().setLevel(before)


async def test_louder_ends_by_itself():
    levels = LogLevel("ERROR", loud_for=0.01)
    levels.louder()
    assert level_now() == "DEBUG"
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, later.set)
    await later.wait()
    assert level_now() == "ERROR"


async def test_told_again_the_time_begins_anew():
    levels = LogLevel("ERROR", loud_for=600)
    levels.louder()
    first = levels._end
    levels.louder()
    assert first.cancelled()
    assert not levels._end.cancelled()
    levels.as_set()
    assert level_now() == "ERROR"
    assert levels._end is None


async def test_a_change_is_told_whatever_the_level(caplog: pytest.LogCaptureFixture):
    levels = LogLevel("CRITICAL")
    levels.louder()
    levels.as_set()
    assert [each.getMessage() for each in caplog.records] == [
        "the log level is DEBUG for 600 s, or until SIGUSR2",
        "the log level is CRITICAL as LANJIE_LOG_LEVEL says",
    ]
