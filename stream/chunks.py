"""Chunks, and the ledgers that tell what of them can be committed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from aiokafka.structs import ConsumerRecord as Record


class Chunk:
    """Consecutive records of one partition, delivered and acknowledged together."""

    __slots__ = ("_on_take", "acked", "born", "count", "first", "last", "ledger", "records", "taken")

    def __init__(
        self, records: Sequence[Record], born: float = 0.0, on_take: Callable[[], object] = lambda: None
    ) -> None:
        self.records, self.count = records, len(records)
        self.first: int = records[0].offset
        self.last: int = records[-1].offset
        self.born = born  #: clock.monotonic() at delivery
        self.taken = self.acked = False
        self.ledger: Ledger | None = None  #: that it is entered in
        self._on_take = on_take

    def take(self) -> Sequence[Record]:
        """Its records, for who handles them now: it waits no longer, and the next may be fetched."""
        if not self.taken:
            self.taken = True
            if self.ledger:
                self.ledger.waiting -= 1
        self._on_take()
        return self.records

    def ack(self) -> None:
        """It is done, and its records are not needed any more."""
        if not self.acked:
            self.acked = True
            if self.ledger:
                self.ledger.unacked -= 1
                self.ledger.unacked_records -= self.count
        self.records = ()

    def __repr__(self) -> str:
        """Offsets only: Faust logs its messages, and ours hold numbers and texts."""
        return f"<Chunk {self.first}..{self.last}>"


class Ledger:
    """The chunks of one partition that were delivered and not yet committed, in the order of the log.

    Attributes:
        unacked: chunks not yet acknowledged.
        unacked_records: records of these.
        waiting: chunks that nobody has taken yet.
    """

    def __init__(self) -> None:
        self._chunks: deque[Chunk] = deque()
        self.unacked = self.unacked_records = self.waiting = 0

    def add(self, chunk: Chunk) -> None:
        """Enter a chunk. One that starts before the last entry's end is a redelivery after a seek: what was
        entered before comes again as well, so it is forgotten.
        """
        if self._chunks and chunk.first <= self._chunks[-1].last:
            self.clear()
        chunk.ledger = self
        self._chunks.append(chunk)
        self.unacked += not chunk.acked
        self.unacked_records += 0 if chunk.acked else chunk.count
        self.waiting += not chunk.taken

    def pop_acked(self) -> int | None:
        """Take off the finished chunks at the head. Returns the offset to commit, if there is a new one."""
        offset = None
        while self._chunks and self._chunks[0].acked:
            chunk = self._chunks.popleft()
            chunk.ledger = None
            self.waiting -= not chunk.taken
            offset = chunk.last + 1
        return offset

    def clear(self) -> None:
        """Forget all: the partition is gone or will be read again."""
        for chunk in self._chunks:
            chunk.ledger = None
        self._chunks.clear()
        self.unacked = self.unacked_records = self.waiting = 0

    @property
    def has_progress(self) -> bool:
        """Whether something can be committed."""
        return bool(self._chunks) and self._chunks[0].acked

    @property
    def oldest(self) -> Chunk | None:
        """The first chunk that is not committed."""
        return self._chunks[0] if self._chunks else None
