"""What integration tests share."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stream.topics import ALL
from tests.support.topics import create_topics
from tests.support.worker import Pipeline


@pytest.fixture
async def pipeline(kafka: str, tmp_path: Path) -> AsyncIterator[Pipeline]:
    """Topics and a group of their own; workers that a test leaves running are killed."""
    made = Pipeline(kafka, tmp_path)
    await create_topics(kafka, {made.prefix + topic.name: topic.partitions for topic in ALL})
    yield made
    for worker in made.workers:
        if worker.process.returncode is None:
            await worker.end(signal.SIGKILL)
