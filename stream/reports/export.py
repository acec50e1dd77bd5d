"""Decisions as a table for analysts: Parquet or a DuckDB file, one row each, repeats included.

event_id, kind, action, lists, rules   VARCHAR
time                                   TIMESTAMPTZ, of the event
score, shadow_score                    DOUBLE
shadow_action                          VARCHAR: if all rules and feeds were enforced, where it would be another
degraded                               VARCHAR[]
latency_us                             BIGINT, microseconds; null of a replay
reasons                                STRUCT(code, rule, version, weight, zh, en, detail, span INTEGER[])[]
subject                                VARCHAR: a pseudonym or the number, if asked for; null where it was withheld
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from detectors.model.decision import Decision, Reason
from detectors.model.errors import LanjieError
from stream.reports.intake import hidden
from stream.reports.page import ReportError
from stream.reports.store import Spool, database

FORMS: Final = (".parquet", ".duckdb")
KEY_BYTES: Final = 16  #: of a key, at least
_PERSON: Final = b"lanjie-subject"  # so that no other use of the key gives the same
_COLUMNS: Final = {
    "event_id": "VARCHAR", "kind": "VARCHAR", "time": "BIGINT", "action": "VARCHAR", "score": "DOUBLE",
    "lists": "VARCHAR", "rules": "VARCHAR", "degraded": "VARCHAR[]", "latency_us": "BIGINT",
    "shadow_action": "VARCHAR", "shadow_score": "DOUBLE",
    "reasons": "STRUCT(code VARCHAR, rule VARCHAR, version VARCHAR, weight DOUBLE, zh VARCHAR, en VARCHAR, "
               "detail VARCHAR, span INTEGER[])[]",
    "subject": "VARCHAR",
}  # fmt: skip
_TIMED: Final = "* REPLACE (make_timestamptz(time * 1000) AS time)"
Subject = Callable[[str], str]


class KeyFileError(LanjieError):
    """A file holds no key."""


def pseudonyms(path: Path) -> Subject:
    """Numbers to pseudonyms of 32 hex digits: BLAKE2b with the key in a file. The same key gives the same, so exports
    can be joined; who has it can try all numbers.

    Raises:
        KeyFileError: the file cannot be read, or holds too little.
    """
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}; expected the file of a key") from None
    if len(key) < KEY_BYTES:
        raise KeyFileError(
            f"{path}: {len(key)} bytes; expected a key of {KEY_BYTES} or more: head -c 32 /dev/urandom | base64 > FILE"
        )
    key = blake2b(key).digest()
    return lambda number: blake2b(number.encode(), key=key, digest_size=16, person=_PERSON).hexdigest()


class Export:
    """Takes decisions; writes them, once.

    Args:
        folder: for what is only needed now.
        subject: what is told instead of a number; None leaves the column out.
    """

    def __init__(self, folder: Path, subject: Subject | None) -> None:
        self._folder, self._subject = folder, subject
        columns = {name: kind for name, kind in _COLUMNS.items() if name != "subject" or subject}
        self._spool = Spool(folder, "read", columns)

    def add(self, decision: Decision) -> None:
        """Take one."""
        shadow = decision.shadow
        row: dict[str, Any] = {
            "event_id": decision.event_id,
            "kind": decision.kind,
            "time": decision.time,
            "action": decision.action,
            "score": decision.score,
            "lists": decision.lists,
            "rules": decision.rules,
            "degraded": decision.degraded,
            "latency_us": decision.latency_us,
            "shadow_action": shadow.action if shadow else None,
            "shadow_score": shadow.score if shadow else None,
            "reasons": [_reason(each) for each in decision.reasons],
        }
        if self._subject:
            row["subject"] = self._subject(decision.subject) if decision.subject else None
        self._spool.add(row)

    def write(self, path: Path, *, private: bool) -> int:
        """Write the file, whole or not at all; returns its rows.

        Args:
            path: ends with one of ``FORMS``.
            private: only its owner may read it.

        Raises:
            ReportError: DuckDB is not installed, or the disk does not take it.
        """
        try:
            with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as beside:
                made = Path(beside, "made")
                self._write(made, parquet=path.suffix == ".parquet")
                made.chmod(0o600 if private else 0o644)
                made.replace(path)
        except OSError as error:
            raise ReportError(f"{path}: {error.strerror}; expected a file that can be written") from None
        return self._spool.rows

    def _write(self, made: Path, *, parquet: bool) -> None:
        with database(self._folder / "export.duckdb" if parquet else made, self._folder) as connection:
            self._spool.give(connection)
            rows = connection.view(self._spool.name).project(_TIMED)
            if parquet:
                rows.write_parquet(str(made), compression="zstd")
            else:
                rows.create("decisions")
                connection.execute("DROP VIEW read")


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "code": reason.code,
        "rule": reason.rule,
        "version": reason.version,
        "weight": reason.weight,
        "zh": hidden(reason.zh),
        "en": hidden(reason.en),
        "detail": hidden(reason.detail),
        "span": reason.span,
    }
