"""One process of a replay: reads the whole log, and decides the shards that are its own."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from detectors.model.events import Event
from stream.logs import Block, LogError, LogReader
from stream.replaying.job import Job
from stream.replaying.resume import Resume
from stream.replaying.route import Router
from stream.wire import decode_events

_Batches = dict[int, tuple[list[Event], list[int]]]  #: shard -> events and their positions in the log


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
        rejects: of its own shards; those of no shard count as of shard 0.
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
        resume: where to begin, and where to rest.
    """

    def __init__(self, reader: LogReader, job: Job, *, shards: int, own: Sequence[int], resume: Resume | None) -> None:
        self._reader, self._job, self._router = reader, job, Router(shards)
        self._own, self._resume = frozenset(own), resume
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
        found = self._events(block, told)
        if self._moments:
            self._decide_by_time(found, told)
        else:
            self._decide(found, told)
        order = sorted(range(len(told.positions)), key=told.positions.__getitem__)
        positions, lines = [told.positions[i] for i in order], [told.lines[i] for i in order]
        told.rejects.sort(key=lambda reject: reject.position)
        return told._replace(positions=positions, lines=lines, end=self._position)

    def _events(self, block: Block, told: Told) -> _Batches:
        """Those of our own shards, decoded, and where they are."""
        lines, places, blank = block.lines, defaultdict[int, list[int]](list), list[int]()
        for i, shard in enumerate(self._router.route(lines)):
            if shard is not None:
                places[shard].append(i)
            elif lines[i] and not lines[i].isspace():
                places[0].append(i)  # nearly surely no event; shard 0 is the first process's
            else:
                blank.append(i)
        start, self._position = self._position, self._position + len(lines) - len(blank)
        found: _Batches = {}
        for shard in self._own & places.keys():
            mine = places[shard]
            positions = [start + i - bisect_left(blank, i) for i in mine] if blank else [start + i for i in mine]
            past = bisect_left(positions, self._after)
            found[shard] = self._decoded(block, mine[past:], positions[past:], told)
        return found

    def _decoded(
        self, block: Block, mine: list[int], positions: list[int], told: Told
    ) -> tuple[list[Event], list[int]]:
        raw = [block.lines[i] for i in mine]
        events, errors = decode_events(raw, None)
        for n, error in errors.items():
            told.rejects.append(Reject(positions[n], block.where(mine[n]), error.code, str(error), raw[n]))
        return events, [position for n, position in enumerate(positions) if n not in errors] if errors else positions

    def _decide_by_time(self, found: _Batches, told: Told) -> None:
        """In the order of the log, as the job may move on with every event."""
        by_position = sorted(
            (position, shard, event)
            for shard, (events, positions) in found.items()
            for event, position in zip(events, positions, strict=True)
        )
        batches: _Batches = {}
        for position, shard, event in by_position:
            if (epoch := bisect_right(self._moments, event.time)) != self._epoch:
                self._move(epoch, batches, told)
            events, positions = batches.setdefault(shard, ([], []))
            events.append(event)
            positions.append(position)
        self._decide(batches, told)

    def _move(self, epoch: int, batches: _Batches, told: Told) -> None:
        """What follows is of another time."""
        self._decide(batches, told)
        self._epoch = epoch
        self._job.move(self._moments[epoch - 1] if epoch else None)  # type: ignore[attr-defined]  # it has moments

    def _decide(self, batches: _Batches, told: Told) -> None:
        for shard, (events, positions) in batches.items():
            if events and (lines := self._job.decide(shard, events, positions)):
                told.positions.extend(positions)
                told.lines.extend(lines.splitlines())
        batches.clear()


def owned(shards: int, processes: int) -> list[list[int]]:
    """The shards of each process."""
    return [list(range(n, shards, processes)) for n in range(processes)]
