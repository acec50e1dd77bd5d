"""Labelled messages from disk: JSON lines ``{"text", "label", "class"?}`` or CSV with the header ``text,label``.

Plain, gzip, zstd or xz. The source of a row is its file's name up to the first dot. Rows that cannot be used are told
with ``file:line``, never with their text, and left out.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from detectors.model.errors import LanjieError
from stream.logs import lines_of

PACKED: Final = (".xz", ".gz", ".zst")
_SHOWN: Final = 40  # characters of a label in an error


class LabelledError(LanjieError):
    """A row or file of labelled messages cannot be used."""


class Labelled(NamedTuple):
    """One labelled message."""

    source: str
    label: str  #: fraud, illegal, ad, ham, other
    kind: str  #: the collection's own class; "" if it has none
    text: str


class _Row(Struct):
    text: str
    label: str
    kind: str = msgspec.field(name="class", default="")


_decode = msgspec.json.Decoder(_Row).decode


def read_labelled(
    paths: Sequence[Path], labels: Collection[str], told: Callable[[LabelledError], None]
) -> list[Labelled]:
    """All usable rows in the order of the files; ``told`` is told of each other one.

    Args:
        labels: that a row may have.

    Raises:
        LabelledError: a file has no header that we know, or no usable row.
        LogError: a file cannot be read to its end.
    """
    found: list[Labelled] = []
    for path in paths:
        before = len(found)
        source = path.name.partition(".")[0]
        for where, row in (_csv if _is_csv(path) else _json)(path):
            problem = row if isinstance(row, str) else _problem(row, labels)
            if problem:
                told(LabelledError(f"{where}: {problem}"))
            elif isinstance(row, _Row):
                found.append(Labelled(source, row.label, row.kind, row.text))
        if len(found) == before:
            raise LabelledError(
                f'{path}: no usable row; expected {{"text": ..., "label": ...}} a line, or CSV text,label'
            )
    return found


def _problem(row: _Row, labels: Collection[str]) -> str:
    if row.label not in labels:
        return f"$.label: {row.label[:_SHOWN]!r}; expected {', '.join(sorted(labels))}, or name it with --positive"
    return "" if row.text.strip() else "$.text: empty; expected a message"


def _is_csv(path: Path) -> bool:
    return (path.with_suffix("") if path.suffix in PACKED else path).suffix == ".csv"


def _json(path: Path) -> Iterator[tuple[str, _Row | str]]:
    for number, line in enumerate(lines_of(path), 1):
        if line.strip():
            try:
                yield f"{path}:{number}", _decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                yield f"{path}:{number}", str(error)


def _csv(path: Path) -> Iterator[tuple[str, _Row | str]]:
    """``where`` is the last line of a row."""
    reader = csv.reader(line.decode("utf-8", "replace") + "\n" for line in lines_of(path))
    header = next(reader, [])
    if not {"text", "label"}.issubset(header):
        raise LabelledError(f"{path}:1: header {header[:9]}; expected the columns text and label")
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield f"{path}:{reader.line_num}", str(error)
            continue
        if len(cells) == len(header):
            row = dict(zip(header, cells, strict=True))
            yield f"{path}:{reader.line_num}", _Row(row["text"], row["label"], row.get("class", ""))
        elif cells:
            yield f"{path}:{reader.line_num}", f"{len(cells)} cells; expected {len(header)}"
