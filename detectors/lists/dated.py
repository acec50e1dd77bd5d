"""Dated snapshots of one public list to entries with times: what was on the list when.

    date        2025-03-31    2025-04-28    2025-06-30    2025-07-14
    on the list     A B           A             A B           B
    A           |------------------------------------------|           added 03-31, expires 07-14
    B           |-------------|             |------------------->      added 03-31, expires 04-28; added 06-30

A snapshot says what holds from the start of its day (UTC) until the next one of its series.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime

import msgspec

from detectors.lists.entry import Entry

_DATED = re.compile(r"(?P<series>.*?)[._-]?(?P<day>\d{4}-\d{2}-\d{2})(?!\d)")


def series_and_day(name: str) -> tuple[str, date]:
    """``spam_numbers_2025-03-31.txt`` -> ``("spam_numbers", 2025-03-31)``.

    Raises:
        ValueError: the name has no date.
    """
    found = _DATED.match(name)
    if found is None:
        raise ValueError(f"{name}: expected a date in the name, as in spam_numbers_2025-03-31.txt")
    return found["series"], date.fromisoformat(found["day"])


def intervals(snapshots: Mapping[date, Iterable[Entry]]) -> Iterator[Entry]:
    """The entries of one series, each with the time from when to when it was on the list."""
    since: dict[Entry, int] = {}
    for day in sorted(snapshots):
        now = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
        present = set(snapshots[day])
        for gone in since.keys() - present:
            yield _between(gone, since.pop(gone), now)
        for entry in present - since.keys():
            since[entry] = now
    for entry, added in since.items():
        yield _between(entry, added, None)


def _between(entry: Entry, added: int, expires: int | None) -> Entry:
    provenance = msgspec.structs.replace(entry.provenance, added=added, expires=expires)
    return msgspec.structs.replace(entry, provenance=provenance)
