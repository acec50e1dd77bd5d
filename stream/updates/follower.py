"""A worker's own copy of the two topics: read whole, without a group, then followed for ever.

Start: the state file, if it belongs to this history; then the tail of the topics to their end. A change of several
records counts as arrived when all of them have: a new pack never acts before the stages of its rules.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Annotated, Final

import msgspec
from aiokafka.structs import ConsumerRecord as Record
from msgspec import Meta, Struct

from stream.clock import Clock
from stream.deadletter import DeadLetter
from stream.metrics import Metrics
from stream.settings import Settings
from stream.topics import CHANGES, LISTS, RULES
from stream.updates import chain
from stream.updates.aside import aside
from stream.updates.asof import heal
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
#: Seconds until topics that could not be read are tried again.
RETRY: Final = 5.0


class _StateFile(Struct):
    """What is kept on disk. ``genesis``: the first link of the chain, which tells one history from another."""

    genesis: str
    offsets: dict[str, Annotated[int, Meta(ge=0)]]
    records: list[Written]
    taken_back: dict[str, int]


class Follower:
    """Keeps ``state`` up to date. ``refused`` holds the records that could not be used, for who sends dead letters;
    ``problem`` says why the topics cannot be read just now: what is known by then stays.
    """

    def __init__(self, settings: Settings, *, metrics: Metrics, clock: Clock) -> None:
        self._settings, self._metrics, self._clock = settings, metrics, clock
        trust = Trust.read(settings.trust) if settings.trust else None
        self._verify = trust.verify if trust else None
        self._path = settings.data_dir / f"updates-{settings.topic_prefix}state.json"
        self._names = {settings.topic_prefix + topic.name: topic.name for topic in (LISTS, RULES)}
        self._tail: Tail | None = None
        self._genesis = ""
        self._arrived: Counter[int] = Counter()
        self._expected: dict[int, int] = {}
        self._complete_so_far = True  # no record was refused: then the state file may stand for all before its offsets
        self.state = State(self._verify)
        self._retry = 0.0  # when topics that could not be read are tried again
        self.refused: list[DeadLetter] = []
        self.problem = ""
        self.newest = 0  #: when the newest record came to its topic, ms UTC

    async def start(self) -> None:
        """Read all there is.

        Raises:
            TailError: the topics cannot be read.
        """
        self._genesis = await self._first_link()
        state, offsets = self._load()
        await self._open(state, offsets)

    async def stop(self) -> None:
        """Disconnect."""
        if self._tail is not None:
            await self._tail.stop()

    async def follow(self) -> int:
        """Wait a moment for records; returns how many came. Those of a change come together, or within 5 s.

        Topics that cannot be read on are read from the start, every 5 s until that works; 1 each time, as ``problem``
        is another.
        """
        if self._tail is not None:
            try:
                records = await self._tail.more(_POLL)
                self._take(records, self.state)
                await self._wait_for_the_rest(self.state)
            except TailError as error:
                log.warning("%s; the topics are read from the start", error)
                await self._tail.stop()
                self._tail = None
            else:
                return len(records)
        if self._clock.monotonic() < self._retry:
            await asyncio.sleep(_POLL)
            return 0
        await self._again()
        return 1

    async def _again(self) -> None:
        self.problem = ""
        try:
            self._genesis = await self._first_link()
            await self._open(State(self._verify), dict.fromkeys(self._names, 0))
        except TailError as error:
            self.problem = str(error)
            self._retry = self._clock.monotonic() + RETRY
            await self.stop()
            self._tail = None

    async def save(self) -> None:
        """Write the state file, so that a restart need not read all again.

        Not once a record was refused: another build or trust file would take it, and must get to see it.
        """
        if not self._complete_so_far or self._tail is None:
            return
        try:
            self._genesis = self._genesis or await self._first_link()
            records, offsets = list(self.state.records()), await self._tail.positions()
            kept = _StateFile(self._genesis, offsets, records, self.state.taken_back)
            await aside(write_whole, self._path, [msgspec.json.encode(kept)], 0o600, sync=False)
        except (OSError, TailError) as error:
            log.warning("%s: %s; a restart reads the topics from the start", self._path, error)

    async def _open(self, state: State, offsets: dict[str, int]) -> None:
        """Read on from some offsets to the end, then put the state in the place of ours: nobody sees half of it."""
        self._tail = Tail(self._settings.kafka, offsets)
        await self._tail.start()
        span = await self._tail.span()
        if any(offsets[topic] and not first <= offsets[topic] <= end for topic, (first, end) in span.items()):
            log.warning("%s: is of other topics than these; they are read from the start", self._path)
            await self._tail.stop()
            state, self._tail = State(self._verify), Tail(self._settings.kafka, dict.fromkeys(self._names, 0))
            await self._tail.start()
        refused = self._take(await self._tail.to_end(), state)
        newest = max(self._expected, default=0)  # of an older change a newer one may have replaced some records
        self._expected = {serial: n for serial, n in self._expected.items() if serial == newest}
        await self._wait_for_the_rest(state)
        await heal(self._settings, state, refused, self._verify)
        self.state = state

    def _take(self, records: list[Record], state: State) -> set[str]:
        """Returns the keys of those that were refused."""
        refused = set()
        for record in records:
            try:
                found = read(record, self._settings.topic_prefix)
                state.apply(found)
                self._arrived[found.change.serial] += 1
                self._expected[found.change.serial] = found.change.records
            except RecordError as error:
                topic, self._complete_so_far = self._names[record.topic], False
                refused.add((record.key or b"").decode("utf-8", "replace"))
                self._metrics.changes_refused.labels(topic, error.code).inc()
                self.refused.append(DeadLetter(record, error.code, str(error)))
                log.warning("%s offset %d: %s; what was in force stays", record.topic, record.offset, error)
            self.newest = max(self.newest, record.timestamp)
        return refused

    async def _wait_for_the_rest(self, state: State) -> None:
        """Of changes of which some records have arrived."""
        assert self._tail is not None  # noqa: S101 - for the type checker  # nosec B101
        deadline = self._clock.monotonic() + WHOLE_WITHIN
        while (waits := self._incomplete()) and self._clock.monotonic() < deadline:
            self._take(await self._tail.more(_POLL), state)
        if waits:
            log.warning("changes %s: some records are missing; what is there counts", waits)
        self._arrived.clear()
        self._expected.clear()

    def _incomplete(self) -> list[int]:
        return [serial for serial, n in self._expected.items() if self._arrived[serial] < n]

    def _load(self) -> tuple[State, dict[str, int]]:
        """What the state file holds, and the offsets to go on from."""
        state, start = State(self._verify), dict.fromkeys(self._names, 0)
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_StateFile)
        except FileNotFoundError:
            return state, start
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.warning("%s: %s; the topics are read from the start", self._path, type(error).__name__)
            return state, start
        if not self._genesis or kept.genesis != self._genesis or kept.offsets.keys() != start.keys():
            log.warning("%s: is of another history than these topics; they are read from the start", self._path)
            return state, start
        state.restore(kept.taken_back)
        try:
            for record in kept.records:
                state.apply(record)
        except RecordError as error:  # the trust file may have changed
            log.warning("%s: %s; the topics are read from the start", self._path, error)
            return State(self._verify), start
        return state, kept.offsets

    async def _first_link(self) -> str:
        return await chain.genesis(self._settings.kafka, self._settings.topic_prefix + CHANGES.name)
