"""The way out for what became of a chunk: its decisions, its dead letters, and the offset that it is decided to.

Two ways, which ``LANJIE_DELIVERY`` chooses between:

- ``AtLeastOnce``: dead letters first, then the decisions, in the order in which chunks were decided. What a crash cuts
  off is found on the decisions topic (``stream.marks``) and goes on from there.
- ``ExactlyOnce`` (``stream.transactions``): all three in one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from stream.deadletter import DeadLetter, DeadLetters
from stream.output import Delivery, Output, Row


class Outgoing(NamedTuple):
    """What became of a chunk.

    Attributes:
        topic: that it came from.
        shard: its partition, and that of its decisions.
        offset: of the record after it.
    """

    topic: str
    shard: int
    offset: int
    rows: Sequence[Row]
    letters: Sequence[DeadLetter]


class Outbox(Protocol):
    """Where it goes. A delivery that fails has been reported and stops the worker."""

    async def open(self, shard: int) -> None:
        """Be the one who writes for a shard.

        Raises:
            KafkaError: not possible now.
        """

    async def close(self, shard: int) -> None:
        """Write no more for a shard."""

    def begin(self, shard: int, end: int) -> None:
        """What is counted in a shard is what its decisions before offset ``end`` say."""

    def end(self, shard: int) -> int | None:
        """The offset after the last decision of a shard; None if somebody else has written since ``begin``."""

    def send(self, outgoing: Outgoing) -> Delivery:
        """Send it after what was sent for that shard before. Done when the broker has all of it."""


class AtLeastOnce:
    """Dead letters, then decisions."""

    def __init__(self, output: Output, decisions: str) -> None:
        self._output, self._decisions = output, decisions
        self._dead_letters = DeadLetters(output)

    async def open(self, shard: int) -> None:
        """All shards share one producer."""

    async def close(self, shard: int) -> None:
        """Others may write there from now on."""
        self._output.begin(self._decisions, shard, None)

    def begin(self, shard: int, end: int) -> None:
        """The lane of its partition sees whether others write as well."""
        self._output.begin(self._decisions, shard, end)

    def end(self, shard: int) -> int | None:
        """As the lane of its partition knows."""
        return self._output.end(self._decisions, shard)

    def send(self, outgoing: Outgoing) -> Delivery:
        """Send it. No decision is written before the dead letters of its chunk are: else a crash could lose these."""
        letters = asyncio.ensure_future(self._letters(outgoing.letters)) if outgoing.letters else None
        if not outgoing.rows:
            return letters or _done()
        return self._output.send_chunk(self._decisions, outgoing.shard, outgoing.rows, after=letters)

    async def _letters(self, letters: Sequence[DeadLetter]) -> None:
        await asyncio.gather(*await self._dead_letters.send(letters))


def _done() -> Delivery:
    done: Delivery = asyncio.get_running_loop().create_future()
    done.set_result(None)
    return done
