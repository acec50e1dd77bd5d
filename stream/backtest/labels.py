"""What events really are: JSON lines ``{"id", "label", "class"}``, as ``loadtest/truth.py`` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from detectors.model.errors import LanjieError
from loadtest.truth import FRAUDULENT
from stream.backtest.found import Truth
from stream.logs import lines_of

LABELS: Final = FRAUDULENT | {"ad", "ham", "other"}
_SHOWN: Final = 40  # characters of a label in an error


class LabelError(LanjieError):
    """Labels that cannot be used."""


class _Row(Struct):
    """What else a row has is passed over."""

    id: str
    label: str
    cls: str = msgspec.field(name="class", default="")


_decode = msgspec.json.Decoder(_Row).decode


def read_labels(path: Path) -> dict[str, Truth]:
    """Event id -> truth. Plain, gzip, zstd or xz.

    Raises:
        LabelError: a row is no label, contradicts another, or there is none.
        LogError: the file cannot be read to its end.
    """
    found: dict[str, Truth] = {}
    same: dict[Truth, Truth] = {}  # a few classes, millions of events
    for number, line in enumerate(lines_of(path), 1):
        if not line.strip():
            continue
        try:
            row = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise LabelError(f'{path}:{number}: {error}; expected {{"id": ..., "label": ..., "class": ...}}') from None
        if row.label not in LABELS:
            raise LabelError(f"{path}:{number}: $.label: {row.label[:_SHOWN]!r}; expected {', '.join(sorted(LABELS))}")
        truth = Truth(row.label, row.cls)
        if found.setdefault(row.id, same.setdefault(truth, truth)) != truth:
            raise LabelError(f"{path}:{number}: $.label: not what an earlier row says of this event; keep one of them")
    if not found:
        raise LabelError(f'{path}: empty; expected {{"id": ..., "label": ..., "class": ...}} a line')
    return found
