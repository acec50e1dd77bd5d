"""Number lists on disk: files of operators and public feeds, and the snapshot that the workers of a machine share."""

from __future__ import annotations

import asyncio
import mmap
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from detectors.lists import Entry, Gone, ListParser, NumberIndex, Sieve, file
from detectors.lists.build import Builder, Removals
from detectors.lists.index import Layer
from detectors.lists.table import Table
from detectors.model.errors import NumberListError
from detectors.normalise.phone import HOME
from stream.logs import LogError, lines_of
from stream.settings import ListFile
from stream.whole_file import write_whole

FORMATS: Final = (".csv", ".json", ".jsonl", ".txt", "")
PACKED: Final = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}

Report = Callable[[Path, NumberListError], None]


class SourceError(NumberListError):
    """A list file cannot be used at all. Nothing starts without a list that it was told to use."""


def load_index(
    files: Sequence[ListFile], report: Report, *, sieve: Sieve | None = None, home: str = HOME
) -> NumberIndex:
    """The index of some list files: each snapshot is mapped, what is text is put on top of them.

    Raises:
        SourceError: a file is missing, damaged, or has no usable line.
    """
    snapshots = [given.path for given in files if is_snapshot(given.path)]
    texts = [given for given in files if given.path not in snapshots]
    layers = [Layer(open_table(path)) for path in snapshots]
    if texts or not layers:
        layers.append(read_layer(texts, report, sieve=sieve, home=home))
    return NumberIndex(layers=layers)


def read_layer(files: Iterable[ListFile], report: Report, *, sieve: Sieve | None = None, home: str = HOME) -> Layer:
    """The entries of list files, and what their ``op=remove`` rows take away from the layers below.

    Raises:
        SourceError: a file is missing, damaged, or has no usable line.
    """
    builder, removed = Builder(), Removals()
    for given in files:
        for found in read_file(given, report, sieve=sieve, home=home):
            if isinstance(found, Gone):
                removed[found.place] = (*removed.get(found.place, ()), found.removal)
            else:
                builder.add(found)
    return Layer(builder.build(), removed)


def read_file(
    given: ListFile, report: Report, *, sieve: Sieve | None = None, home: str = HOME, source: str = ""
) -> Iterator[Entry | Gone]:
    """What a list file says; each line that cannot be used is reported and left out.

    Raises:
        SourceError: the file is missing, damaged, cut short, or has no usable line.
    """
    parser = ListParser(given.kind, source or given.path.name, sieve, home)
    used, errors, first = 0, 0, ""
    for found in parser.parse(_text(given.path), str(given.path)):
        if isinstance(found, NumberListError):
            errors, first = errors + 1, first or str(found)
            report(given.path, found)
        else:
            used += 1
            yield found
    if not used:
        why = f"0 of {errors:,} lines usable; first: {first}" if errors else "empty; expected one number a line, or CSV"
        raise SourceError(f"{given.path}: {why}")


def _text(path: Path) -> Iterator[str]:
    """Decoded lines. Half a list is no list: a file that is cut short is refused whole."""
    plain = path.with_suffix("") if path.suffix in PACKED else path
    if plain.suffix not in FORMATS:
        known = ", ".join(name or "no suffix" for name in FORMATS)
        raise SourceError(f"{path}: expected {known}, each also with {' or '.join(PACKED)} after it")
    if path.suffix in PACKED and not _head(path).startswith(PACKED[path.suffix]):
        raise SourceError(f"{path}: is not what its name says; expected {path.suffix[1:]} data, or a name without it")
    try:
        yield from (line.decode("utf-8", "replace") for line in lines_of(path))
    except LogError as error:
        raise SourceError(str(error).replace("what came before it was read", "nothing of it is used")) from None


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as opened:
            return opened.read(len(file.MAGIC))
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from None


def is_snapshot(path: Path) -> bool:
    """Whether a file was made by ``lanjie lists build``, told by its first bytes."""
    return _head(path) == file.MAGIC


def open_table(path: Path) -> Table:
    """Map a snapshot file. Its pages are shared with every other process that maps it.

    Raises:
        NumberListError: it is missing, damaged or of another format.
    """
    try:
        with path.open("rb") as opened:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: {error}") from None
    return file.read(mapped, str(path))


def write_table(table: Table, path: Path) -> int:
    """Write a snapshot file; it appears whole or not at all, and who has the old one mapped keeps it. Returns bytes.

    Raises:
        SourceError: it cannot be written.
    """
    try:
        return write_whole(path, file.write(table))
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from None


async def compact_in_background(base: Path, deltas: Sequence[Path], out: Path) -> None:
    """Merge deltas into a new snapshot file in a process of its own: the loop of the worker does not feel it.

    Raises:
        SourceError: it failed; ``out`` is as it was.
    """
    command = [sys.executable, "-m", "stream.cli", "lists", "compact", "--yield", "-o", str(out)]
    process = await asyncio.create_subprocess_exec(
        *command, str(base), *map(str, deltas), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    if process.returncode:
        raise SourceError(f"{out}: compaction failed: {errors.decode('utf-8', 'replace').strip()[-500:]}")
