"""The job of `lanjie replay`: decide, count, and hand out the decisions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from detectors.engine import Engine
from detectors.model.events import Event
from stream.replaying.tally import Chained, Tally
from stream.wire import encode_decision


class Decided(NamedTuple):
    """What one process found. ``digests``: by shard."""

    tally: Tally
    digests: dict[int, bytes]
    lists: str
    rules: str


class Decide:
    """Decides by one engine.

    Args:
        output: whether anybody wants the decisions themselves.
    """

    def __init__(self, engine: Engine, *, output: bool) -> None:
        self._engine, self._output = engine, output
        self._tally = Tally()
        self._chains: dict[int, Chained] = defaultdict(Chained)

    def decide(self, shard: int, events: Sequence[Event], positions: Sequence[int]) -> bytes:  # noqa: ARG002 - Job
        """As ``Job``: a decision a line."""
        decisions = self._engine.decide(events, shard=shard)
        self._tally.add(decisions)
        lines = b"".join([encode_decision(decision) + b"\n" for decision in decisions])
        self._chains[shard].update(lines)
        return lines if self._output else b""

    def result(self) -> Decided:
        """All that was counted."""
        engine = self._engine
        self._tally.late, self._tally.duplicates = engine.late_events, engine.duplicate_events
        digests = {shard: chain.digest() for shard, chain in self._chains.items()}
        return Decided(self._tally, digests, engine.lists_version, engine.rules_version)


def joined(parts: Sequence[Decided]) -> tuple[Tally, dict[int, bytes]]:
    """What all processes found."""
    whole, digests = Tally(), dict[int, bytes]()
    for part in parts:
        whole.join(part.tally)
        digests.update(part.digests)
    return whole, digests
