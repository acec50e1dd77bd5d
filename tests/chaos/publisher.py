"""Open-loop load: what is due is sent, whatever the workers do. Straight to the broker, which it survives.

It keeps what the broker acknowledged of each record. After a failure it does not send a record again, as nobody can say
whether it is on the topic: the topics themselves are the truth, and what was acknowledged must be on them.
"""

from __future__ import annotations

import asyncio
import logging
from array import array
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream.clock import Clock
from stream.settings import Settings
from tests.chaos.traffic import MARK, Traffic

log = logging.getLogger(__name__)

TICK: Final = 0.005  # seconds between looks at what is due
#: A broker may be away for this long before a record is given up.
PATIENCE_MS: Final = 120_000


class Acked:
    """By record number: when it was sent, and where the broker put it. Partition -1: never acknowledged."""

    def __init__(self) -> None:
        self.sent = array("d")  #: clock.monotonic()
        self.good = array("b")  #: 0 for what is no event
        self.partition = array("b")
        self.offset = array("q")  #: -1: acknowledged as a repetition, whose offset the broker had forgotten

    def __len__(self) -> int:
        return len(self.sent)

    def add(self, now: float, *, good: bool) -> None:
        """One more record."""
        self.sent.append(now)
        self.good.append(good)
        self.partition.append(-1)
        self.offset.append(-1)


class Publisher:
    """Sends ``rate`` records a second until told to stop.

    Attributes:
        acked: what is known of every record sent.
        unknown: records whose delivery failed: they may be on the topic or not.
        late: seconds, the worst lag behind the schedule.
    """

    def __init__(self, settings: Settings, traffic: Traffic, *, rate: float, clock: Clock) -> None:
        self._settings, self._traffic, self._rate, self._clock = settings, traffic, rate, clock
        self._stopping = asyncio.Event()
        self._open = 0
        self._broken = False
        self.acked = Acked()
        self.unknown = 0
        self.late = 0.0

    def stop(self) -> None:
        """No more; ``run`` returns once all is acknowledged."""
        self._stopping.set()

    async def run(self) -> None:
        """Publish."""
        started = self._clock.monotonic()
        while not self._stopping.is_set():
            producer = AIOKafkaProducer(
                bootstrap_servers=self._settings.bootstrap,
                acks="all",
                enable_idempotence=True,
                max_batch_size=256 << 10,
                max_request_size=2 << 20,
                request_timeout_ms=PATIENCE_MS,
                linger_ms=5,
            )
            await self._start(producer)
            try:
                await self._flow(producer, started)
            finally:
                await producer.stop()

    async def _start(self, producer: AIOKafkaProducer) -> None:
        async with asyncio.timeout(PATIENCE_MS / 1000):
            while True:
                try:
                    await producer.start()
                except KafkaError:
                    await asyncio.sleep(0.2)
                else:
                    return

    async def _flow(self, producer: AIOKafkaProducer, started: float) -> None:
        """Until told to stop, or until the producer is of no more use."""
        self._broken = False
        while not (self._stopping.is_set() or self._broken):
            elapsed = self._clock.monotonic() - started
            due = int(elapsed * self._rate) - len(self.acked)
            self.late = max(self.late, due / self._rate)
            for _ in range(min(due, 2_000)):
                await self._send(producer)
            await asyncio.sleep(TICK if due < 2_000 else 0)
        await producer.flush()

    async def _send(self, producer: AIOKafkaProducer) -> None:
        n, now = len(self.acked), self._clock.wall_ms()
        item = self._traffic.item(n, now)
        self.acked.add(self._clock.monotonic(), good=MARK not in item.headers)
        name = self._settings.named(item.topic).name
        try:
            sent = await producer.send(name, item.value, item.key, timestamp_ms=now, headers=item.headers)
        except KafkaError as error:
            self._failed(error)
            return
        self._open += 1
        sent.add_done_callback(lambda done: self._settle(n, done))

    def _settle(self, n: int, done: asyncio.Future) -> None:
        self._open -= 1
        if done.cancelled():
            self.unknown += 1
        elif error := done.exception():
            self._failed(error)
        else:
            where = done.result()
            self.acked.partition[n], self.acked.offset[n] = where.partition, where.offset

    def _failed(self, error: BaseException) -> None:
        self.unknown += 1
        if not self._broken:
            log.warning("the publisher goes on with a new producer: %s", type(error).__name__)
        self._broken = True
