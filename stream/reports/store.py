"""Rows on disk and DuckDB over them: what is counted, sorted or exported may be larger than the memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stream.reports.page import ReportError, missing

if TYPE_CHECKING:  # in the extra "reports"
    from duckdb import DuckDBPyConnection

MEMORY: Final = "512MB"  #: of DuckDB; what needs more goes to disk
#: What it is about is in what it says.
_TOLD: Final = ("IOException", "OutOfMemoryException", "PermissionException")


class Spool:
    """Rows in a temporary file, as JSON lines, in the order in which they come; in memory is one.

    Args:
        columns: name -> DuckDB's type. Rows are objects with these fields.
    """

    def __init__(self, folder: Path, name: str, columns: Mapping[str, str]) -> None:
        self.path, self.columns, self.name = folder / f"{name}.jsonl", dict(columns), name
        self.rows = 0
        self._out = self.path.open("wb")
        self._encode = msgspec.json.Encoder().encode

    def add(self, row: Mapping[str, Any]) -> None:
        """Keep one."""
        self._out.write(self._encode(row) + b"\n")
        self.rows += 1

    def give(self, connection: DuckDBPyConnection) -> None:
        """Make it a view of its name. No row can be added any more."""
        self._out.close()
        rows = connection.read_json(str(self.path), columns=self.columns, format="newline_delimited")
        rows.create_view(self.name)


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for what is only needed now; where, says TMPDIR.

    Raises:
        ReportError: the disk does not take it.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="lanjie-") as folder:
            yield Path(folder)
    except OSError as error:
        raise ReportError(f"{tempfile.gettempdir()}: {error.strerror}; name another folder in TMPDIR") from None


@contextmanager
def database(path: Path, folder: Path) -> Iterator[DuckDBPyConnection]:
    """A database file, made if it is not there; temporary files go into ``folder``. Nothing is fetched from anywhere.

    Raises:
        ReportError: DuckDB is not installed, or cannot do what it is asked for. Its words may quote a row: they are
            told only where they are of the disk or the memory.
    """
    try:
        import duckdb  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise missing(error) from None
    options: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "temp_directory": str(folder),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    try:
        with duckdb.connect(str(path), config=options) as connection:
            yield connection
    except duckdb.Error as error:
        name = type(error).__name__
        told = str(error).splitlines()[0] if name in _TOLD else name
        raise ReportError(f"DuckDB: {told}; expected room on the disk, also for what TMPDIR names") from None
