"""Watches decisions come in, and tells how long it takes until they are up to date again.

**Recovered** is the moment at which, on every partition of every input topic, a decision has been seen for an event
that was sent after the fault (after its end, for a fault that lasts) and that was sent at most ``FRESH`` seconds ago.
Order is kept within a partition, so all that was sent to it before has been decided by then: the backlog is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream.clock import Clock
from stream.settings import Settings
from stream.topics import DECISIONS, INPUTS
from tests.chaos.publisher import Acked
from tests.chaos.traffic import number_of

log = logging.getLogger(__name__)

FRESH: Final = 1.0  # seconds


class Seen(msgspec.Struct):
    """What is needed of a decision."""

    event_id: str
    kind: str


@dataclass
class Wait:
    """Somebody waits until all that was sent before and some that was sent after ``since`` is decided."""

    since: float
    recovered: asyncio.Future[float]
    flows: float = 0.0  #: when each partition had a decision about something later; clock.monotonic()


class Monitor:
    """Follows the decisions topic, read_committed, past the proxy.

    Attributes:
        decided: by event number, how many decisions were seen (at most 255).
    """

    def __init__(self, settings: Settings, acked: Acked, clock: Clock) -> None:
        self._settings, self._acked, self._clock = settings, acked, clock
        self._newest = {(t.kind, p): 0.0 for t in INPUTS for p in range(settings.partitions)}
        self._waits: list[Wait] = []
        self._positions: dict[TopicPartition, int] = {}
        self.decided = bytearray()
        self.decisions = 0

    async def recovery(self, since: float, timeout: float) -> tuple[float, float] | None:
        """When decisions flowed again on all partitions, and when they were up to date; None: not in time."""
        wait = Wait(since, asyncio.get_running_loop().create_future())
        self._waits.append(wait)
        try:
            async with asyncio.timeout(timeout):
                return await wait.recovered, wait.flows
        except TimeoutError:
            return None
        finally:
            self._waits.remove(wait)

    def behind(self) -> str:
        """The partitions that are not up to date, and since when, for messages."""
        now = self._clock.monotonic()
        old = {
            key: f"{now - sent:.0f} s" if sent else "never" for key, sent in self._newest.items() if now - sent > FRESH
        }
        return ", ".join(f"{kind}/{partition} {age}" for (kind, partition), age in sorted(old.items()))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._settings.bootstrap,
                isolation_level="read_committed",
                fetch_max_wait_ms=50,
                max_partition_fetch_bytes=4 << 20,
            )
            try:
                await consumer.start()
                await self._follow(consumer)
            except KafkaError as error:
                log.info("the monitor connects again: %s", type(error).__name__)
                await asyncio.sleep(0.2)
            finally:
                with contextlib.suppress(asyncio.CancelledError):  # aiokafka's own, if a fetch has just failed
                    await consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        name = self._settings.named(DECISIONS).name
        tps = [TopicPartition(name, p) for p in range(self._settings.partitions)]
        consumer.assign(tps)
        for tp in tps:
            consumer.seek(tp, self._positions.get(tp, 0))
        while True:
            for tp, records in (await consumer.getmany(timeout_ms=100)).items():
                for record in records:
                    self._take(tp.partition, record.value)
                self._positions[tp] = records[-1].offset + 1
            self._tell()

    def _take(self, partition: int, value: bytes) -> None:
        seen = msgspec.json.decode(value, type=Seen)
        n, key = number_of(seen.event_id), (seen.kind, partition)
        self.decisions += 1
        if n >= len(self.decided):
            self.decided.extend(bytes(max(100_000, n - len(self.decided) + 1)))
        self.decided[n] = min(255, self.decided[n] + 1)
        self._newest[key] = max(self._newest[key], self._acked.sent[n])

    def _tell(self) -> None:
        """Those whose wait is over."""
        now, oldest = self._clock.monotonic(), min(self._newest.values())
        for wait in self._waits:
            if oldest <= wait.since or wait.recovered.done():
                continue
            wait.flows = wait.flows or now
            if now - oldest <= FRESH:
                wait.recovered.set_result(now)
