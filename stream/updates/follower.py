"""A worker's own copy of the two topics: read whole, without a group, then followed for ever.

Start: the state file, if it belongs to this history; then the tail of the topics to their end. A change of several
records counts as arrived when all of them have: a new pack never acts before the stages of its rules.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Final

import msgspec
from aiokafka.structs import ConsumerRecord as Record
from msgspec import Struct

from stream.clock import Clock
from stream.deadletter import DeadLetter
from stream.metrics import Metrics
from stream.settings import Settings
from stream.topics import CHANGES, LISTS, RULES
from stream.updates import chain
from stream.updates.publisher import read
from stream.updates.records import RecordError, Written
from stream.updates.state import State
from stream.updates.tail import Tail, TailError
from stream.updates.trust import Trust
from stream.whole_file import write_whole

log = logging.getLogger(__name__)

#: Seconds that the rest of a change is waited for.
WHOLE_WITHIN: Final = 5.0
_POLL: Final = 0.25  # seconds; data that comes ends the wait


class _StateFile(Struct):
    """What is kept on disk. ``genesis``: the first link of the chain, which tells one history from another."""

    genesis: str
    offsets: dict[str, int]
    records: list[Written]
    taken_back: dict[str, int]


class Follower:
    """Keeps ``state`` up to date. ``refused`` holds the records that could not be used, for who sends dead letters."""

    def __init__(self, settings: Settings, *, metrics: Metrics, clock: Clock) -> None:
        self._settings, self._metrics, self._clock = settings, metrics, clock
        self._trust = Trust.read(settings.trust) if settings.trust else None
        self._path = settings.data_dir / f"updates-{settings.topic_prefix}state.json"
        self._names = {settings.topic_prefix + topic.name: topic.name for topic in (LISTS, RULES)}
        self._tail: Tail | None = None
        self._genesis = ""
        self._arrived: Counter[int] = Counter()
        self._expected: dict[int, int] = {}
        self.state = self._empty()
        self.refused: list[DeadLetter] = []
        self.newest = 0  #: when the newest record came to its topic, ms UTC

    async def start(self) -> None:
        """Read all there is.

        Raises:
            TailError: the topics cannot be read.
        """
        self._genesis = await self._first_link()
        offsets = self._load()
        self._tail = Tail(self._settings.bootstrap, offsets)
        await self._tail.start()
        span = await self._tail.span()
        if any(not first <= offsets[topic] <= end for topic, (first, end) in span.items() if offsets[topic]):
            log.warning("%s: is of other topics than these; they are read from the start", self._path)
            await self._restart()
        self._take(await self._tail.to_end())
        newest = max(self._expected, default=0)  # of an older change a newer one may have replaced some records
        self._expected = {serial: n for serial, n in self._expected.items() if serial == newest}
        await self._complete()

    async def stop(self) -> None:
        """Disconnect."""
        if self._tail is not None:
            await self._tail.stop()

    async def follow(self) -> int:
        """Wait a moment for records; returns how many came. Those of a change come together, or within 5 s.

        Raises:
            TailError: the topics cannot be read on.
        """
        assert self._tail is not None  # noqa: S101 - start() comes first
        try:
            records = await self._tail.more(_POLL)
            self._take(records)
            await self._complete()
        except TailError as error:
            log.warning("%s; the topics are read from the start", error)
            await self._restart()
            return 0
        return len(records)

    async def _complete(self) -> None:
        assert self._tail is not None  # noqa: S101
        deadline = self._clock.monotonic() + WHOLE_WITHIN
        while (waits := self._open()) and self._clock.monotonic() < deadline:
            self._take(await self._tail.more(_POLL))
        if waits:
            log.warning("changes %s: some records are missing; what is there counts", waits)
        self._arrived.clear()
        self._expected.clear()

    async def save(self) -> None:
        """Write the state file, so that a restart need not read all again."""
        assert self._tail is not None  # noqa: S101
        self._genesis = self._genesis or await self._first_link()
        kept = _StateFile(
            self._genesis, await self._tail.positions(), list(self.state.records()), self.state.taken_back
        )
        try:
            await asyncio.to_thread(write_whole, self._path, [msgspec.json.encode(kept)])
        except OSError as error:
            log.warning("%s: %s; a restart reads the topics from the start", self._path, error.strerror)

    def _take(self, records: list[Record]) -> None:
        for record in records:
            try:
                found = read(record, self._settings.topic_prefix)
                self._arrived[found.change.serial] += 1
                self._expected[found.change.serial] = found.change.records
                self.state.apply(found)
            except RecordError as error:
                topic = self._names[record.topic]
                self._metrics.changes_refused.labels(topic, error.code).inc()
                self.refused.append(DeadLetter(record, error.code, str(error)))
                log.warning("%s offset %d: %s; what was in force stays", record.topic, record.offset, error)
            self.newest = max(self.newest, record.timestamp)

    def _open(self) -> list[int]:
        return [serial for serial, n in self._expected.items() if self._arrived[serial] < n]

    def _load(self) -> dict[str, int]:
        """Offsets to go on from."""
        start = dict.fromkeys(self._names, 0)
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_StateFile)
        except FileNotFoundError:
            return start
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("%s: %s; the topics are read from the start", self._path, error)
            return start
        if not self._genesis or kept.genesis != self._genesis or kept.offsets.keys() != start.keys():
            log.warning("%s: is of another history than these topics; they are read from the start", self._path)
            return start
        self.state.restore(kept.taken_back)
        for record in kept.records:
            try:
                self.state.apply(record)
            except RecordError as error:  # the trust file may have changed
                log.warning("%s: %s", record.key.partition("/")[0], error)
        return kept.offsets

    async def _first_link(self) -> str:
        return await chain.genesis(self._settings.bootstrap, self._settings.topic_prefix + CHANGES.name)

    async def _restart(self) -> None:
        await self.stop()
        self.state = self._empty()
        self._tail = Tail(self._settings.bootstrap, dict.fromkeys(self._names, 0))
        await self._tail.start()

    def _empty(self) -> State:
        return State(self._trust.verify if self._trust else None)
