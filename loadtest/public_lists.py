"""Published block lists as CSV rows with provenance. Files that are absent are left out.

Weights: numbers that the public reported weigh 60 (at most "challenge" by the shipped ladder); ranges that a
regulator assigned to telemarketing weigh 35. Only an operator's own confirmed entries (100) reach "block".

The Swiss list comes as dated snapshots: a number counts from the first snapshot that has it, and ends with the first
one that no longer does. That is churn as it really is; a replay with lists as of a date sees what was known then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

REPORTED, RANGE = "60", "35"


def public_lists(folder: Path) -> str:
    """Rows (no header) in the order of ``loadtest.truth.LIST_HEADER``."""
    return "".join(",".join(row) + "\n" for read in (_swiss, _turkish, _french) for row in read(folder))


def _swiss(folder: Path) -> Iterator[tuple[str, ...]]:
    for stem in ("spam_numbers", "pattern_numbers"):
        snapshots = sorted((folder / "swiss").glob(f"{stem}_????-??-??.txt"))
        days = [path.stem[-10:] for path in snapshots]
        contents = [set(path.read_text(encoding="ascii").split()) for path in snapshots]
        for number in sorted(set().union(*contents)):
            held = [i for i, content in enumerate(contents) if number in content]
            expires = days[held[-1] + 1] if held[-1] + 1 < len(days) else ""
            yield number, "block", REPORTED, "reported by the public", "swiss-spam-list", days[held[0]], expires


def _turkish(folder: Path) -> Iterator[tuple[str, ...]]:
    path = folder / "turkish_spam_numbers_numbers"
    if path.exists():
        for number in path.read_text(encoding="utf-8").split():
            yield number, "block", REPORTED, "reported by the public", "turkish-spam-list", "", ""


def _french(folder: Path) -> Iterator[tuple[str, ...]]:
    for path in sorted(folder.glob("saracroche_fr_blocked-patterns_*.json")):
        for row in json.loads(path.read_text(encoding="utf-8")):
            if row["pattern"].endswith("#"):  # without: a French short code, no E.164 number
                yield f"+{row['pattern']}", "grey", RANGE, "telemarketing range", "saracroche-fr", path.stem[-10:], ""
