"""The figures of a period, counted once each, whatever is larger than memory on disk.

A figure is a row ``(part, figure, of, measure, value)``; ``part`` is a day or hour, "" the whole period. Distinct
subjects of days do not add up to those of a period, so both are counted. What each figure means is its query.

    decisions    kind    action   decisions
    dealt_with   kind             calls and SMS with warn or more: what the gateway was told, not what would be
    warnings     kind             calls and SMS with ``warn``: whoever is reached by it is told
    would_be     kind    action   decisions, if all rules and feeds were enforced
    degraded     kind             decisions for which a detector did not look
    subjects             action   acting numbers, by the strongest measure of any of their events
    cards                action   numbers of cards, by the strongest measure of their card events
    reasons      code             decisions of warn or more that name it
    reverified   events | cards   re-verifications, and the cards that they were of
    input        read | refused | outside | repeats
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

from detectors.model.decision import ACTIONS, Decision
from detectors.model.events import CardEvent
from detectors.normalise.phone import canonical
from stream.reports.intake import Intake, hidden
from stream.reports.period import Period
from stream.reports.store import Spool, database

#: An action is compared as an action, never as a text: "block" < "warn".
_ACTION: Final = "CREATE TYPE action AS ENUM ({})".format(", ".join(f"'{name}'" for name in ACTIONS))
_DECISIONS: Final = {
    "n": "BIGINT", "id": "VARCHAR", "part": "VARCHAR", "kind": "VARCHAR", "action": "action", "would": "action",
    "subject": "VARCHAR", "degraded": "BOOLEAN", "codes": "VARCHAR[]",
}  # fmt: skip
_CARDS: Final = {"n": "BIGINT", "id": "VARCHAR", "part": "VARCHAR", "subject": "VARCHAR"}
#: Delivery is at least once: of several decisions about one event the first that was read counts.
_ONCE: Final = (
    "CREATE TABLE decisions AS SELECT * FROM read QUALIFY row_number() OVER (PARTITION BY id ORDER BY n) = 1",
    "CREATE TABLE reverified AS SELECT * FROM events QUALIFY row_number() OVER (PARTITION BY id ORDER BY n) = 1",
)
_FIGURES: Final = {
    "decisions": """SELECT part, kind, action, count(*) FROM decisions
        GROUP BY GROUPING SETS ((part, kind, action), (kind, action))""",
    "dealt_with": """SELECT part, kind, '', count(*) FROM decisions
        WHERE action >= 'warn'::action AND kind IN ('call', 'sms') GROUP BY GROUPING SETS ((part, kind), (kind))""",
    "warnings": """SELECT part, kind, '', count(*) FROM decisions
        WHERE action = 'warn'::action AND kind IN ('call', 'sms') GROUP BY GROUPING SETS ((part, kind), (kind))""",
    "would_be": """SELECT part, kind, would, count(*) FROM decisions
        GROUP BY GROUPING SETS ((part, kind, would), (kind, would))""",
    "degraded": """SELECT part, kind, '', count(*) FROM decisions
        WHERE degraded GROUP BY GROUPING SETS ((part, kind), (kind))""",
    "subjects": """SELECT part, '', strongest, count(*) FROM (
            SELECT part, max(action) AS strongest FROM decisions WHERE subject IS NOT NULL
            GROUP BY GROUPING SETS ((part, subject), (subject))) GROUP BY part, strongest""",
    "cards": """SELECT part, '', strongest, count(*) FROM (
            SELECT part, max(action) AS strongest FROM decisions WHERE subject IS NOT NULL AND kind = 'card'
            GROUP BY GROUPING SETS ((part, subject), (subject))) GROUP BY part, strongest""",
    "reasons": """SELECT part, code, '', count(*) FROM (
            SELECT part, unnest(codes) AS code FROM decisions WHERE action >= 'warn'::action)
            GROUP BY GROUPING SETS ((part, code), (code))""",
}
_REVERIFIED: Final = {
    "events": "SELECT part, 'events', '', count(*) FROM reverified GROUP BY GROUPING SETS ((part), ())",
    "cards": """SELECT part, 'cards', '', count(DISTINCT subject) FROM reverified
        GROUP BY GROUPING SETS ((part), ())""",
}
_REPEATS: Final = "SELECT (SELECT count(*) FROM read) - (SELECT count(*) FROM decisions)"


class Figure(NamedTuple):
    """A number of the report; the columns of its CSV."""

    part: str
    figure: str
    of: str
    measure: str
    value: int


class Ledger:
    """Takes decisions and re-verifications; gives figures, once. Numbers of subjects are hashed as they come in, with a
    key that is gone afterwards.

    Args:
        folder: for what is only needed now.
    """

    def __init__(self, period: Period, folder: Path) -> None:
        self._period, self._folder, self._key = period, folder, os.urandom(32)
        self._decisions = Spool(folder, "read", _DECISIONS)
        self._events = Spool(folder, "events", _CARDS)
        self.first, self.last = 1 << 62, -1  #: event time, ms UTC
        self.words: dict[str, tuple[str, str]] = {}  #: reason code -> Chinese, English

    def add(self, decision: Decision) -> None:
        """Count a decision of the period."""
        for reason in decision.reasons:
            if reason.code not in self.words:
                self.words[reason.code] = hidden(reason.zh), hidden(reason.en)
        self._decisions.add(
            {
                **self._common(decision.event_id, decision.time, decision.subject),
                "kind": decision.kind,
                "action": decision.action,
                "would": decision.shadow.action if decision.shadow else decision.action,
                "degraded": bool(decision.degraded),
                "codes": list(dict.fromkeys(reason.code for reason in decision.reasons)),
                "n": self._decisions.rows,
            }
        )

    def add_reverified(self, event: CardEvent) -> None:
        """Count a re-verification of the period."""
        number = event.a_e164 or canonical(event.a_number)
        self._events.add({**self._common(event.id, event.time, number), "n": self._events.rows})

    def _common(self, event_id: str, time: int, number: str) -> dict[str, Any]:
        self.first, self.last = min(self.first, time), max(self.last, time)
        hashed = blake2b(number.encode(), key=self._key, digest_size=16).hexdigest() if number else None
        return {"id": event_id, "part": self._period.part(time), "subject": hashed}

    @property
    def parts(self) -> list[str]:
        """The days or hours in which there is something, and those between them."""
        return list(self._period.parts(self.first, self.last)) if self.last >= 0 else []

    def figures(self, intake: Intake, *, reverified: bool) -> list[Figure]:
        """All of them, in order; those that are 0 are left out.

        Args:
            reverified: whether re-verifications were looked for at all.

        Raises:
            ReportError: DuckDB is not installed, or the disk is full.
        """
        found = [
            Figure("", "input", "read", "", intake.read),
            Figure("", "input", "refused", "", intake.refused),
            Figure("", "input", "outside", "", intake.outside),
        ]
        with database(self._folder / "ledger.duckdb", self._folder) as connection:
            connection.execute(_ACTION)
            for spool in (self._decisions, self._events):
                spool.give(connection)
            for statement in _ONCE:
                connection.execute(statement)
            found += [Figure("", "input", "repeats", "", n) for (n,) in connection.execute(_REPEATS).fetchall()]
            for name, query in _FIGURES.items():
                found += _rows(name, connection.execute(query).fetchall())
            for query in _REVERIFIED.values() if reverified else ():
                found += _rows("reverified", connection.execute(query).fetchall())
        return found


def _rows(name: str, rows: list[tuple[Any, ...]]) -> Iterator[Figure]:
    for part, of, measure, value in sorted(rows, key=lambda row: (row[0] or "", row[1], _rank(row[2]))):
        yield Figure(part or "", name, of, measure, value)


def _rank(measure: str) -> int:
    return ACTIONS.get(measure, -1)
