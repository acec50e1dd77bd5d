"""The checks of one partition number: nothing lost, nothing wrong, nothing twice that may not be.

The inputs on the topics are the truth. The order in which a worker decided the events of a partition's three inputs is
that of the decisions topic; in that order an engine of its own decides them again, with no interruption, and every
decision must be the same to the byte but for its latency.
"""

from __future__ import annotations

import asyncio
import inspect
from array import array
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry

from detectors.engine import Engine, Snapshot
from detectors.model.events import CardEvent, Event
from stream.clock import SystemClock
from stream.metrics import Metrics
from stream.settings import ListFile, Settings
from stream.sources import load_snapshot
from stream.topics import INPUTS
from stream.wire import WireError, decode_decision, decode_event, encode_decision
from tests.chaos.readback import Partition, Row, read_partition
from tests.chaos.traffic import MARK, PROTECTED, number_of

SHOWN: Final = 5
BATCH: Final = 500


class Outcome(msgspec.Struct):
    """What was found. Counts add up over partitions; ``shown`` holds the first few of each kind, without numbers."""

    counts: Counter[str] = msgspec.field(default_factory=Counter)
    shown: dict[str, list[str]] = msgspec.field(default_factory=dict)
    numbers: array[int] = msgspec.field(default_factory=lambda: array("q"))  #: of the events on the topics, and ...
    offsets: array[int] = msgspec.field(default_factory=lambda: array("q"))  #: ... where they are
    actions: Counter[str] = msgspec.field(default_factory=Counter)

    def note(self, what: str, text: str = "", count: int = 1) -> None:
        self.counts[what] += count
        if text and len(shown := self.shown.setdefault(what, [])) < SHOWN:
            shown.append(text)


def check_partition(settings: Settings, lists: Path, number: int) -> Outcome:
    """Read one partition number back and check it; in a process of its own."""
    return examine(asyncio.run(read_partition(settings, number)), settings, snapshot_of(lists))


def snapshot_of(lists: Path) -> Snapshot:
    """What the workers decide by: this list file and the shipped rules."""
    return load_snapshot((ListFile(lists),), metrics=Metrics(CollectorRegistry()), clock=SystemClock())


def examine(partition: Partition, settings: Settings, snapshot: Snapshot) -> Outcome:
    """All checks of what was read."""
    outcome = Outcome()
    events, bad = _inputs(partition, outcome)
    _letters(settings, partition, bad, outcome)
    first = _decisions(partition, events, outcome)
    _order(partition, events, first, outcome)
    _chunks(partition, events, settings, outcome)
    _replay(snapshot, partition, events, first, outcome)
    _protected(events, first, outcome)
    return outcome


Events = dict[str, tuple[Event, str, int]]  #: by id: event, kind of its topic, offset


def _inputs(partition: Partition, outcome: Outcome) -> tuple[Events, dict[tuple[str, int], bytes | None]]:
    """Events by id, and the records that are none by (kind, offset)."""
    events: Events = {}
    bad: dict[tuple[str, int], bytes | None] = {}
    for kind, records in partition.inputs.items():
        outcome.note("inputs", count=len(records))
        for record in records:
            marked = MARK in record.headers
            try:
                event = decode_event(record.value, kind)
            except WireError:
                bad[kind, record.offset] = record.value
            else:
                if event.id in events:
                    outcome.note("input ids twice", event.id)
                events[event.id] = event, kind, record.offset
                outcome.numbers.append(number_of(event.id))
                outcome.offsets.append(record.offset)
            if marked != ((kind, record.offset) in bad):
                outcome.note("misjudged inputs", f"{kind}/{partition.number}/{record.offset}")
    outcome.counts["events"] += len(events)
    outcome.counts["malformed"] += len(bad)
    return events, bad


def _letters(settings: Settings, partition: Partition, bad: dict[tuple[str, int], bytes | None], out: Outcome) -> None:
    """Dead letters: each once or more, as it came."""
    kinds = {settings.named(topic).name: topic.kind for topic in INPUTS}
    seen: Counter[tuple[str, int]] = Counter()
    for letter in partition.letters:
        headers = dict(letter.headers)
        where = kinds[headers["dlq.topic"].decode()], int(headers["dlq.offset"])
        seen[where] += 1
        if where not in bad:
            out.note("dead letters of good records", f"{where} {headers['dlq.code'].decode()}")
        elif (bad[where] or b"") != (letter.value or b"") or int(headers["dlq.partition"]) != partition.number:
            out.note("dead letters changed", str(where))
    for where in bad.keys() - seen.keys():
        out.note("lost", f"a malformed record: {where[0]}/{partition.number}/{where[1]}")
    out.counts["dead letters"] += len(seen)
    out.counts["dead letters repeated"] += sum(count > 1 for count in seen.values())


def _decisions(partition: Partition, events: Events, outcome: Outcome) -> dict[str, bytes]:
    """The first decision about each event, in the order of the log."""
    first: dict[str, bytes] = {}
    rows: dict[str, Row] = {}
    again: Counter[str] = Counter()
    for row in partition.rows:
        before, was = first.setdefault(row.id, row.value), rows.setdefault(row.id, row)
        if row.id not in events:
            outcome.note("decisions about nothing", row.id)
        again[row.id] += 1
        if again[row.id] > 1 and before != row.value:
            late = row.timestamp - was.timestamp
            where = f"{row.id} at {partition.number}/{was.offset} and {late} ms later at {row.offset}"
            outcome.note("repeated otherwise", f"{where}: {_difference(before, row.value)}")
    for lost in events.keys() - first.keys():
        outcome.note("lost", f"{lost}: {events[lost][1]}/{partition.number}/{events[lost][2]}")
    outcome.counts["decisions"] += len(first)
    outcome.counts["events repeated"] += sum(count > 1 for count in again.values())
    outcome.counts["decisions repeated"] += len(partition.rows) - len(first)
    return first


def _order(partition: Partition, events: Events, first: Iterable[str], outcome: Outcome) -> None:
    """Of each input, first decisions come in the order of its offsets."""
    last: dict[str, int] = {}
    for name in first:
        if name not in events:
            continue
        _, kind, offset = events[name]
        if offset < last.get(kind, -1):
            outcome.note("out of order", f"{name}: {kind}/{partition.number}/{offset} after {last[kind]}")
        last[kind] = max(offset, last.get(kind, -1))


def _chunks(partition: Partition, events: Events, settings: Settings, outcome: Outcome) -> None:
    """Where chunks are told: each is followed by what it says, unless a crash has cut it off; and no decision is
    outside of one.
    """
    kinds = {settings.named(topic).name: topic.kind for topic in INPUTS}
    groups: list[list[Row]] = []
    for row in partition.rows:
        if row.chunk is not None:
            groups.append([row])
        elif groups and (begun := groups[-1][0].chunk) and len(groups[-1]) < begun.count:
            groups[-1].append(row)
        elif groups:
            outcome.note("decisions outside of chunks", row.id)
    for rows in groups:
        chunk = rows[0].chunk
        assert chunk is not None
        outcome.note("chunks")
        outcome.counts["chunks cut off"] += len(rows) < chunk.count
        where = [events[each.id][1:] for each in rows if each.id in events]
        offsets = [offset for kind, offset in where if kind == kinds.get(chunk.topic)]
        whole = len(offsets) == len(rows) and offsets == sorted(offsets) and chunk.group == settings.group
        if not (whole and chunk.first <= offsets[0] and offsets[-1] <= chunk.last):
            outcome.note("chunks broken", f"{chunk.topic}/{partition.number} {chunk.first}..{chunk.last}")
        for row in rows:
            row.lists_only = chunk.lists_only


def _replay(
    snapshot: Snapshot, partition: Partition, events: Events, first: dict[str, bytes], outcome: Outcome
) -> None:
    """Decide all again in the order of the decisions topic, and compare; but for what only the lists had looked at."""
    engine = Engine(snapshot)
    where = {"shard": partition.number} if "shard" in inspect.signature(Engine.decide).parameters else {}
    unseen = {row.id for row in partition.rows if row.lists_only}
    names = [name for name in first if name in events and name not in unseen]
    outcome.counts["lists only"] += len(unseen)
    for start in range(0, len(names), BATCH):
        batch = [events[name][0] for name in names[start : start + BATCH]]
        for decision in engine.decide(batch, **where):
            expected, found = encode_decision(decision), first[decision.event_id]
            outcome.counts["compared"] += 1
            if expected != found:
                outcome.note("different", f"{decision.event_id}: {_difference(expected, found)}")


def _difference(expected: bytes, found: bytes) -> str:
    """What is not equal, without numbers and texts."""
    a, b = decode_decision(expected), decode_decision(found)
    fields = [name for name in a.__struct_fields__ if getattr(a, name) != getattr(b, name)]
    codes = [{reason.code for reason in each.reasons} for each in (a, b)]
    more = "".join(f" -{code}" for code in sorted(codes[0] - codes[1]))
    more += "".join(f" +{code}" for code in sorted(codes[1] - codes[0]))
    return f"{a.action} {a.score:g} -> {b.action} {b.score:g} ({', '.join(fields)}){more}"


def _protected(events: Events, first: dict[str, bytes], outcome: Outcome) -> None:
    """Whatever touches a protected number is allowed."""
    for name, (event, _, _) in events.items():
        if name not in first:
            continue
        action = decode_decision(first[name]).action
        outcome.actions[action] += 1
        ends = {event.a_number} if isinstance(event, CardEvent) else {event.a_number, event.b_number}
        if ends.isdisjoint(PROTECTED):
            continue
        outcome.note("protected")
        if action != "allow":
            outcome.note("protected touched", f"{name}: {action}")
