"""What is done with the events of a log, in one of several processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from detectors.model.events import Event


class Job(Protocol):
    """Takes the events of some shards, each shard's in the order of the log, and has a result at the end.

    A shard is a partition number: what is counted about callers is kept by shard, so shards can be decided in any order
    and in several processes, and each decision is the same.
    """

    def decide(self, shard: int, events: Sequence[Event], positions: Sequence[int]) -> bytes:
        """A batch of one shard.

        Args:
            positions: of the events in the whole log, counted from 0.

        Returns:
            What goes to the output for each event, a line each; b"" if nothing does.
        """

    def result(self) -> Any:
        """What was found, to be pickled and put together with that of the other processes."""


class Moves(Protocol):
    """A job that decides each event by the lists and rules of its own time.

    Attributes:
        moments: at which they change, ms UTC, ascending.
    """

    moments: Sequence[int]

    def move(self, moment: int | None) -> None:
        """Decide what follows by what is in force from that moment on, up to the next; None: before the first."""


class Rests(Protocol):
    """A job that another process can go on with, also one that has others of its shards."""

    def save(self, folder: Path, shards: Sequence[int]) -> None:
        """Write what was counted and found so far.

        Raises:
            ResumeError: it cannot be written.
        """

    def load(self, folder: Path, shards: Sequence[int], *, first: bool) -> None:
        """Read it.

        Args:
            first: of all processes: takes what is of no shard.

        Raises:
            ResumeError: it is not there, or of another build.
        """
