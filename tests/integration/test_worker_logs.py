"""What a real worker writes: at the level that it is told, in the form that is set, and nothing of what it reads."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from detectors.model.events import SmsEvent
from stream.topics import SMS
from tests.support.topics import publish
from tests.support.worker import BLOCKED, Pipeline

NOWHERE = "127.0.0.1:1"
SUBSCRIBER = "13900001234"
TEXT = "您的积分即将过期请登录兑换现金"


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Pipeline]:
    """A pipeline without Kafka: a worker starts, serves health and waits."""
    made = Pipeline(NOWHERE, tmp_path)
    yield made
    for worker in made.workers:
        if worker.process.returncode is None:
            await worker.end(signal.SIGKILL)


async def test_signals_change_the_level_of_a_worker(alone: Pipeline):
    def level(name: str):
        return lambda body: json.loads(body)["log_level"] == name

    worker = await alone.start()
    await worker.until("/", level("INFO"))
    worker.process.send_signal(signal.SIGUSR1)
    await worker.until("/", level("DEBUG"))
    worker.process.send_signal(signal.SIGUSR2)
    await worker.until("/", level("INFO"))
    assert await worker.end(signal.SIGTERM) == 0
    said = [line.partition(" stream.log_level: ")[2] for line in worker.log if " stream.log_level: " in line]
    assert said == [
        "the log level is DEBUG for 600 s, or until SIGUSR2",
        "the log level is INFO as LANJIE_LOG_LEVEL says",
    ]


async def test_a_worker_reads_its_file(alone: Pipeline):
    config = alone.folder / "lanjie.toml"
    config.write_text('log_format = "json"\nlog_level = "WARNING"\n')
    worker = await alone.start(LANJIE_CONFIG=str(config), LANJIE_METRICS_PORT="70000")
    assert await worker.process.wait() == 2
    await worker._reader
    assert worker.log[-1] == "Error: LANJIE_METRICS_PORT='70000': expected a whole number from 0 to 65535"


async def test_at_debug_every_line_is_json_and_says_nothing_of_what_is_read(pipeline: Pipeline):
    texts = [
        SmsEvent(id=f"e{n}", time=1_790_000_000_000 + n, a_number=SUBSCRIBER, b_number=BLOCKED, text=TEXT)
        for n in range(20)
    ]
    await pipeline.publish(list(texts))
    broken = f'{{"kind":"sms","a_number":"{SUBSCRIBER}","text":"{TEXT}'.encode()
    await publish(pipeline.bootstrap, pipeline.prefix + SMS.name, [(SUBSCRIBER.encode(), broken, ())])
    worker = await pipeline.start(LANJIE_LOG_FORMAT="json", LANJIE_LOG_LEVEL="DEBUG")
    await pipeline.decisions(until=len(texts))
    assert await worker.end(signal.SIGTERM) == 0
    lines = [json.loads(line) for line in worker.log]
    assert {"aiokafka", "faust", "stream"} <= {line["logger"].partition(".")[0] for line in lines}
    assert any(line["level"] == "DEBUG" and "Request" in line["message"] for line in lines), "as loud as it gets"
    written = "\n".join(worker.log)
    for secret in (SUBSCRIBER, BLOCKED, TEXT, TEXT[:4], repr(TEXT.encode())[2:20], json.dumps(TEXT)[1:20]):
        assert secret not in written
