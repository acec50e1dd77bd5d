"""A prepared log: decoded once, with keys, partitions and headers at hand, so that sending is nothing but sending.

What cannot be prepared is the batches themselves: a record's bytes hold its distance from the batch's first timestamp
(Kafka's message format 2), and what shares a batch depends on how fast the broker is. aiokafka's builder takes about a
microsecond a record for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final, Self

import numpy as np
from aiokafka.producer.message_accumulator import BatchBuilder
from numpy.typing import NDArray

from loadtest.driver import MAX_BATCH_BYTES, NAP, SLICE, Record, Row, Schedule, Slice, partition_of
from loadtest.lane import Headers

#: Headers that no two events share.
_OWN: Final = ("ce_id", "ce_time")


class Prepared:
    """Rows in the order of the log.

    Attributes:
        rows: ready to be put into a batch.
        times: their event times, ms UTC.
    """

    def __init__(self, rows: list[Row], times: NDArray[np.int64]) -> None:
        self.rows, self.times = rows, times

    @classmethod
    async def of(cls, records: Iterable[Record], partitions: Callable[[str], Awaitable[int]]) -> Self:
        """Prepare; what is alike is kept once. ``partitions``: how many a topic has, as ``Driver.partitions``.

        Who drives it should ``gc.freeze()`` first: a full collection over a million rows makes the driver late.
        """
        rows: list[Row] = []
        times: list[int] = []
        places: dict[tuple[str, bytes], tuple[str, int]] = {}
        keys: dict[bytes, bytes] = {}
        shared: dict[tuple[str, bytes], tuple[str, bytes]] = {}
        for topic, key, value, headers, time in records:
            if (where := places.get((topic, key))) is None:
                where = places[topic, key] = (topic, partition_of(key, await partitions(topic)))
            rows.append(Row(where, keys.setdefault(key, key), value, _thrifty(headers, shared)))
            times.append(time)
        return cls(rows, np.array(times, np.int64))

    def slices(self, schedule: Schedule) -> Iterator[Slice]:
        """What is due within the same nap; at full speed, as much as is handed over at once."""
        due = schedule.all_due(self.times)
        start = 0
        while start < len(self.rows):
            end = min(int(np.searchsorted(due, due[start] + NAP, side="right")), start + SLICE)
            yield Slice(due[start:end].tolist(), self.rows[start:end])
            start = end


class NullProducer:
    """A broker client that only builds the batches: what is left is the driver's own cost.

    Attributes:
        batches, bytes: taken so far.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = frozenset(range(partitions))
        self.batches = self.bytes = 0

    async def start(self) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Nothing to disconnect from."""

    async def partitions_for(self, topic: str) -> frozenset[int]:  # noqa: ARG002 - the client's signature
        """As many for every topic."""
        return self._partitions

    def create_batch(self) -> BatchBuilder:
        """An empty batch."""
        return BatchBuilder(MAX_BATCH_BYTES, 0)

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> asyncio.Future[None]:  # noqa: ARG002
        """Build it, checksum included, and drop it."""
        self.batches += 1
        self.bytes += len(batch._build())  # noqa: SLF001 - what aiokafka's sender calls
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sent.set_result(None)
        return sent


def _thrifty(headers: Headers, shared: dict[tuple[str, bytes], tuple[str, bytes]]) -> Headers:
    return [each if each[0] in _OWN else shared.setdefault(each, each) for each in headers]
