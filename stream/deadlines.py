"""Until when a decision must be out, and which stage took more of that time than it should.

A deadline runs from the record's Kafka timestamp to the acknowledgement of its decision. Half of it belongs to what is
before us: the broker's fetch, and the chunks ahead. Ours is the other half, parted by what the stages of a chunk of 500
need in the middle (measured: decode 1.5 us an event, decide 6, encode 1.5, and 2 ms for the broker's acknowledgement,
so 0.75 : 3 : 0.75 : 2 ms), each with room to be four times as slow in a call's 50 ms:

    50 ms   = waiting 25     + decode 3   + decide 11.5 + encode 3   + deliver 7.5
    shares    0.50           + 0.06       + 0.23        + 0.06       + 0.15
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SHARES: Final = {"decode": 0.06, "decide": 0.23, "encode": 0.06, "deliver": 0.15}
WAITING: Final = 0.50


def overruns(deadline: float, spent: Mapping[str, float]) -> list[str]:
    """The stages that took more than their share of ``deadline``, given the seconds that a chunk spent in each."""
    return [stage for stage, seconds in spent.items() if seconds > SHARES[stage] * deadline]


def misses(deadline: float, waited: list[float]) -> int:
    """How many decisions, given the seconds after which each was acknowledged, came after their ``deadline``."""
    return sum(seconds > deadline for seconds in waited)


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
