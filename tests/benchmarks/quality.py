"""What the shipped rules catch and whom they trouble, on published message collections.

    python -m tests.benchmarks.quality                  # data in ../shared/data/sms beside the checkout
    python -m tests.benchmarks.quality --data FOLDER    # *.jsonl.xz with {"label", "class", "text"} a line

Rules are written against the ``dev`` part and judged on the ``held-out`` quarter. Near-duplicates fall in the same
part: of each message the eight smallest hashes of its 5-grams (digits left out) are kept, and a message that shares
three of them with an earlier one goes where that one went. Deterministic: no seed but the hash.
"""

from __future__ import annotations

import argparse
import json
import lzma
from collections import Counter, defaultdict
from collections.abc import Sequence
from heapq import nsmallest
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from rich.console import Console
from rich.table import Table

from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.model.decision import ACTIONS, Action
from detectors.model.events import SmsEvent
from detectors.normalise.text import normalise
from detectors.rulepack import load_rules

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "sms"
STEPS = (Action.WARN, Action.CHALLENGE, Action.DELAY, Action.BLOCK)
PARTS = ("dev", "held-out")
GRAM = 5
SKETCH = 8  # hashes kept of a message
NEAR = 3  # hashes in common that make a near-duplicate
T0 = 1_790_000_000_000


class Message(NamedTuple):
    """One labelled message."""

    source: str
    label: str  #: fraud, illegal, ad, ham, other
    kind: str  #: the collection's own class
    text: str


def read(data: Path = DATA) -> list[Message]:
    """All messages of all collections in ``data``, in file order.

    Raises:
        FileNotFoundError: there is no collection.
    """
    files = sorted(data.glob("*.jsonl.xz"))
    if not files:
        raise FileNotFoundError(f"{data}: no *.jsonl.xz; name the folder of the collections with --data")
    messages = []
    for path in files:
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            rows = map(json.loads, lines)
            messages += [Message(path.name.split(".")[0], r["label"], r["class"], r["text"]) for r in rows]
    return messages


def parts(messages: Sequence[Message]) -> list[str]:
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


def decide(messages: Sequence[Message]) -> list[Action]:
    """What the shipped rules alone, without any number list, do about each message."""
    engine = Engine(Snapshot.build(load_rules(), NumberIndex()))

    events = [
        SmsEvent(id=f"q{i}", time=T0, a_number="+8613800000000", b_number="+8613900000000", text=message.text)
        for i, message in enumerate(messages)
    ]
    return [ACTIONS[decision.action] for decision in engine.decide(events)]


def table(messages: Sequence[Message], in_part: Sequence[str], actions: Sequence[Action]) -> Table:
    """One row a collection and class: messages, and per cent at each measure or above, in either part."""
    rows: dict[tuple[str, str, str], dict[str, Counter[Action]]] = defaultdict(lambda: defaultdict(Counter))
    for message, part, action in zip(messages, in_part, actions, strict=True):
        group = "fraud+illegal" if message.label in ("fraud", "illegal") else message.label
        for kind in ("all", message.kind):
            rows[message.source, group, kind][part][action] += 1
    out = Table("collection", "label", "class", title="per cent at each measure or above")
    for part in PARTS:
        for head in (f"n {part}", *(step.wire for step in STEPS)):
            out.add_column(head, justify="right")
    for key in sorted(rows):
        out.add_row(*key, *(cell for part in PARTS for cell in _cells(rows[key][part])))
    return out


def _cells(seen: Counter[Action]) -> list[str]:
    count = seen.total()
    reached = [sum(n for action, n in seen.items() if action >= step) for step in STEPS]
    return [str(count), *(f"{100 * n / count:.2f}" if count else "-" for n in reached)]


def main() -> None:
    """Read, decide, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER", help="where the collections are")
    messages = read(parser.parse_args().data)
    Console(width=150).print(table(messages, parts(messages), decide(messages)))


if __name__ == "__main__":
    main()
