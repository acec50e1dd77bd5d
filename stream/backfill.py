"""The windows of a new engine, filled from the log: it decides again what the old one has decided, and says nothing.

Needed when a rule pack counts over another length of time: what the old windows hold cannot be converted. The input
topics are read for one window back, in the order of their time, beside the live traffic, which has half of the time at
least; at the end that is held for the moment that the last few records take.

1. **Span.** Of each assigned partition: from the first record within the window to what is decided by now.
2. **Slices.** The span is cut by time, so that all partitions go forward together and few records are in memory.
3. **Again**, from what is decided by now, until little is missing.
4. **Hold** the agents before their next chunk, read the rest, switch, let go.

A deadline ends 2 and 3: what is missing then is missing, which is told. If partitions move meanwhile it starts anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord as Record
from aiokafka.structs import TopicPartition

from detectors.engine import Engine
from detectors.model.events import Event
from stream.clock import Clock
from stream.wire import WireError, decode_event

log = logging.getLogger(__name__)

SLICE: Final = 20_000  # records in memory, about
BATCH: Final = 200  # events decided at once: 2 ms in which the live traffic waits
NEARLY: Final = 2_000  # records that may be missing when the agents are held: a tenth of a second
DEADLINE: Final = 600.0  # seconds
FETCH_TIMEOUT: Final = 30.0  # seconds for a slice
HOLD: Final = 1.0  # seconds that the agents are held at most
PAUSE: Final = 0.5  # seconds until it is tried again
Key = tuple[str, int]


class Progress:
    """How far the events of each partition have been decided, and a gate before the next chunk."""

    def __init__(self) -> None:
        self.decided: dict[Key, int] = {}  #: (topic, partition) -> offset that is decided next
        self.gate = asyncio.Event()
        self.gate.set()


class Moved(Exception):  # noqa: N818 - no error: it starts anew
    """Partitions were reassigned."""


class Backfill:
    """Fills one engine.

    Args:
        kinds: topic -> kind of its events.
        assigned: the partitions of this worker by now, and what is committed of each.
        window_ms: how far back.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        kinds: Mapping[str, str],
        assigned: Callable[[], Mapping[Key, int]],
        progress: Progress,
        window_ms: int,
        clock: Clock,
    ) -> None:
        self._bootstrap, self._kinds, self._assigned = bootstrap, kinds, assigned
        self._progress, self._window_ms, self._clock = progress, window_ms, clock
        self._consumer: Any = None
        self.events = 0  #: that were decided again

    async def run(self, make: Callable[[], Engine], switch: Callable[[Engine], None]) -> None:
        """Fill an engine that ``make`` makes, then ``switch`` to it between two chunks."""
        deadline = self._clock.monotonic() + DEADLINE
        while True:
            self._consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap.split(","), enable_auto_commit=False, auto_offset_reset="earliest"
            )
            await self._consumer.start()
            try:
                await self._fill(make(), switch, deadline)
            except Moved:
                log.info("partitions moved: the windows are filled anew")
            else:
                return
            finally:
                self._progress.gate.set()
                await self._consumer.stop()
            await asyncio.sleep(PAUSE)

    async def _fill(self, engine: Engine, switch: Callable[[Engine], None], deadline: float) -> None:
        while not (mine := self._mine()):  # noqa: ASYNC110 - Faust's consumer thread cannot wake an event of this loop
            await asyncio.sleep(PAUSE)
        now = self._clock.wall_ms()
        at = await self._offsets(dict.fromkeys(mine, now - self._window_ms))
        since, ends = now - self._window_ms, self._decided(mine)
        while self._missing(at, ends) > NEARLY and self._clock.monotonic() < deadline:
            await self._replay(engine, at, ends, since, deadline)
            since, ends = now, self._decided(mine)
            now = self._clock.wall_ms()
        while True:
            self._progress.gate.clear()
            try:
                ends = self._decided(mine)
                missing = self._missing(at, ends)
                if missing > 10 * NEARLY:
                    log.warning("windows: %d records are left out, there was no time for them", missing)
                else:
                    self._decide(engine, await self._read(at, ends, HOLD))
                if self._mine() != mine:
                    raise Moved
                switch(engine)
            except TimeoutError:  # the broker is slow: let the traffic go, and try again
                self._progress.gate.set()
                await asyncio.sleep(PAUSE)
            else:
                return

    def _mine(self) -> set[Key]:
        return set(self._assigned())

    async def _replay(
        self, engine: Engine, at: dict[Key, int], ends: dict[Key, int], since: int, deadline: float
    ) -> None:
        """From ``at`` to ``ends`` in slices of time that begin at ``since``; ``at`` moves along."""
        slices = max(1, self._missing(at, ends) // SLICE)
        step = max(1, (self._clock.wall_ms() - since) // slices)
        for n in range(1, slices + 1):
            last = n == slices
            upto = ends if last else await self._offsets(dict.fromkeys(at, since + n * step))
            upto = {key: max(at[key], min(end, upto.get(key, end))) for key, end in ends.items()}
            records = await self._read(at, upto)
            for start in range(0, len(records), BATCH):
                began = self._clock.monotonic()
                self._decide(engine, records[start : start + BATCH])
                await asyncio.sleep(self._clock.monotonic() - began)  # half of the time is the live traffic's
            if self._mine() != at.keys():
                raise Moved
            if self._clock.monotonic() > deadline:
                return

    def _decide(self, engine: Engine, records: list[Record]) -> None:
        events: list[Event] = []
        for record in records:
            try:
                events.append(decode_event(record.value, self._kinds[record.topic]))
            except WireError:  # it is a dead letter already
                continue
        try:
            engine.decide(events)
        except Exception:  # noqa: BLE001 - it was told when it was decided first
            for event in events:
                with suppress(Exception):
                    engine.decide([event])
        engine.trips.clear()
        self.events += len(events)

    async def _read(self, at: dict[Key, int], upto: Mapping[Key, int], timeout: float = FETCH_TIMEOUT) -> list[Record]:
        """The records of all partitions from ``at``, which moves, up to ``upto``, in the order of their time."""
        wanted = [TopicPartition(*key) for key, end in upto.items() if at[key] < end]
        found: list[Record] = []
        self._consumer.assign(wanted)
        for partition in wanted:
            self._consumer.seek(partition, at[tuple(partition)])
        async with asyncio.timeout(timeout):
            while open_ := [p for p in wanted if await self._consumer.position(p) < upto[tuple(p)]]:
                self._consumer.pause(*(p for p in wanted if p not in open_))
                for partition, batch in (await self._consumer.getmany(timeout_ms=500)).items():
                    found += [record for record in batch if record.offset < upto[tuple(partition)]]
        at.update({key: max(at[key], end) for key, end in upto.items()})
        return sorted(found, key=lambda record: record.timestamp)

    async def _offsets(self, times: Mapping[Key, int]) -> dict[Key, int]:
        """The first offset at or after a time; where there is none, what is decided by now."""
        asked = {TopicPartition(*key): time for key, time in times.items()}
        found = await self._consumer.offsets_for_times(asked) if asked else {}
        decided = self._decided(times.keys())
        return {tuple(p): each.offset if (each := found.get(p)) else decided[tuple(p)] for p in asked}

    def _decided(self, mine: Collection[Key]) -> dict[Key, int]:
        """Up to where; of a partition of which nothing was decided here yet, what was committed before."""
        committed = self._assigned()
        return {key: self._progress.decided.get(key, committed.get(key, 0)) for key in mine}

    @staticmethod
    def _missing(at: Mapping[Key, int], ends: Mapping[Key, int]) -> int:
        return sum(max(0, end - at[key]) for key, end in ends.items())
