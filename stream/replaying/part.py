"""One process of a replay: reads the whole log, and decides the shards that are its own."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from detectors.model.events import Event
from stream.logs import Block, LogError, LogReader
from stream.replaying.job import Job
from stream.replaying.resume import Resume
from stream.replaying.route import Router
from stream.wire import WireError, decode_event


class Reject(NamedTuple):
    """A line that is no event."""

    position: int
    where: str  #: ``file:line``
    code: str
    text: str
    raw: bytes


class Told(NamedTuple):
    """What a process says of one block of the log.

    Attributes:
        positions, lines: what goes to the output, in order.
        rejects: of its own shards; the first process has those of no shard too.
        end: position after the block.
        read: bytes of the logs read so far, packed.
        cut: what was wrong with the log, of which this is the last block.
        rested: what was counted by its end is on the disk.
    """

    positions: list[int]
    lines: list[bytes]
    rejects: list[Reject]
    end: int
    read: int
    cut: str = ""
    rested: bool = False


class Part:
    """Decides some shards.

    Args:
        own: the shards.
        first: of all processes: takes the lines of no shard.
        resume: where to begin, and where to rest.
    """

    def __init__(
        self, reader: LogReader, job: Job, *, shards: int, own: Sequence[int], first: bool, resume: Resume | None
    ) -> None:
        self._reader, self._job, self._router = reader, job, Router(shards)
        self._own, self._first, self._resume = frozenset(own), first, resume
        self._after = resume.position if resume else 0
        self._moments: list[int] = list(getattr(job, "moments", ()))
        self._epoch = 0  # how many of the moments are past, for who is decided now
        self._position = 0

    def __iter__(self) -> Iterator[Told]:
        """Block by block; the last one may say that the log is cut short."""
        blocks = self._reader.blocks()
        while True:
            try:
                block = next(blocks, None)
            except LogError as error:
                yield Told([], [], [], self._position, self._reader.position, str(error))
                return
            if block is None:
                return
            before = self._position
            told = self._block(block)
            if told.end > self._after or before >= self._after:  # else an earlier run has said it
                yield told._replace(rested=self._rest(before, told.end))

    def _rest(self, before: int, end: int) -> bool:
        """Whether what is counted by now was stored."""
        if self._resume is None or before // self._resume.every == end // self._resume.every:
            return False
        self._job.save(self._resume.at(end), sorted(self._own))  # type: ignore[attr-defined]  # who is resumed rests
        return True

    def _block(self, block: Block) -> Told:
        told = Told([], [], [], 0, self._reader.position)
        batches: dict[int, tuple[list[Event], list[int]]] = defaultdict(lambda: ([], []))
        own, first, position = self._own, self._first, self._position - 1
        shards = self._router.route(block.lines)
        for i, (raw, shard) in enumerate(zip(block.lines, shards, strict=True)):
            if not raw or raw.isspace():
                continue
            position += 1
            if position < self._after or not (first if shard is None else shard in own):
                continue
            try:
                event = decode_event(raw)
            except WireError as error:
                told.rejects.append(Reject(position, block.where(i), error.code, str(error), raw))
                continue
            if self._moments and (epoch := bisect_right(self._moments, event.time)) != self._epoch:
                self._move(epoch, batches, told)
            events, positions = batches[shard or 0]
            events.append(event)
            positions.append(position)
        self._decide(batches, told)
        self._position = position + 1
        order = sorted(range(len(told.positions)), key=told.positions.__getitem__)
        positions, lines = [told.positions[i] for i in order], [told.lines[i] for i in order]
        return told._replace(positions=positions, lines=lines, end=self._position)

    def _move(self, epoch: int, batches: dict[int, tuple[list[Event], list[int]]], told: Told) -> None:
        """What follows is of another time."""
        self._decide(batches, told)
        self._epoch = epoch
        self._job.move(self._moments[epoch - 1] if epoch else None)  # type: ignore[attr-defined]  # it has moments

    def _decide(self, batches: dict[int, tuple[list[Event], list[int]]], told: Told) -> None:
        for shard, (events, positions) in batches.items():
            if lines := self._job.decide(shard, events, positions):
                told.positions.extend(positions)
                told.lines.extend(lines.splitlines())
        batches.clear()


def owned(shards: int, processes: int) -> list[list[int]]:
    """The shards of each process."""
    return [list(range(n, shards, processes)) for n in range(processes)]
