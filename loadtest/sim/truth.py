"""The truth of a simulated log, in files of its own: by event id, and by the number that acts."""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct, field

from detectors.model.errors import LanjieError
from loadtest.truth import Label
from stream.logs import LogReader

T = TypeVar("T", "EventTruth", "SubjectTruth")


class TruthError(LanjieError):
    """A truth file cannot be used (where: file:line)."""


class EventTruth(Struct, frozen=True, omit_defaults=True):
    """What an event really is.

    Attributes:
        label, cls, source: as in ``loadtest.truth.Label``.
        operation: the fraud operation behind it; "" for benign traffic.
        victim: whether the other side is somebody whom the operation tries to cheat.
    """

    id: str
    label: str
    cls: str = field(name="class")
    source: str
    operation: str = ""
    victim: bool = False

    @property
    def as_label(self) -> Label:
        """For ``loadtest.score``."""
        return Label(self.label, self.cls, self.source)


class SubjectTruth(Struct, frozen=True, omit_defaults=True):
    """What a number really is: one that acts for an operation, or a hard benign one.

    Attributes:
        number: E.164, or national where there is no such form (95588, 106...).
        since: of an operation, its first event; of a hard benign one, the start of the log (ms UTC).
    """

    number: str
    label: str
    cls: str = field(name="class")
    since: int
    operation: str = ""


ENCODE: Final = msgspec.json.Encoder().encode


def read_truth(path: Path) -> dict[str, EventTruth]:
    """By event id.

    Raises:
        LanjieError: the file cannot be read, or a line is no such row.
    """
    return {row.id: row for row in _rows(path, EventTruth)}


def read_subjects(path: Path) -> dict[str, SubjectTruth]:
    """By number.

    Raises:
        LanjieError: as ``read_truth``.
    """
    return {row.number: row for row in _rows(path, SubjectTruth)}


def _rows(path: Path, kind: type[T]) -> list[T]:
    decode = msgspec.json.Decoder(kind).decode
    rows: list[T] = []
    for line in LogReader([str(path)]):
        try:
            rows.append(decode(line.raw))
        except msgspec.MsgspecError as error:
            told = str(error) if isinstance(error, msgspec.ValidationError) else "not JSON"
            raise TruthError(f"{line.where}: no {kind.__name__} ({told}); write the log again") from None
    return rows
