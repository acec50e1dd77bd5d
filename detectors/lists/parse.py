"""Lines of a list file to entries. Three forms, told apart by the first character of the file:

CSV with a header (``number,list,weight,reason,source,added,expires``; only ``number`` is required), JSON
objects with the same names, or plain text, one number a line. ``138*``, ``+4121560####`` and ``+4121560%`` are
prefixes.
Times are ISO 8601; without a zone they are UTC.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import msgspec

from detectors.lists.entry import Entry, ListKind, Provenance
from detectors.model.errors import NumberListError
from detectors.model.numbers import mask
from detectors.normalise.phone import canonical

COLUMNS = ("number", "list", "weight", "reason", "source", "added", "expires")
_PREFIX = re.compile(r"(\+?\d+)[*#%]+")
_SHORTEST_PREFIX = 3  # shorter ones would cover a whole country or network


def parse_lines(lines: Iterable[str], *, kind: ListKind, source: str, where: str) -> Iterator[Entry | NumberListError]:
    """Entries of a list file, and for each line that cannot be used the error that says why.

    Args:
        lines: of the file, decoded.
        kind: list of the entries that do not name one.
        source: provenance of the entries that do not name one.
        where: the file's name for messages.
    """
    cache: dict[tuple[str, ...], Provenance] = {}
    for line_no, row in _rows(lines):
        if row is None:
            yield NumberListError(f"{where}:{line_no}: neither a CSV row nor a JSON object with a text number")
            continue
        try:
            yield _entry(row, kind, source, cache)
        except ValueError as error:
            yield NumberListError(f"{where}:{line_no}: {error}")


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, str] | None]]:
    numbered = ((n, line.strip().removeprefix("\ufeff")) for n, line in enumerate(lines, 1))
    content = ((n, line) for n, line in numbered if line and not line.startswith("//"))
    header: list[str] | None = None
    for n, line in content:
        if line.startswith("{"):
            yield n, _object(line)
        elif header is None and line.lower().startswith("number,"):
            header = [name.strip().lower() for name in next(csv.reader([line]))]
        elif header is not None:
            yield n, _csv_row(header, line)
        else:
            yield n, {"number": line}


def _csv_row(header: list[str], line: str) -> dict[str, str] | None:
    try:
        return dict(zip(header, next(csv.reader([line])), strict=False))
    except csv.Error:
        return None


def _object(line: str) -> dict[str, str] | None:
    try:
        found = msgspec.json.decode(line, type=dict[str, str | int | float | None])
    except msgspec.MsgspecError:
        return None
    if isinstance(found.get("number"), float):
        return None
    return {name: str(value) for name, value in found.items() if value is not None}


def _entry(row: dict[str, str], kind: ListKind, source: str, cache: dict[tuple[str, ...], Provenance]) -> Entry:
    number, prefix = _number(row.get("number", "").strip())
    rest = tuple(row.get(name, "").strip() for name in COLUMNS[1:])
    if (provenance := cache.get(rest)) is None:
        provenance = cache[rest] = _provenance(row, kind, source)
    return Entry(number, provenance, prefix)


def _number(raw: str) -> tuple[str, bool]:
    if pattern := _PREFIX.fullmatch(unicodedata.normalize("NFKC", raw)):
        digits = pattern[1]
        if len(digits) < _SHORTEST_PREFIX + digits.startswith("+"):
            raise ValueError(f"$.number: prefix {raw!r} is shorter than {_SHORTEST_PREFIX} digits and covers too much")
        return _international(digits), True
    number = canonical(raw)
    if len(number) < _SHORTEST_PREFIX:
        raise ValueError(f"$.number: {mask(raw)!r} is no number; expected E.164, a national number or a prefix 138*")
    return number, False


def _international(digits: str) -> str:
    """A prefix as canonical numbers begin: service codes (95, 96, 10, 11, 12) stay national, the rest gets +86."""
    if digits.startswith("+") or re.match(r"9[56]|1[0-2]", digits):
        return digits
    if digits.startswith("00"):
        return "+" + digits[2:]
    if re.match(r"86[1-9]", digits):
        return "+" + digits
    if re.match(r"0[1-9]|1[3-9]|[48]00", digits):
        return "+86" + digits.removeprefix("0")
    raise ValueError(f"$.number: prefix {digits!r} begins no number of the plan; write it with + and country code")


def _shown(text: str) -> str:
    """A value in an error message, unless it may be a number or a name in the wrong column."""
    harmless = text.isascii() and len(text) <= 20 and sum(map(str.isdigit, text)) < 5
    return repr(text) if harmless else f"(hidden, {len(text)} characters)"


def _provenance(row: dict[str, str], kind: ListKind, source: str) -> Provenance:
    if name := row.get("list", "").strip():
        try:
            kind = ListKind[name.upper()]
        except KeyError:
            names = ", ".join(k.name.lower() for k in ListKind)
            raise ValueError(f"$.list: {_shown(name)} is no list; expected one of {names}") from None
    return Provenance(
        kind=kind,
        source=row.get("source", "").strip() or source,
        reason=row.get("reason", "").strip(),
        weight=_weight(row.get("weight", "").strip()),
        added=_time("added", row.get("added", "").strip()) or 0,
        expires=_time("expires", row.get("expires", "").strip()),
    )


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


def _time(name: str, text: str) -> int | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"$.{name}: {_shown(text)}; expected ISO 8601 such as 2026-11-24T08:00:00Z") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
