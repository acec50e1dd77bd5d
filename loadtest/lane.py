"""The driver's way to one partition: what becomes due while a batch is on its way is collected for the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

Headers = list[tuple[str, bytes]]


class Lane:
    """Batches for one partition, in order.

    Attributes:
        records: added so far.
        waiting: of them, not yet acknowledged.
        held: seconds that the oldest record of a batch waited here, at worst.
    """

    def __init__(self, producer: Any, topic: str, partition: int) -> None:
        self._producer, self._topic, self._partition = producer, topic, partition
        self._batches: deque[tuple[Any, float]] = deque()  #: the last one is open; and since when each is there
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self.records = self.waiting = 0
        self.held = 0.0

    def add(self, stamp: int, key: bytes, value: bytes | None, headers: Headers) -> None:
        """Put a record into the open batch, or into a new one."""
        batches = self._batches
        if not batches or batches[-1][0].append(timestamp=stamp, key=key, value=value, headers=headers) is None:
            batch = self._producer.create_batch()
            batch.append(timestamp=stamp, key=key, value=value, headers=headers)  # the first may be of any size
            batches.append((batch, self._loop.time()))
        self.records += 1
        self.waiting += 1

    def start(self) -> asyncio.Task[None] | None:
        """Send what is here, unless that is going on."""
        if self._batches and (self._task is None or self._task.done()):
            self.check()
            self._task = self._loop.create_task(self._send())
        return self._task

    def check(self) -> None:
        """Raises what went wrong, if something did."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Send nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _send(self) -> None:
        while self._batches:
            batch, since = self._batches.popleft()
            batch.close()
            self.held = max(self.held, self._loop.time() - since)
            await (await self._producer.send_batch(batch, self._topic, partition=self._partition))
            self.waiting -= batch.record_count()
