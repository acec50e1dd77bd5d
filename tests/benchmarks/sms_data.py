"""The published SMS collections on which quality is measured. They stay outside the repository: licences differ.

The rules are written against the ``dev`` part and judged on the ``held-out`` quarter. Near-duplicates fall in the same
part: of each message the eight smallest hashes of its 5-grams (digits left out) are kept, and a message that shares
three of them with an earlier one goes where that one went. Deterministic: no seed but the hash.
"""

from __future__ import annotations

import lzma
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from heapq import nsmallest
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import msgspec

from detectors.normalise.text import normalise

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"  #: beside the checkout
FOLDER = DATA / "sms"
DEV, HELD_OUT = PARTS = ("dev", "held-out")
GRAM = 5
SKETCH = 8  # hashes kept of a message
NEAR = 3  # hashes in common that make a near-duplicate


class Sms(NamedTuple):
    """One message with its collection, and the label and class that the collection gives it."""

    source: str
    label: str  #: fraud, illegal, ad, ham, other
    fraud_class: str
    text: str


@cache
def load(folder: Path = FOLDER) -> tuple[Sms, ...]:
    """Every message of every collection, in the order of the files' names.

    Raises:
        FileNotFoundError: there is no collection.
    """
    files = sorted(folder.glob("*.jsonl.xz"))
    if not files:
        raise FileNotFoundError(f"{folder}: no *.jsonl.xz")
    found = []
    for path in files:
        with lzma.open(path) as lines:
            rows = map(msgspec.json.decode, lines)
            found += [Sms(path.name.split(".")[0], r["label"], r["class"], r["text"]) for r in rows]
    return tuple(found)


def is_fraud(sms: Sms) -> bool:
    """Fraud and illegal offers."""
    return sms.label in ("fraud", "illegal")


def is_ham(sms: Sms) -> bool:
    """Wanted messages."""
    return sms.label == "ham"


def texts(folder: Path, wanted: Callable[[Sms], bool]) -> Iterator[str]:
    """The texts of the messages that are wanted."""
    return (sms.text for sms in load(folder) if wanted(sms))


def parts(messages: Sequence[Sms]) -> list[str]:
    """The part of each message: that of the first message that it nearly duplicates."""
    leaders: dict[int, list[int]] = defaultdict(list)  # hash -> the first messages of their kind that have it
    part_of: list[str] = []
    for i, message in enumerate(messages):
        sketch = _sketch(message.text)
        shared = Counter(leader for key in sketch for leader in leaders[key])
        leader, same = max(shared.items(), key=lambda found: (found[1], -found[0]), default=(i, 0))
        if same >= min(NEAR, len(sketch)):
            part_of.append(part_of[leader])
            continue
        for key in sketch:
            leaders[key].append(i)
        part_of.append(PARTS[crc32(repr(sketch).encode()) % 4 == 3])
    return part_of


def _sketch(text: str) -> list[int]:
    bare = "".join(c for c in normalise(text) if not c.isdecimal())
    grams = {bare[i : i + GRAM] for i in range(max(1, len(bare) - GRAM + 1))}
    return nsmallest(SKETCH, (crc32(gram.encode("utf-8", "surrogatepass")) for gram in grams))
