"""The worker as a process, with topics and a group of its own. Every wait ends when the worker does."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import uuid
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from aiokafka import ConsumerRecord

from detectors.model.events import Event
from stream.topics import DECISIONS, topic_for
from stream.wire import encode_event
from tests.support.topics import publish, read_all

BLOCKED = "13800000007"
COMMAND = "from stream.cli.worker import worker; worker()"


class Worker:
    """A worker process. Its log is kept for the failure message."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.log: list[str] = []
        self.url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for line in self.process.stderr:
            self.log.append(line.decode().rstrip())
            if "health and metrics: " in self.log[-1] and not self.url.done():
                self.url.set_result(self.log[-1].rpartition(" ")[2])

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(await self.url + path) as response:
            return response.status, await response.text()

    async def until(self, path: str, holds: Callable[[str], bool], timeout: float = 30) -> str:
        """Ask until ``holds``; fails at once if the worker exits."""
        async with asyncio.timeout(timeout):
            while not holds(body := (await self.get(path))[1]):
                with contextlib.suppress(TimeoutError):
                    code = await asyncio.wait_for(self.process.wait(), 0.1)
                    pytest.fail(f"the worker exited with {code}:\n" + "\n".join(self.log[-20:]))
        return body

    async def end(self, how: signal.Signals, within: float = 10) -> int:
        self.process.send_signal(how)
        code = await asyncio.wait_for(self.process.wait(), within)
        await self._reader
        return code


class Pipeline:
    """Topics and a group of their own, and the workers of a test."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.bootstrap, self.folder = bootstrap, folder
        self.prefix = f"t{uuid.uuid4().hex[:8]}."
        self.workers: list[Worker] = []
        (folder / "lists.csv").write_text(f"number,list,weight,reason,source\n{BLOCKED},block,150,test,test\n")

    async def start(self, command: str = COMMAND, **environ: str) -> Worker:
        settings = {
            "LANJIE_BOOTSTRAP": self.bootstrap,
            "LANJIE_GROUP": self.prefix + "group",
            "LANJIE_TOPIC_PREFIX": self.prefix,
            "LANJIE_METRICS_PORT": "0",
            "LANJIE_LISTS": str(self.folder / "lists.csv"),
            "LANJIE_DATA_DIR": str(self.folder),
            **environ,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", command, env=settings, stderr=asyncio.subprocess.PIPE, limit=1 << 20
        )
        self.workers.append(Worker(process))
        return self.workers[-1]

    async def publish(self, events: list[Event]) -> None:
        by_topic = defaultdict(list)
        for event in events:
            by_topic[topic_for(event).name].append((event.a_number.encode(), encode_event(event), ()))
        for topic, records in by_topic.items():
            await publish(self.bootstrap, self.prefix + topic, records)

    async def decisions(self, until: int | Callable[[list[ConsumerRecord]], bool]) -> list[ConsumerRecord]:
        """What is on the topic by then; if that takes too long, what the workers said last is shown."""
        try:
            return await read_all(self.bootstrap, self.prefix + DECISIONS.name, until=until, timeout=90)
        except TimeoutError as error:
            logs = "\n\n".join("\n".join(worker.log[-20:]) for worker in self.workers)
            pytest.fail(f"{error}\n{logs}")
