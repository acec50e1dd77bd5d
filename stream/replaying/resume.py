"""Where a replay that was stopped goes on: what was counted by some event of the log, and how much was written by then.

    FOLDER/kept.json         the resting point: position in the log, sizes of the outputs, what was rejected
    FOLDER/<position>/       the memory of every shard, and what every process had found
    FOLDER/hash-seed         hashes are those of the first run (stream.hashes)

The folder holds numbers and texts: its files are readable by their owner only, and gone once the replay is done.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from detectors.model.errors import LanjieError
from stream.whole_file import write_whole

#: Events between two resting points.
EVERY: Final = 2_000_000
_HEAD: Final = 64 << 10  # bytes of a log that tell it from another of the same name and size


class ResumeError(LanjieError):
    """The folder is not of this replay, or cannot be used."""


class Kept(Struct):
    """A resting point.

    Attributes:
        fits: what the replay is of.
        position: of the first event that is not in it.
        sizes: bytes of each output by then.
        rejected: lines by code.
    """

    fits: dict[str, str]
    position: int
    sizes: dict[str, int]
    rejected: dict[str, int]


class Resume:
    """The folder of one replay.

    Args:
        fits: what the replay is of, by name. Going on with anything else would give what no whole run gives.

    Raises:
        ResumeError: it is of another replay.
    """

    def __init__(self, folder: Path, fits: Mapping[str, str], every: int = EVERY) -> None:
        self.folder, self.every = folder, every
        self._fits, self._file = dict(fits), folder / "kept.json"
        self.kept = self._read()

    def _read(self) -> Kept | None:
        try:
            kept = msgspec.json.decode(self._file.read_bytes(), type=Kept)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise ResumeError(f"{self._file}: {type(error).__name__}; delete {self.folder} to begin anew") from None
        if others := [name for name in {*kept.fits, *self._fits} if kept.fits.get(name) != self._fits.get(name)]:
            raise ResumeError(
                f"{self.folder}: of another replay ({', '.join(sorted(others))}); name another folder, or delete it"
            )
        return kept

    @property
    def position(self) -> int:
        """Where to go on."""
        return self.kept.position if self.kept else 0

    def at(self, position: int) -> Path:
        """What was counted by then."""
        return self.folder / str(position)

    def keep(self, position: int, sizes: Mapping[str, int], rejected: Mapping[str, int]) -> None:
        """Rest here: all before ``position`` is written, and what was counted is there.

        Raises:
            ResumeError: it cannot be written.
        """
        self.kept = Kept(self._fits, position, dict(sizes), dict(rejected))
        try:
            write_whole(self._file, [msgspec.json.encode(self.kept)], 0o600)
            for other in self.folder.iterdir():
                if other.is_dir() and int(other.name) < position:  # a process may be ahead of us
                    shutil.rmtree(other)
        except OSError as error:
            raise ResumeError(f"{self.folder}: {error.strerror}") from None

    def done(self) -> None:
        """Nothing is left to go on with."""
        shutil.rmtree(self.folder, ignore_errors=True)


def logs_of(logs: Sequence[str]) -> str:
    """Which logs these are: names, sizes and how they begin.

    Raises:
        ResumeError: one cannot be read.
    """
    seen = hashlib.sha256()
    for log in logs:
        try:
            with Path(log).open("rb") as file:
                seen.update(f"{log}\0{Path(log).stat().st_size}\0".encode() + file.read(_HEAD))
        except OSError as error:
            raise ResumeError(f"{log}: {error.strerror}") from None
    return seen.hexdigest()[:16]
