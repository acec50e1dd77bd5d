"""The partition numbers that this worker decides, each with the memory of what came before.

A shard is partition n of all three inputs together; the assignor gives a worker all of them or none. When it is
assigned, nothing of it is fetched until its memory is that of whoever decided the last event of it:

1. **Open** the outbox: with exactly-once this throws out who had the shard before, should they still live.
2. **Look** whether it was ours and nobody has decided anything of it since: then the memory is still here.
3. **Rebuild** it from the log otherwise (``stream.rebuild``), within ``recovery_seconds``.
4. **Go on** from what is decided, which may be more than was committed.

Other shards go on meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import nullcontext
from typing import Any, Final

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from detectors.engine import Engine
from stream.checkpoint import Checkpoint
from stream.checkpoints import Checkpoints
from stream.clock import Clock
from stream.metrics import Metrics
from stream.outbox import Outbox
from stream.progress import Progress
from stream.ranges import CONNECT_TIMEOUT, consumer, started, stopped
from stream.rebuild import Gap, Rebuild
from stream.settings import Settings
from stream.topics import DECISIONS, INPUTS

log = logging.getLogger(__name__)

ATTEMPT: Final = 120.0  # seconds for a step of an attempt, besides those for deciding again: above all timeouts in it
PAUSE: Final = 0.5  # seconds until it is tried again
#: Shards that are opened side by side: some round trips each, between rounds of what is decided meanwhile. With four at
#: a time the last of 64 was open 2.6 s after the first.
OPENED_AT_ONCE: Final = 16
MADE_AT_ONCE: Final = 4  #: of those, whose events are decided again: that takes CPU and holds parts of the log


class Shards:
    """Keeps the memories of an engine to the shards that are assigned.

    Args:
        checkpoints: of earlier workers, and of this one.
        make: an engine as ours, that is empty.
        fail: told of what nobody expected; stops the worker.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        outbox: Outbox,
        progress: Progress,
        *,
        checkpoints: Checkpoints,
        make: Callable[[], Engine],
        metrics: Metrics,
        clock: Clock,
        fail: Callable[[BaseException], None],
    ) -> None:
        self._settings, self._engine, self._outbox, self._progress = settings, engine, outbox, progress
        self._checkpoints = checkpoints
        self._make, self._metrics, self._clock, self._fail = make, metrics, clock, fail
        self._kinds = {settings.named(topic).name: topic.kind for topic in INPUTS}
        self._decisions = settings.named(DECISIONS).name
        #: Offsets by which decisions may grow by themselves: a transaction's marker comes after its acknowledgement.
        self._marker = int(settings.delivery == "exactly-once")
        self.live: set[int] = set()  #: whose events are being decided
        self._parked: dict[int, int] = {}  # shard -> end of the decisions that its memory is made of
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._room, self._making = asyncio.Semaphore(OPENED_AT_ONCE), asyncio.Semaphore(MADE_AT_ONCE)

    @property
    def recovering(self) -> list[int]:
        """Shards that are assigned and not yet decided."""
        return sorted(self._tasks.keys() - self.live)

    def held(self, topic: str, shard: int) -> bool:
        """Whether nothing of this partition is to be fetched."""
        return topic in self._kinds and shard not in self.live

    def assigned(self, shards: Collection[int]) -> None:
        """These are ours now, and no others."""
        for gone in self._parked.keys() - set(shards):
            del self._parked[gone]
            self._forget(gone)
        for shard in set(shards) - self.live - self._tasks.keys():
            self._tasks[shard] = asyncio.get_running_loop().create_task(self._recover(shard))

    async def revoked(self, shards: Collection[int]) -> None:
        """These are not ours until they are assigned again. What was in flight has been delivered."""
        ended = {shard: end for shard, end in self.ends().items() if shard in shards}
        for shard in shards:
            if (task := self._tasks.pop(shard, None)) and not task.done():
                task.cancel()
            if shard not in ended:
                self._forget(shard)
            self.live.discard(shard)
            await self._outbox.close(shard)
        self._parked.update(ended)

    async def stop(self) -> None:
        """Write no more."""
        for task in self._tasks.values():
            task.cancel()
        for shard in list(self._tasks):
            await self._outbox.close(shard)

    async def _end(self, shard: int) -> int | None:
        """The end of its decisions; None if it cannot be had, which costs a rebuild."""
        reader, partition = consumer(self._settings.kafka), TopicPartition(self._decisions, shard)
        try:
            await started(reader)
            async with asyncio.timeout(CONNECT_TIMEOUT):
                found: dict[Any, int] = await reader.end_offsets([partition])
        except (KafkaError, TimeoutError):
            return None
        finally:
            await stopped(reader)
        return found[partition]

    async def _recover(self, shard: int) -> None:
        started = self._clock.monotonic()
        while True:
            try:
                async with self._room:
                    async with asyncio.timeout(ATTEMPT):
                        await self._outbox.open(shard)
                        end = await self._as_we_left_it(shard)
                    while end is None:
                        end = await self._rebuild(shard)
                    self._outbox.begin(shard, end)
            except (KafkaError, TimeoutError) as error:
                log.warning("shard %d: %s; its events wait, tried again", shard, type(error).__name__)
                await asyncio.sleep(PAUSE)
            except Exception as error:  # noqa: BLE001 - reported; the shard would wait for ever
                self._fail(error)
                return
            else:
                break
        self._parked.pop(shard, None)
        self.live.add(shard)
        self._metrics.recovery_seconds.observe(self._clock.monotonic() - started)

    async def _as_we_left_it(self, shard: int) -> int | None:
        """The end of its decisions, if nobody has decided anything of it since it was taken from us."""
        if (left := self._parked.get(shard)) is None or (end := await self._end(shard)) is None:
            return None
        return end if 0 <= end - left <= self._marker else None

    async def _rebuild(self, shard: int) -> int | None:
        """The end of the decisions that its memory is made of; None if it does not fit what is in force by then."""
        self._parked.pop(shard, None)  # should this fail, the next attempt finds no memory
        self._forget(shard)
        async with asyncio.timeout(ATTEMPT):
            checkpoint = await asyncio.to_thread(self._checkpoints.read, shard)
        try:
            rebuild = await self._rebuilt(shard, checkpoint)
        except Gap:
            log.info("shard %d: its checkpoint lacks what others decided; made again from the log", shard)
            rebuild = await self._rebuilt(shard, None)
        engine = rebuild.engine
        if engine.snapshot.rules.window_seconds != self._engine.snapshot.rules.window_seconds:
            log.info("shard %d: windows of another length came into force meanwhile", shard)
            return None
        self._engine.remember(shard, engine.memory())
        self._progress.decided.update(rebuild.decided)
        self._metrics.recovered.inc(rebuild.events)
        self._metrics.recovery_skipped.inc(rebuild.skipped)
        log.info("shard %d: %d events decided again, %d skipped", shard, rebuild.events, rebuild.skipped)
        if rebuild.skipped:
            log.warning("shard %d: the windows of its callers are not full: there was no time for it", shard)
        return rebuild.end

    async def _rebuilt(self, shard: int, checkpoint: Checkpoint | None) -> Rebuild:
        rebuild = self.rebuild_of(shard, self._make(), self._settings.recovery_seconds, checkpoint)
        try:
            async with asyncio.timeout(ATTEMPT):
                await rebuild.start()
            turn = self._making if rebuild.behind else nullcontext()
            async with turn, asyncio.timeout(ATTEMPT + self._settings.recovery_seconds):
                rebuild.begin()
                while await rebuild.advance():
                    pass
        finally:
            await rebuild.stop()
        return rebuild

    def ends(self) -> dict[int, int]:
        """Of our shards the end of the decisions that their memory is made of, where that is known."""
        found = {shard: self._outbox.end(shard) for shard in self.live}
        return {shard: end for shard, end in found.items() if end is not None}

    def rebuild_of(self, shard: int, engine: Engine, seconds: float, checkpoint: Checkpoint | None = None) -> Rebuild:
        """What makes the memory of a shard again, for windows of the length that ``engine`` has."""
        return Rebuild(
            self._settings.kafka,
            shard,
            group=self._settings.group,
            decisions=self._decisions,
            kinds=self._kinds,
            engine=engine,
            window_ms=engine.snapshot.rules.window_seconds * 1000,
            seconds=seconds,
            clock=self._clock,
            checkpoint=checkpoint,
        )

    def _forget(self, shard: int) -> None:
        self._engine.remember(shard, None)
        self._progress.forget(shard)
