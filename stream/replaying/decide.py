"""The job of `lanjie replay`: decide, count, and hand out the decisions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from detectors.engine import Engine
from detectors.model.events import Event
from stream import checkpoint
from stream.checkpoint import Checkpoint
from stream.replaying.resume import ResumeError
from stream.replaying.tally import Chained, Tally
from stream.whole_file import write_whole
from stream.wire import encode_decision


class Decided(NamedTuple):
    """What one process found. ``digests``: by shard."""

    tally: Tally
    digests: dict[int, bytes]


class _Found(Struct):
    """What one process had found when it rested."""

    shards: list[int]
    tally: Tally
    chains: dict[int, Chained]


_FITS: Final = "replay"
_found = msgspec.json.Decoder(_Found, dec_hook=lambda kind, value: kind(value)).decode  # a Counter is written as a dict


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
        return Decided(self._tally, digests)

    def save(self, folder: Path, shards: Sequence[int]) -> None:
        """As ``Rests``."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for shard in shards:
                checkpoint.write(folder / f"{shard}.memory", Checkpoint(self._engine.memory(shard), {}, 0), _FITS)
            found = msgspec.json.encode(_Found(list(shards), self._tally, self._chains))
            write_whole(folder / f"{min(shards)}.found", [found], 0o600, sync=False)
        except OSError as error:
            raise ResumeError(f"{folder}: {error.strerror}") from None

    def load(self, folder: Path, shards: Sequence[int], *, first: bool) -> None:
        """As ``Rests``."""
        for shard in shards:
            if (known := checkpoint.read(folder / f"{shard}.memory", _FITS)) is None:
                raise ResumeError(f"{folder}: made by another build, or damaged; delete it to begin anew")
            self._engine.remember(shard, known.memory)
        missing = set(shards)
        for path in folder.glob("*.found"):
            try:
                found = _found(path.read_bytes())
            except (OSError, msgspec.MsgspecError) as error:
                raise ResumeError(f"{path}: {type(error).__name__}; delete the folder to begin anew") from None
            if first:
                self._tally.join(found.tally)
            missing -= set(found.shards)
            self._chains.update({shard: chain for shard, chain in found.chains.items() if shard in shards})
        if missing:
            raise ResumeError(
                f"{folder}: lacks what was found in partitions {sorted(missing)}; delete it to begin anew"
            )


def joined(parts: Sequence[Decided]) -> tuple[Tally, dict[int, bytes]]:
    """What all processes found."""
    whole, digests = Tally(), dict[int, bytes]()
    for part in parts:
        whole.join(part.tally)
        digests.update(part.digests)
    return whole, digests
