"""Lines of a list file to entries. Four forms, told apart by how the file begins:

CSV with a header (``number,list,weight,reason,source,added,expires``; only ``number`` is required, also ``start,end``),
JSON objects with the same names one a line, one JSON array of objects with ``pattern`` (or ``start`` and ``end``; E.164
without ``+``, as the French saracroche list), or plain text, one number a line. A column ``op`` with ``remove`` takes
the entries of a number away from the lists below: those of the ``list`` and ``source`` that the row names, or all.

``138*`` is a prefix, ``+4121560####`` all numbers with four more digits, ``+33162000000-+33162999999`` a range.
``domain:bad.example``, ``qq:12345``, ``wechat:abc``, ``card:6222...`` are keys that are found in message text.
Times are ISO 8601; without a zone they are UTC.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain

import msgspec
from msgspec import Struct

from detectors.lists.build import Removal
from detectors.lists.entry import Entry, ListKind, Provenance
from detectors.lists.junk import Sieve
from detectors.lists.table import Place, place
from detectors.model.errors import NumberListError
from detectors.model.numbers import Canonical, mask
from detectors.normalise import key as k
from detectors.normalise.phone import HOME, canonical

OPERATIONS = ("", "add", "remove")
COLUMNS = ("number", "list", "weight", "reason", "source", "added", "expires")
HEADER = ",".join(COLUMNS)
_NAMES = {"pattern": "number", "operator_name": "source"}  # as other lists call them
_PATTERN = re.compile(r"(\+?\d+)(?:(#+)|[*%]+)")
_RANGE = re.compile(r"(\+?\d+)-(\+?\d+)")
_TOKEN = re.compile(r"(?:domain|wechat|qq|telegram|whatsapp|card):\S{2,253}")
_SHORTEST = 3  # shorter ones are a country's prefix, a test entry or a mistake

Row = dict[str, str]


class Gone(Struct, frozen=True):
    """A row that takes entries away."""

    place: Place
    removal: Removal


class ListParser:
    """Reads list files of one list and source.

    Args:
        kind: list of the entries that do not name one.
        source: provenance of the entries that do not name one.
        sieve: refuses what no list may hold.
        home: ISO 3166 region whose national forms are assumed.
    """

    def __init__(self, kind: ListKind, source: str, sieve: Sieve | None = None, home: str = HOME) -> None:
        self._kind, self._source, self._home = kind, source, home
        self._sieve = sieve or Sieve()
        self._known: dict[tuple[str, ...], Provenance] = {}

    def parse(self, lines: Iterable[str], where: str) -> Iterator[Entry | Gone | NumberListError]:
        """What the lines say, and for each that cannot be used the error that says why. ``where``: the file's name."""
        for at, row in _rows(lines):
            try:
                entry = self._entry(row if row is not None else _unreadable())
                removes = "op" in row and self._removes(row) if row else False
                if not removes:
                    self._sieve.check(entry)
            except ValueError as error:
                yield NumberListError(f"{where}:{at}: {error}")
            else:
                yield self._gone(entry, row) if removes and row else entry

    def _removes(self, row: Row) -> bool:
        operation = row["op"].strip().lower()
        if operation not in OPERATIONS:
            raise ValueError(f"$.op: {_shown(operation)}; expected add or remove")
        return operation == "remove"

    def _gone(self, entry: Entry, row: Row) -> Gone:
        p = entry.provenance
        return Gone(place(entry), Removal(p.kind if row.get("list") else None, p.source if row.get("source") else None))

    def _entry(self, row: Row) -> Entry:
        rest = tuple([row.get(name, "") for name in COLUMNS[1:]])
        if (provenance := self._known.get(rest)) is None:
            provenance = self._known[rest] = self._provenance({n: v.strip() for n, v in row.items()})
        number = row.get("number", "").strip()
        if not number and "start" in row:
            number = f"{row['start'].strip()}-{row.get('end', '').strip()}"
        return entry_of(number, provenance, self._home)

    def _provenance(self, row: Row) -> Provenance:
        kind = self._kind
        if name := row.get("list", ""):
            try:
                kind = ListKind[name.upper()]
            except KeyError:
                names = ", ".join(kind.name.lower() for kind in ListKind)
                raise ValueError(f"$.list: {_shown(name)} is no list; expected one of {names}") from None
        return Provenance(
            kind=kind,
            source=row.get("source", "") or self._source,
            reason=row.get("reason", ""),
            weight=_weight(row.get("weight", "")),
            added=time_of("added", row.get("added", "")) or 0,
            expires=time_of("expires", row.get("expires", "")),
        )


def parse_lines(
    lines: Iterable[str], *, kind: ListKind, source: str, where: str
) -> Iterator[Entry | Gone | NumberListError]:
    """Entries of one file, and for each line that cannot be used the error that says why."""
    return ListParser(kind, source).parse(lines, where)


def entry_of(raw: str, provenance: Provenance, home: str = HOME) -> Entry:
    """The entry for a number, pattern, range or token as it is written in a list.

    Raises:
        ValueError: it is none of these.
    """
    if (plain := canonical(raw, home)) and len(plain) >= _SHORTEST and plain.strip("+0"):  # nearly all there are
        return Entry(plain, provenance)
    text = unicodedata.normalize("NFKC", raw)
    if pattern := _PATTERN.fullmatch(text):
        return _pattern(pattern[1], len(pattern[2] or ""), provenance, home)
    if found := _RANGE.fullmatch(text):
        return _range(canonical(found[1], home) or found[1], canonical(found[2], home) or found[2], provenance)
    if _TOKEN.fullmatch(text):
        return Entry(text.lower(), provenance)
    raise ValueError(
        f"$.number: {mask(raw)!r} is no number; expected E.164, a national number, 138*, +4121560####, start-end or "
        f"domain:...; a CSV file begins with the header {HEADER}"
    )


def _pattern(digits: str, open_places: int, provenance: Provenance, home: str) -> Entry:
    if len(digits) < _SHORTEST + digits.startswith("+"):
        raise ValueError(f"$.number: prefix {digits!r} is shorter than {_SHORTEST} digits and covers too much")
    number = _international(digits, home)
    if len(k.digits_of(number)) + open_places > k.PLACES:
        raise ValueError(f"$.number: prefix {digits!r} and its open places are longer than {k.PLACES} digits")
    if open_places:
        return _range(number + "0" * open_places, number + "9" * open_places, provenance)
    return Entry(number, provenance, prefix=True)


def _range(first: Canonical, last: Canonical, provenance: Provenance) -> Entry:
    if (
        len(first) != len(last)
        or first[:1].isdigit() != last[:1].isdigit()
        or not _SHORTEST <= len(k.digits_of(first)) <= k.PLACES
    ):
        raise ValueError(f"$.number: range {mask(first)}-{mask(last)}; expected two numbers of equal length")
    if k.key(first) > k.key(last):
        raise ValueError(f"$.number: range {mask(first)}-{mask(last)} ends before it begins")
    return Entry(first, provenance, last=last)


def _international(digits: str, home: str) -> str:
    """A prefix as canonical numbers begin: service codes (95, 96, 10, 11, 12) stay national, the rest gets +86."""
    if digits.startswith("+"):
        return digits
    if digits.startswith("00"):
        return "+" + digits[2:]
    if home == HOME:
        if re.match(r"9[56]|1[0-2]", digits):
            return digits
        if re.match(r"86[1-9]", digits):
            return "+" + digits
        if re.match(r"0[1-9]|1[3-9]|[48]00", digits):
            return "+86" + digits.removeprefix("0")
    raise ValueError(f"$.number: prefix {digits!r} begins no number of the plan; write it with + and country code")


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, Row | None]]:
    numbered = ((n, line.strip().removeprefix("\ufeff")) for n, line in enumerate(lines, 1))
    content = ((n, line) for n, line in numbered if line and not line.startswith(("//", "#")))
    first = next(content, None)
    if first is None:
        return
    if first[1].startswith("["):
        yield from _array(chain([first], content))
        return
    header = [name.strip().lower() for name in first[1].split(",")]
    if "number" not in header and "start" not in header:
        header = []
    for n, line in content if header else chain([first], content):
        if line.startswith("{"):
            yield n, _object(line)
        elif header:
            yield n, _csv_row(header, line)
        else:
            yield n, {"number": line}


def _csv_row(header: list[str], line: str) -> Row | None:
    if '"' not in line:
        return dict(zip(header, line.split(","), strict=False))
    try:
        return dict(zip(header, next(csv.reader([line])), strict=False))
    except csv.Error:
        return None


def _object(line: str) -> Row | None:
    try:
        return _row(msgspec.json.decode(line, type=dict[str, str | int | float | None]))
    except msgspec.MsgspecError:
        return None


def _array(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, Row | None]]:
    """One JSON array over many lines. Its numbers are E.164 without the plus; an object is told by its first line."""
    begins, text = [], []
    for n, line in lines:
        begins += [n] * line.count("{")
        text.append(line)
    try:
        objects = msgspec.json.decode("\n".join(text), type=list[dict[str, str | int | float | None]])
    except msgspec.MsgspecError:
        yield begins[0] if begins else 1, None
        return
    for n, found in zip(begins, objects, strict=False):
        row = _row(found)
        if row and row.get("number"):
            row["number"] = re.sub(r"^(?=\d)", "+", row["number"])
        elif row and row.get("start"):
            row |= {name: re.sub(r"^(?=\d)", "+", row.get(name, "")) for name in ("start", "end")}
        yield n, row


def _row(found: dict[str, str | int | float | None]) -> Row | None:
    if isinstance(found.get("number"), float):
        return None
    return {_NAMES.get(name, name): str(value) for name, value in found.items() if value is not None}


def _unreadable() -> Row:
    raise ValueError("neither a CSV row nor a JSON object with a text number")


def _shown(text: str) -> str:
    """A value in an error message, unless it may be a number or a name in the wrong column."""
    harmless = text.isascii() and len(text) <= 20 and sum(map(str.isdigit, text)) < 5
    return repr(text) if harmless else f"(hidden, {len(text)} characters)"


def _weight(text: str) -> float | None:
    if not text:
        return None
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight <= 200:
        raise ValueError(f"$.weight: {_shown(text)}; expected a number from 0 to 200")
    return weight


def time_of(name: str, text: str) -> int | None:
    """ISO 8601 to milliseconds UTC; None for "".

    Raises:
        ValueError: it is no time.
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"$.{name}: {_shown(text)}; expected ISO 8601 such as 2026-11-24T08:00:00Z") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
