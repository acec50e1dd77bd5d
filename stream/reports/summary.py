"""The figures of a period for people: tables, a page; and for programs: CSV, JSON."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from io import StringIO
from typing import Any, Final, NamedTuple

from detectors.model.decision import ACTIONS
from detectors.model.events import KINDS
from stream.reports.ledger import Figure
from stream.reports.page import Page, lines
from stream.reports.period import Period

TOP_REASONS: Final = 20
MEASURES: Final = tuple(name for name in ACTIONS if name != "allow")
_FROM_WARN: Final = tuple(name for name, action in ACTIONS.items() if action >= ACTIONS["warn"])
_MEANS: Final = (
    "Dealt with: decisions of warn or more about calls and SMS, as the gateway was told. Warnings: decisions 'warn'. "
    "Numbers are those that acted, a victim who calls back too; withheld ones are counted in decisions only."
)
_STRONGEST: Final = (
    "Each once, by the strongest measure in the period. Cards are those with card events; they are decided by number "
    "lists and by how they were opened, where they are and whether they slept."
)


class Table(NamedTuple):
    """A part of the report."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: str = ""


class Summary:
    """Figures, looked up.

    Args:
        figures: all of them; what is missing is 0.
        parts: days or hours of the period, in order.
        words: reason code -> Chinese, English.
        reverified, lists: whether these were looked for.
    """

    def __init__(
        self,
        period: Period,
        figures: Sequence[Figure],
        *,
        parts: Sequence[str],
        words: Mapping[str, tuple[str, str]],
        reverified: bool,
        lists: bool,
    ) -> None:
        self.period, self.figures, self._parts, self._words = period, figures, parts, words
        self._reverified, self._lists = reverified, lists
        self._values = {tuple(each[:4]): each.value for each in figures}

    def value(self, figure: str, of: str = "", measure: str = "", part: str = "") -> int:
        """One of them."""
        return self._values.get((part, figure, of, measure), 0)

    def total(self, figure: str, *, of: Iterable[str] = ("",), measures: Iterable[str] = ("",), part: str = "") -> int:
        """The sum of some."""
        measures = tuple(measures)
        return sum(self.value(figure, each, measure, part) for each in of for measure in measures)

    def headline(self, part: str = "") -> dict[str, int | None]:
        """The numbers that are asked for first; None: nobody looked."""
        return {
            "fraud calls dealt with": self.value("dealt_with", "call", part=part),
            "fraud SMS dealt with": self.value("dealt_with", "sms", part=part),
            "blocked": self.total("decisions", of=KINDS, measures=["block"], part=part),
            "warnings sent": self.total("warnings", of=KINDS, part=part),
            "numbers restricted or blocked": self.total("subjects", measures=["restrict", "block"], part=part),
            "cards controlled": self.total("cards", measures=MEASURES, part=part),
            "cards re-verified": self.value("reverified", "cards", part=part) if self._reverified else None,
        }

    def tables(self) -> Iterator[Table]:
        """All parts of the report."""
        yield self._decisions()
        subjects = [(name, self.value("subjects", "", name), self.value("cards", "", name)) for name in MEASURES]
        yield Table("numbers and cards under measures", ("strongest measure", "numbers", "cards"), subjects, _STRONGEST)
        yield self._reasons()
        yield self._trial()
        if self._lists:
            yield self._shared()
        if len(self._parts) > 1:
            heads = list(self.headline())
            rows = [(part, *self.headline(part).values()) for part in self._parts]
            yield Table(f"by {self.period.by}", (self.period.by, *heads), rows, f"Times of {self.period.zone.key}.")
        if self._reverified:
            events, cards = self.value("reverified", "events"), self.value("reverified", "cards")
            yield Table("re-verifications", ("what", "count"), [("re-verifications", events), ("of cards", cards)])
        said = [(name, self.value("input", name)) for name in ("read", "refused", "outside", "repeats")]
        yield Table(
            "decisions read", ("what", "count"), said, "Repeats of an event are counted once: the first that is read."
        )

    def _decisions(self) -> Table:
        rows: list[Sequence[object]] = []
        for action in (*ACTIONS, ""):
            of = [self.total("decisions", of=[kind], measures=[action] if action else ACTIONS) for kind in KINDS]
            rows.append((action or "all", *of, sum(of)))
        return Table("decisions", ("action", *KINDS, "all"), rows, _MEANS)

    def _reasons(self) -> Table:
        found = sorted(
            ((each.of, each.value) for each in self.figures if each.figure == "reasons" and not each.part),
            key=lambda each: (-each[1], each[0]),
        )
        rows = [(code, *self._words.get(code, ("", "")), count) for code, count in found[:TOP_REASONS]]
        more = f", the first {TOP_REASONS} of {len(found):,}" if len(found) > TOP_REASONS else ""
        note = f"A decision may have several; of those of warn or more{more}."
        return Table("reasons", ("code", "原因", "reason", "decisions"), rows, note)

    def _trial(self) -> Table:
        rows = [
            (
                kind,
                self.total("decisions", of=[kind], measures=_FROM_WARN),
                self.total("would_be", of=[kind], measures=_FROM_WARN),
                self.value("degraded", kind),
            )
            for kind in KINDS
        ]
        columns = ("kind", "warn or more", "if all on trial were enforced", "decided without some detector")
        return Table("enforced, on trial, degraded", columns, rows)

    def _shared(self) -> Table:
        names = ("list_entries_before", "list_entries")
        places = sorted({(each.of, each.measure) for each in self.figures if each.figure in names})
        rows = [(*place, *(self.value(name, *place) for name in names)) for place in places]
        changes = ", ".join(f"{each.of} {each.value:,}" for each in self.figures if each.figure == "list_changes")
        note = f"Feeds whatever their stage. Changes in the period: {changes or 'none'}."
        return Table("list entries by source", ("source", "list", "at the start", "at the end"), rows, note)

    def csv(self) -> bytes:
        """All figures, one a row."""
        out = StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(Figure._fields)
        writer.writerows(self.figures)
        return out.getvalue().encode()

    def json(self) -> dict[str, Any]:
        """For ``dump_json``."""
        since, until = self.period.bounds
        return {
            "from": since,
            "to": until,
            "zone": self.period.zone.key,
            "by": self.period.by,
            "headline": self.headline(),
            "figures": [each._asdict() for each in self.figures],
            "reasons": {code: {"zh": zh, "en": en} for code, (zh, en) in self._words.items()},
        }

    @property
    def subtitle(self) -> str:
        """Which period, and where in it there are decisions."""
        since, until = self.period.bounds
        found = f"; decisions of {' to '.join(dict.fromkeys((self._parts[0], self._parts[-1])))}" if self._parts else ""
        return f"from {since or 'the first decision'} to before {until or 'the end'}, {self.period.zone.key}{found}"

    def page(self) -> Page:
        """As HTML."""
        page = Page("Calls and SMS intercepted", self.subtitle)
        page.figures([(name, f"{value:,}") for name, value in self.headline().items() if value is not None])
        if len(self._parts) > 1:
            moments = [datetime.fromisoformat(part) for part in self._parts]
            dealt = {
                name: [float(self.value("dealt_with", kind, part=part)) for part in self._parts]
                for kind, name in (("call", "calls"), ("sms", "SMS"))
            }
            page.plot(f"Dealt with, by {self.period.by}", lines(moments, dealt))
        for table in self.tables():
            page.table(*table._replace(title=table.title[0].upper() + table.title[1:]))
        return page
