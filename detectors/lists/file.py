"""A table as one immutable file that all workers of a machine map: loading copies nothing, and pages are shared.

    magic, format   "LANJIE-NUMBERS 1\\n"
    digest          SHA-256 of all that follows, checked whenever the file is opened: 20 ms for 2 million numbers
    header          4 bytes little-endian length, then JSON: where each section is and what it holds
    sections        the table's arrays as they are in memory, little-endian, each on a 64-byte boundary

Not a pickle: nothing in the file is executed.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from detectors.lists.table import COVER, SECTIONS, Table
from detectors.model.errors import NumberListError

MAGIC = b"LANJIE-NUMBERS 1\n"
_ALIGN = 64
_FIXED = len(MAGIC) + hashlib.sha256().digest_size + 4  #: bytes before the header
_BYTES = "bytes"
_TYPES: dict[str, np.dtype[Any]] = {"u2": np.dtype("<u2"), "u4": np.dtype("<u4"), "u8": np.dtype("<u8"), "cover": COVER}
_REBUILD = "build it again with `lanjie lists build`"


class _Section(msgspec.Struct, frozen=True):
    type: str
    start: int
    size: int


def write(table: Table) -> Iterator[bytes]:
    """The file, in pieces."""
    if sys.byteorder != "little":  # pragma: no cover - no such machine to test on
        raise NumberListError("snapshot files are little-endian, and this machine is not")
    sections, pieces, at = {}, [], 0
    for name in SECTIONS:
        value = table.sections[name]
        data = value if isinstance(value, bytes) else np.ascontiguousarray(value).tobytes()
        sections[name] = _Section(_type(value), at, len(data))
        pieces += [data, bytes(-len(data) % _ALIGN)]
        at += len(data) + -len(data) % _ALIGN
    header = msgspec.json.encode(sections)
    header += b" " * (-(_FIXED + len(header)) % _ALIGN)
    pieces = [len(header).to_bytes(4, "little"), header, *pieces]
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    yield MAGIC + digest.digest()
    yield from pieces


def read(buffer: Any, where: str) -> Table:
    """The table in ``buffer`` (bytes or a map), which it goes on using.

    Raises:
        NumberListError: no snapshot, another format, cut short or damaged.
    """
    view = memoryview(buffer)
    if bytes(view[: len(MAGIC)]) != MAGIC:
        raise NumberListError(f"{where}: no number snapshot of this format ({MAGIC.decode().strip()}); {_REBUILD}")
    signed = len(MAGIC) + hashlib.sha256().digest_size
    if hashlib.sha256(view[signed:]).digest() != bytes(view[len(MAGIC) : signed]):
        raise NumberListError(f"{where}: cut short or damaged (SHA-256 differs); {_REBUILD}")
    body = _FIXED + int.from_bytes(view[signed:_FIXED], "little")
    sections = msgspec.json.decode(bytes(view[_FIXED:body]), type=dict[str, _Section])
    return Table({name: _section(view[body:], sections[name]) for name in SECTIONS})


def _section(body: memoryview, section: _Section) -> Any:
    data = body[section.start : section.start + section.size]
    return bytes(data) if section.type == _BYTES else np.frombuffer(data, dtype=_TYPES[section.type])


def _type(value: Any) -> str:
    if isinstance(value, bytes):
        return _BYTES
    return next(name for name, dtype in _TYPES.items() if dtype == value.dtype)
