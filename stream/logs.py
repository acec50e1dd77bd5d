"""Event logs and number lists to lines: plain, gzip, zstd or xz, told by their first bytes, not by their name.

Nothing is decoded here: a line that is no event must still reach the rejects file as the bytes it came in.
"""

from __future__ import annotations

import lzma
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol, cast

import zstandard

from detectors.model.errors import LanjieError

STDIN: Final = "-"
#: Bytes read at once. Large enough that the cost per read vanishes, small enough that progress moves.
CHUNK: Final = 1 << 18
#: Bytes of one line. The longest event is 0.3 MB; a file without line ends must not fill the memory.
MAX_LINE: Final = 16 << 20
_GZIP, _ZSTD, _XZ, _BOM = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00", b"\xef\xbb\xbf"


class LogError(LanjieError):
    """A log cannot be read, or not to its end."""


class Line(NamedTuple):
    """A line of a log."""

    where: str  #: ``file:line``
    raw: bytes  #: without its line end


class Block(NamedTuple):
    """Some lines of a log, as many as come out of one read."""

    name: str
    first: int  #: number of the first one
    lines: list[bytes]  #: without their line ends; blank ones too

    def where(self, i: int) -> str:
        """``file:line`` of the i-th."""
        return f"{self.name}:{self.first + i}"


class _Unpacker(Protocol):
    """What zlib, zstandard and lzma share."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def rereadable(path: str) -> bool:
    """Whether it is a file that can be read again and again: not stdin, and no pipe."""
    return path != STDIN and Path(path).is_file()


def sizes_of(paths: Sequence[str]) -> dict[str, int]:
    """Bytes of those that are files by now. Who reads so far reads the same as others, while somebody writes on.

    Raises:
        LogError: one is not there.
    """
    try:
        return {path: Path(path).stat().st_size for path in paths if path != STDIN and not _is_pipe(path)}
    except OSError as error:
        raise LogError(f"{error.filename}: {error.strerror}") from None


def _is_pipe(path: str) -> bool:
    return not Path(path).is_file() and Path(path).exists()


class LogReader:
    """The lines of several logs, one after the other. Blank lines are counted but not yielded.

    Args:
        sizes: how far each is read; by default as far as it goes now.

    Attributes:
        total: bytes on disk, packed; None when stdin or a pipe is among the logs.
        position: bytes read so far, of the same.
    """

    def __init__(self, paths: Sequence[str], sizes: Mapping[str, int] | None = None) -> None:
        self._paths = paths
        self.position = 0
        self._sizes = sizes_of(paths) if sizes is None else sizes
        self.total = sum(self._sizes[path] for path in paths) if all(map(rereadable, paths)) else None

    def __iter__(self) -> Iterator[Line]:
        """Lines in order.

        Raises:
            LogError: a log cannot be opened, is damaged or ends too early. What came before was yielded.
        """
        for block in self.blocks():
            for i, raw in enumerate(block.lines):
                if raw.strip():
                    yield Line(block.where(i), raw)

    def blocks(self) -> Iterator[Block]:
        """All lines, in order, many at a time: always the same ones together.

        Raises:
            LogError: as above.
        """
        for path in self._paths:
            yield from self._of(path, "<stdin>" if path == STDIN else path)

    def _of(self, path: str, name: str) -> Iterator[Block]:
        rest, first = b"", 1
        for more in _unpack(self._blocks(path), name):
            data = rest + more
            *lines, rest = data.split(b"\n")
            if lines:
                yield Block(name, first, _clean(lines, first) if first == 1 or b"\r" in data else lines)
                first += len(lines)
            if len(rest) > MAX_LINE:
                raise LogError(f"{name}: a line of more than {MAX_LINE} bytes; expected one JSON object a line")
        if rest:
            yield Block(name, first, _clean([rest], first))

    def _blocks(self, path: str) -> Iterator[bytes]:
        try:
            if path == STDIN:
                yield from self._counted(sys.stdin.buffer)
                return
            with Path(path).open("rb") as file:
                yield from self._counted(file, self._sizes.get(path))
        except OSError as error:
            raise LogError(f"{path}: {error.strerror}") from None

    def _counted(self, file: IO[bytes], size: int | None = None) -> Iterator[bytes]:
        left = size
        while block := file.read(CHUNK if left is None else min(CHUNK, left)):
            self.position += len(block)
            left = None if left is None else left - len(block)
            yield block


def expanded(paths: Sequence[str]) -> tuple[str, ...]:
    """The same, with the files of a folder, in the order of their names, in the place of the folder.

    Raises:
        LogError: a folder has none.
    """
    found: list[str] = []
    for path in paths:
        if path == STDIN or not Path(path).is_dir():
            found.append(path)
            continue
        files = sorted(str(file) for file in Path(path).iterdir() if file.is_file() and not file.name.startswith("."))
        if not files:
            raise LogError(f"{path}: a folder without files; expected event logs")
        found += files
    return tuple(found)


def lines_of(path: Path) -> Iterator[bytes]:
    """Every line of one file, blank ones included, so that the n-th is line n.

    Raises:
        LogError: as for ``LogReader``.
    """
    for block in LogReader([str(path)]).blocks():
        yield from block.lines


def _clean(lines: list[bytes], first: int) -> list[bytes]:
    if first == 1:
        lines[0] = lines[0].removeprefix(_BOM)
    return [line[:-1] if line.endswith(b"\r") else line for line in lines]


def _unpack(blocks: Iterator[bytes], name: str) -> Iterator[bytes]:
    head = next(blocks, b"")
    while len(head) < len(_XZ) and (more := next(blocks, b"")):
        head += more  # a pipe may give a byte at a time
    if head.startswith(_GZIP):
        start: Callable[[], _Unpacker] = lambda: cast(_Unpacker, zlib.decompressobj(wbits=31))  # noqa: E731
    elif head.startswith(_ZSTD):
        start = lambda: cast(_Unpacker, zstandard.ZstdDecompressor().decompressobj())  # noqa: E731
    elif head.startswith(_XZ):
        start = lambda: cast(_Unpacker, lzma.LZMADecompressor(lzma.FORMAT_XZ))  # noqa: E731
    else:
        yield head
        yield from blocks
        return
    try:
        yield from _members(head, blocks, start)
    except (zlib.error, zstandard.ZstdError, lzma.LZMAError, EOFError) as error:
        raise LogError(f"{name}: damaged or cut short ({error}); what came before it was read") from None


def _members(head: bytes, blocks: Iterator[bytes], start: Callable[[], _Unpacker]) -> Iterator[bytes]:
    """Both formats may hold several members (``cat a.gz b.gz``). A cut file is an error here, not a short log."""
    unpacker, data = start(), head
    while True:
        yield unpacker.decompress(data)
        if unpacker.eof and unpacker.unused_data:
            data, unpacker = unpacker.unused_data, start()
            continue
        following = next(blocks, b"")
        if not following:
            if not unpacker.eof:
                raise EOFError("the end is missing")
            return
        if unpacker.eof:
            unpacker = start()
        data = following
