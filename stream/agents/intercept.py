"""The main job: chunks of events in, their decisions out, a chunk acked when the broker has both sets of its results.

    agents (one a topic)   ── chunks ──┐
                                       ├── a round: all that waits, up to ``max_events`` ── decisions ── outbox
    (calls, SMS, cards)    ── chunks ──┘     looked at together, decided chunk by chunk

Much of what looking at events costs is due once a look, not once an event. Under load there is always a chunk of each
of many partitions: chunks of 85 events take 9.7 us an event one by one, 8.4 looked at eight at a time.

An exception must not leave an agent: Faust would restart it and, on its stock path, commit past the event. What a
record or the engine does wrong becomes a dead letter; what Kafka does wrong stops the worker (stream/output.py).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, cast

import faust

from stream.agents.desk import Decider, Desk, Work
from stream.chunks import Chunk
from stream.clock import Clock
from stream.outbox import Outbox, Outgoing
from stream.progress import Key, Progress

Waiting = tuple[Desk, faust.EventT[Any]]


class Interceptor:
    """Decides what the agents bring.

    Args:
        fail: told of what it cannot handle; stops the worker before anything is committed past it.
        max_events: of a round, which holds the event loop.
    """

    def __init__(
        self,
        *,
        engine: Decider,
        outbox: Outbox,
        fail: Callable[[BaseException], None],
        clock: Clock,
        progress: Progress,
        max_events: int,
    ) -> None:
        self._engine, self._outbox, self._fail = engine, outbox, fail
        self._clock, self._progress = clock, progress
        self._max_events: Final = max_events
        self._waiting: deque[Waiting] = deque()
        self._rounds: asyncio.Task[None] | None = None
        self._failed = False

    def agent(self, desk: Desk) -> Callable[[faust.Stream[Any]], Awaitable[None]]:
        """The Faust agent of one topic. It returns to its stream at once: the ack comes later."""

        async def run(stream: faust.Stream[Any]) -> None:
            async for event in stream.noack().events():
                if self._failed:
                    continue  # or it would be committed past what is lost, and nobody would decide that again
                self._waiting.append((desk, event))
                if self._rounds is None or self._rounds.done():
                    self._rounds = asyncio.get_running_loop().create_task(self._decide_waiting())

        return run

    async def _decide_waiting(self) -> None:
        """Round after round, as long as there is something."""
        try:
            while self._waiting:
                await self._gathered()
                while not self._progress.gate.is_set():
                    await self._progress.gate.wait()
                self._progress.check(self._clock.monotonic())
                self._round()
        except Exception as error:  # noqa: BLE001 - reported; nobody would hear of it
            self._failed = True
            self._waiting.clear()
            self._fail(error)

    async def _gathered(self) -> None:
        """Once the agents bring nothing more: Faust's streams hand out one chunk each in a turn of the loop."""
        there = -1
        while there < len(self._waiting):
            there = len(self._waiting)
            await asyncio.sleep(0)

    def _round(self) -> None:
        """Between deciding and sending nobody else is let in: decisions go out in the order in which they were made."""
        works = [work for desk, event in self._next() if (work := self._opened(desk, event))]
        self._look(works)
        for work in works:
            work.desk.decide(work)
            self._progress.decided[work.key] = work.last + 1
            self._progress.undelivered += 1
            outgoing = Outgoing(*work.key, work.last + 1, work.rows, work.letters)
            self._outbox.send(outgoing).add_done_callback(partial(self._delivered, work))

    def _next(self) -> list[Waiting]:
        """The chunks of a round. Of a partition at most one: which of the next is decided already is not known yet."""
        found: list[Waiting] = []
        keys: set[Key] = set()
        events = 0
        while self._waiting:
            desk, event = self._waiting[0]
            key, events = desk.key(event), events + len(cast(Chunk, event.value).records)
            if key in keys or (found and events > self._max_events):
                break
            keys.add(key)
            found.append(self._waiting.popleft())
        return found

    def _opened(self, desk: Desk, event: faust.EventT[Any]) -> Work | None:
        """Its records decoded; None if a worker before us decided them, and died before it could commit that."""
        chunk = cast(Chunk, event.value)
        decided = self._progress.decided.get(desk.key(event), 0)
        records = chunk.take()
        if chunk.first < decided:
            records = [record for record in records if record.offset >= decided]
        if not records:
            event.ack()
            return None
        return desk.open(event, records)

    def _look(self, works: Sequence[Work]) -> None:
        """At all together; if that raises, each is looked at by itself, and what is wrong is found there."""
        together = [work for work in works if work.events and not work.lists_only]
        if len(together) < 2:  # nothing to save
            return
        started = self._clock.monotonic()
        try:
            seen = self._engine.look([work.events for work in together], [work.shard for work in together])
        except Exception:  # noqa: BLE001 - comes again
            return
        seconds = (self._clock.monotonic() - started) / sum(len(work.events) for work in together)
        for work, its in zip(together, seen, strict=True):
            work.seen, work.looked = its, seconds * len(work.events)

    def _delivered(self, work: Work, done: asyncio.Future[Any]) -> None:
        if done.cancelled() or done.exception():
            return  # Output has reported it; the chunk stays unacked and is redelivered after the restart
        self._progress.undelivered -= 1
        work.event.ack()
        work.desk.delivered(work)
