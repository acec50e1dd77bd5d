"""Where a replay that was stopped goes on: what was counted by some event of the log, and how much was written by then.

    FOLDER/kept.json         the resting point: position in the log, sizes of the outputs, what was rejected
    FOLDER/<position>/       the memory of every shard, and what every process had found
    FOLDER/hash-seed         hashes are those of the first run (stream.hashes)

The folder is ours alone: one that holds anything else is refused, and of it we delete nothing else. It holds numbers
and texts: its files are readable by their owner only, and gone once the replay is done.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from detectors.model.errors import LanjieError
from stream.hashes import FILE as HASHES
from stream.whole_file import write_whole

#: Events between two resting points.
EVERY: Final = 2_000_000
_KEPT: Final = "kept.json"
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
        self._fits, self._file = dict(fits), folder / _KEPT
        refuse_others(folder)
        self.kept = self._read()
        self._clear(of=self.position)

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
        except OSError as error:
            raise ResumeError(f"{self.folder}: {error.strerror}") from None
        for point in self._points():
            if int(point.name) < position:  # a process may be ahead of us
                shutil.rmtree(point, ignore_errors=True)

    def done(self) -> None:
        """Nothing is left to go on with."""
        self._clear(of=-1)
        for path in [
            self._file,
            self.folder / HASHES,
            *self.folder.glob(f".{_KEPT}.*"),
            *self.folder.glob(f".{HASHES}.*"),
        ]:
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    def _clear(self, of: int) -> None:
        """Only one resting point is to be gone on with; others were not finished."""
        for point in self._points():
            if int(point.name) != of:
                shutil.rmtree(point, ignore_errors=True)

    def _points(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.name.isdecimal()] if self.folder.is_dir() else []


def refuse_others(folder: Path) -> None:
    """
    Raises:
        ResumeError: the folder holds what is not ours.
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise ResumeError(f"{folder}: {error.strerror}; expected a folder of its own") from None
    ours = {_KEPT, HASHES} & set(names)
    unfinished = (f".{_KEPT}.", f".{HASHES}.")  # of a run that was killed
    if others := [n for n in names if n not in ours and not (ours and (n.isdecimal() or n.startswith(unfinished)))]:
        raise ResumeError(f"{folder}: holds {others[0]}, which is not of a replay; name a folder of its own")


def digest_of_files(paths: Sequence[str]) -> str:
    """Which files these are: names, sizes and how they begin.

    Raises:
        ResumeError: one cannot be read.
    """
    seen = hashlib.sha256()
    for path in paths:
        try:
            with Path(path).open("rb") as file:
                seen.update(f"{path}\0{Path(path).stat().st_size}\0".encode() + file.read(_HEAD))
        except OSError as error:
            raise ResumeError(f"{path}: {error.strerror}") from None
    return seen.hexdigest()[:16]
