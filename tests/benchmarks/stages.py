"""Microseconds per event and stage, beside the floor: the same libraries called in a straight line, with no design.

    python -m tests.benchmarks.stages                       # 100,000 numbers on the lists, invented texts
    python -m tests.benchmarks.stages --texts ham.jsonl.xz  # texts of your own, {"text": ...} a line

The floor decodes (msgspec), takes well-formed numbers as they are, looks both up in a dict and in four prefix
tables, counts the caller in a two-bucket window, folds the text with one `str.translate`, scans it with one
pyahocorasick automaton over 2,000 patterns and encodes one fixed decision. It makes no evidence, no policy, no times
of validity: nothing that does all of the work can be faster. Both run in turn in one process; medians of the rounds;
ratios hold better than times.
"""

from __future__ import annotations

import argparse
import gc
import lzma
import random
import statistics
import sys
import time  # noqa: TID251 - a benchmark reads the clock
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import ahocorasick
import msgspec
from rich.console import Console
from rich.table import Table

from detectors.contract import Batch
from detectors.engine import Engine, Snapshot
from detectors.lists import Entry, ListKind, NumberIndex
from detectors.lists.entry import Provenance
from detectors.model.decision import Decision
from detectors.model.events import CallEvent, Event, SmsEvent
from detectors.normalise.text import normalise
from detectors.rulepack import load_rules
from stream.wire import decode_events, encode_decision, encode_event
from tests.benchmarks.events import T0, list_lines, phrases

BATCH = 500
PATTERNS = 2_000
LIMIT = 1.3  # what a whole event may cost, in floors


class _Window(msgspec.Struct, gc=False):
    bucket: int
    now: int = 0
    before: int = 0
    callees: int = 0


class Floor:
    """The least that any design would have to do."""

    def __init__(self, numbers: list[str], texts: list[str]) -> None:
        self._numbers = {int("86" + number): 1 for number in numbers}
        self._prefixes = [({"+861700000000"[:length]: 1}, length) for length in (6, 7, 8, 10)]
        self._windows: dict[str, _Window] = {}
        self._table = {ord(c): normalise(c) for text in texts for c in text}
        rng = random.Random(5)
        letters = sorted({c for c in "".join(texts) if c.isalpha()})
        self._wheel = ahocorasick.Automaton()
        for i in range(PATTERNS):
            self._wheel.add_word("".join(rng.choices(letters, k=rng.randint(4, 6))).encode().decode("latin-1"), i)
        self._wheel.make_automaton()
        self._decoders = {"call": msgspec.json.Decoder(CallEvent), "sms": msgspec.json.Decoder(SmsEvent)}
        self._encode = msgspec.json.Encoder().encode

    def run(self, kind: str, lines: list[bytes]) -> None:
        """Every line through every block."""
        decode, encode, numbers, windows, table = (
            self._decoders[kind].decode, self._encode, self._numbers, self._windows, self._table,
        )  # fmt: skip
        wheel, prefixes, is_sms = self._wheel, self._prefixes, kind == "sms"
        for line in lines:
            event = decode(line)
            a, b = event.a_number, event.b_number
            a = "+86" + a if len(a) == 11 and a[0] == "1" and a.isascii() and a.isdigit() else a
            b = "+86" + b if len(b) == 11 and b[0] == "1" and b.isascii() and b.isdigit() else b
            hit = numbers.get(int(a)) or numbers.get(int(b))
            for table_of, length in prefixes:
                hit = hit or table_of.get(a[:length]) or table_of.get(b[:length])
            bucket = event.time // 300_000
            window = windows.get(a)
            if window is None:
                window = windows[a] = _Window(bucket)
            if bucket != window.bucket:
                window.before, window.now, window.callees, window.bucket = window.now, 0, 0, bucket
            window.now += 1
            window.callees |= 1 << (crc32(b.encode()) & 63)
            if is_sms:
                for _ in wheel.iter(event.text.translate(table).encode().decode("latin-1")):
                    hit = 1
            encode(
                Decision(
                    event_id=event.id, kind=kind, time=event.time, subject=a,
                    action="block" if hit else "allow", score=0.0, lists="1", rules="1",
                )
            )  # fmt: skip


def whole(engine: Engine, kind: str, lines: list[bytes]) -> None:
    """The path of the worker and of replay."""
    for start in range(0, len(lines), BATCH):
        for decision in engine.decide(decode_events(lines[start : start + BATCH], kind)[0]):
            encode_decision(decision)


def staged(engine: Engine, kind: str, lines: list[bytes]) -> dict[str, float]:
    """Seconds by stage, over the same path in pieces."""
    spent: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = work()
        spent[stage] = spent.get(stage, 0.0) + time.perf_counter() - started
        return result

    for start in range(0, len(lines), BATCH):
        chunk = lines[start : start + BATCH]
        events = timed("decode", lambda c=chunk: decode_events(c, kind)[0])
        batch = timed("E.164, text folding", lambda e=events: Batch(e))
        for detector in engine._shard(0).detectors:
            timed(type(detector).__name__, lambda d=detector, b=batch: d.inspect(b))
        decisions = timed("policy, decision", lambda b=batch: engine._conclude(b, engine.memory().victims))
        timed("encode", lambda d=decisions: [encode_decision(each) for each in d])
    return spent


def events_of(kind: str, count: int, texts: list[str], turn: int) -> list[bytes]:
    """``count`` benign events of 20,000 callers, encoded; those of the next turn come after them in time."""
    rng = random.Random(turn)
    made: list[Event] = []
    for i in range(count):
        a, b = f"138{rng.randrange(20_000):08}", f"139{rng.randrange(10**8):08}"
        common = {"id": f"s{turn}-{i}", "time": T0 + (turn * count + i) * 20, "a_number": a, "b_number": b}
        text = texts[(turn * count + i) % len(texts)]
        made.append(CallEvent(**common) if kind == "call" else SmsEvent(**common, text=text))
    return [encode_event(event) for event in made]


def measure(rounds: int, count: int, entries: int, texts: list[str]) -> dict[str, dict[str, float]]:
    """Median microseconds per event: for each kind the floor, the whole and the stages."""
    numbers = list_lines(entries)
    block = Provenance(ListKind.BLOCK, "bench")
    snapshot = Snapshot.build(load_rules(), NumberIndex(Entry("+86" + number, block) for number in numbers))
    results: dict[str, dict[str, float]] = {}
    for kind in ("sms", "call"):
        floor, engine, observed = Floor(numbers, texts), Engine(snapshot), Engine(snapshot)
        runs: dict[str, list[float]] = {}
        gc.collect()
        gc.freeze()
        for turn in range(rounds + 1):
            lines = events_of(kind, count, texts, turn)
            for name, work in (
                ("floor", lambda f=floor, k=kind, ls=lines: f.run(k, ls)),
                ("whole", lambda e=engine, k=kind, ls=lines: whole(e, k, ls)),
            ):
                started = time.perf_counter()
                work()
                if turn:  # the first is for warming up
                    runs.setdefault(name, []).append(time.perf_counter() - started)
            for stage, seconds in staged(observed, kind, lines).items():
                if turn:
                    runs.setdefault(stage, []).append(seconds)
        results[kind] = {name: statistics.median(times) / count * 1e6 for name, times in runs.items()}
        results[kind]["ratio"] = statistics.median(w / f for w, f in zip(runs["whole"], runs["floor"], strict=True))
    return results


def show(results: dict[str, dict[str, float]]) -> None:
    """As a table."""
    table = Table(title="us per event, median")
    for column in ("stage", "sms", "share", "call", "share"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    stages = [name for name in results["sms"] if name not in ("floor", "whole", "ratio")]
    for name in stages:
        row = []
        for kind in ("sms", "call"):
            total = sum(results[kind].get(stage, 0.0) for stage in stages)
            row += [f"{results[kind].get(name, 0.0):.2f}", f"{results[kind].get(name, 0.0) / total:.0%}"]
        table.add_row(name, *row)
    table.add_section()
    for name in ("whole", "floor"):
        table.add_row(name, *(cell for kind in ("sms", "call") for cell in (f"{results[kind][name]:.2f}", "")))
    ratios = (f"{results[kind]['ratio']:.2f}" for kind in ("sms", "call"))
    table.add_row(f"whole / floor (at most {LIMIT})", *(cell for ratio in ratios for cell in (ratio, "")))
    Console(width=100).print(table)


def read_texts(path: Path) -> list[str]:
    """The ``text`` of every line."""
    with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as file:
        return [msgspec.json.decode(line)["text"] for line in file]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--lists", type=int, default=100_000, help="numbers on the block list")
    parser.add_argument("--texts", type=Path, help='JSON lines with "text"; default: invented ones')
    args = parser.parse_args()
    texts = read_texts(args.texts) if args.texts else phrases((args.rounds + 1) * args.count)
    results = measure(args.rounds, args.count, args.lists, texts)
    show(results)
    print(f"mean length of a text: {statistics.mean(map(len, texts)):.0f} characters", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
