"""Until when a decision must be out, and which stage took more of that time than it should.

A deadline runs from the record's Kafka timestamp to the acknowledgement of its decision. Two fifths of it belong to
what is before us: the broker's fetch, and the chunks ahead, also in the same round. The stages part the rest by what a
chunk of 500 calls needs on two cores that broker and worker share (``tests/benchmarks/stages.py``; deliver: a worker's
own metric), each with room for a busy moment. Fuller chunks, up to ``max_chunk``, come only in a backlog, where it is
late anyway:

             decode     decide     encode     deliver     waiting
    needs    0.35 ms    4.3 ms     0.4 ms     6 ms
    share    0.05       0.25       0.05       0.25        0.40
    of 50    2.5 ms     12.5 ms    2.5 ms     12.5 ms     20 ms      a call's deadline
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

SHARES: Final = {"decode": 0.05, "decide": 0.25, "encode": 0.05, "deliver": 0.25}
WAITING: Final = 0.40


def overruns(deadline: float, spent: Mapping[str, float]) -> list[str]:
    """The stages that took more than their share of ``deadline``, given the seconds that a chunk spent in each."""
    return [stage for stage, seconds in spent.items() if seconds > SHARES[stage] * deadline]


def misses(deadline: float, waited: Sequence[int]) -> int:
    """How many decisions came after their ``deadline``, given the milliseconds after which each was acknowledged, the
    least first.
    """
    return len(waited) - bisect_right(waited, deadline * 1000)


class Hurry:
    """Whether only the number lists look, because too much waits: from ``after`` seconds of backlog until half of it is
    left, so that it does not change with every chunk. 0: never.
    """

    def __init__(self, after: float) -> None:
        self._after, self._on = after, False

    def at(self, age: float) -> bool:
        """Given the age of the first record of the next chunk, in seconds."""
        self._on = bool(self._after) and age > (self._after / 2 if self._on else self._after)
        return self._on
