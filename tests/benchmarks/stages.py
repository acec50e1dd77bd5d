"""Microseconds per event and stage, beside the floor: the same libraries called in a straight line, with no design.

    python -m tests.benchmarks.stages                       # 2.24 million numbers on the lists, invented texts
    python -m tests.benchmarks.stages --numbers 100000
    python -m tests.benchmarks.stages --texts ham.jsonl.xz  # texts of your own, {"text": ...} a line

The floor decodes (msgspec), takes well-formed numbers as they are, looks both up in a dict and in four prefix
tables, counts the caller in a two-bucket window, folds the text with one `str.translate`, scans it with one
pyahocorasick automaton over 2,000 patterns and encodes one fixed decision. It makes no evidence, no policy, no times
of validity: nothing that does all of the work can be faster. The engine has the lists as a worker maps them, and the
whole shipped pack. Both run in turn in one process, by its CPU time, which others do not add to; "mix" takes chunks
of SMS and of calls in turn.
"""

from __future__ import annotations

import argparse
import gc
import lzma
import random
import statistics
import sys
import tempfile
import time  # noqa: TID251 - a benchmark reads the clock
from collections.abc import Callable, Iterable, Sequence
from operator import truediv
from pathlib import Path
from typing import Any
from zlib import crc32

import ahocorasick
import msgspec
from rich.console import Console
from rich.table import Table

from detectors.contract import Batch
from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.lists.index import Layer
from detectors.model.decision import Decision
from detectors.model.events import CallEvent, Event, SmsEvent
from detectors.normalise.text import normalise
from detectors.rulepack import load_rules
from stream.number_files import open_table
from stream.wire import decode_events, encode_decision, encode_event
from tests.benchmarks.events import T0, phrases
from tests.benchmarks.schema import Floor
from tests.benchmarks.workload import COMPILED, NUMBERS, PLAIN, make_lists

BATCH = 500
PATTERNS = 2_000
KINDS = ("sms", "call", "mix")
Chunk = tuple[str, Sequence[bytes]]  #: kind of event, encoded events


class _Window(msgspec.Struct, gc=False):
    bucket: int
    now: int = 0
    before: int = 0
    callees: int = 0


class StraightLine:
    """The least that any design would have to do.

    Args:
        numbers: those of the lists, without ``+``; held in a dict, the fastest and largest way.
        texts: all that will come: the letters of the table and of the patterns.
    """

    def __init__(self, numbers: Iterable[int], texts: list[str]) -> None:
        self._numbers = dict.fromkeys(numbers, 1)
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

    def run(self, kind: str, lines: Sequence[bytes]) -> list[bytes]:
        """Every line through every block. Returns the encoded decisions."""
        return self.work(kind, map(self._decoders[kind].decode, lines))

    def work(self, kind: str, events: Iterable[Any]) -> list[bytes]:
        """All but the decoding."""
        made: list[bytes] = []
        encode, numbers, windows, table = self._encode, self._numbers, self._windows, self._table
        wheel, prefixes, is_sms = self._wheel, self._prefixes, kind == "sms"
        for event in events:
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
            decision = Decision(
                event_id=event.id, kind=kind, time=event.time, subject=a,
                action="block" if hit else "allow", score=0.0, lists="1", rules="1",
            )  # fmt: skip
            made.append(encode(decision))
        return made

    def forget(self) -> None:
        """Start with empty windows."""
        self._windows.clear()


def whole(engine: Engine, kind: str, lines: Sequence[bytes]) -> list[bytes]:
    """The path of the worker and of replay, for one chunk."""
    return [encode_decision(decision) for decision in engine.decide(decode_events(lines, kind)[0])]


def staged(engine: Engine, kind: str, lines: Sequence[bytes], spent: dict[str, float]) -> None:
    """The same path in pieces; adds the seconds of each to ``spent``."""

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        started = time.process_time()
        result = work()
        spent[stage] = spent.get(stage, 0.0) + time.process_time() - started
        return result

    events = timed("decode", lambda: decode_events(lines, kind)[0])
    batch = timed("E.164, text folding", lambda: Batch(events))
    for detector in engine._shard(0).detectors:
        timed(type(detector).__name__, lambda d=detector: d.inspect(batch))
    decisions = timed("policy, decision", lambda: engine._conclude(batch, engine.memory().victims))
    timed("encode", lambda: [encode_decision(each) for each in decisions])


def chunks_of(kind: str, count: int, texts: list[str], turn: int) -> list[Chunk]:
    """``count`` benign events of 20,000 callers in chunks; those of the next turn come after them in time."""
    rng = random.Random(turn)
    found: list[Chunk] = []
    for start in range(0, count, BATCH):
        now = kind if kind != "mix" else ("sms", "call")[start // BATCH % 2]
        lines = []
        for i in range(start, min(start + BATCH, count)):
            at = turn * count + i
            a, b = f"138{rng.randrange(20_000):08}", f"139{rng.randrange(10**8):08}"
            common = {"id": f"s{at}", "time": T0 + at * 20, "a_number": a, "b_number": b}
            text = texts[at % len(texts)]
            event: Event = CallEvent(**common) if now == "call" else SmsEvent(**common, text=text)
            lines.append(encode_event(event))
        found.append((now, lines))
    return found


def measure(home: Path, texts: list[str], kinds: Sequence[str], *, rounds: int, count: int) -> dict[str, Floor]:
    """For each kind the floor, the whole and its stages; all three in turn in every round. ``home``: of the lists."""
    snapshot = Snapshot.build(load_rules(), NumberIndex(layers=[Layer(open_table(home / COMPILED))]))
    numbers = [int("86" + line) for line in (home / PLAIN).read_text("ascii").split() if line.isdigit()]
    line = StraightLine(numbers, texts)
    del numbers
    results: dict[str, Floor] = {}
    for kind in kinds:
        line.forget()
        engine, observed = Engine(snapshot), Engine(snapshot)
        found = results[kind] = Floor([], [])
        gc.collect()
        gc.freeze()
        for turn in range(rounds + 1):  # the first is for warming up
            chunks, spent = chunks_of(kind, count, texts, turn), dict[str, float]()
            ways: list[tuple[list[float], Callable[[str, Sequence[bytes]], object]]] = [
                (found.floor, line.run),
                (found.whole, lambda k, ls, e=engine: whole(e, k, ls)),
            ]
            for times, work in ways[:: -1 if turn % 2 else 1]:  # who comes second finds the bytes in the cache
                seconds = _seconds(chunks, work)
                if turn:
                    times.append(seconds / count * 1e6)
            _seconds(chunks, lambda k, ls, e=observed, s=spent: staged(e, k, ls, s))
            if turn:
                for stage, seconds in spent.items():
                    found.stages.setdefault(stage, []).append(seconds / count * 1e6)
    return results


def _seconds(chunks: Sequence[Chunk], work: Callable[[str, Sequence[bytes]], object]) -> float:
    started = time.process_time()
    for kind, lines in chunks:
        work(kind, lines)
    return time.process_time() - started


def show(results: dict[str, Floor]) -> None:
    """As a table."""
    table = Table(title="us per event, median")
    for column in ("stage", *results):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage in dict.fromkeys(stage for found in results.values() for stage in found.stages):
        cells = (found.stages.get(stage) for found in results.values())
        table.add_row(stage, *(f"{statistics.median(times):.2f}" if times else "" for times in cells))
    table.add_section()
    for name in ("whole", "floor"):
        table.add_row(name, *(f"{statistics.median(getattr(found, name)):.2f}" for found in results.values()))
    ratios = (map(truediv, found.whole, found.floor) for found in results.values())
    table.add_row("whole / floor", *(f"{statistics.median(each):.2f}" for each in ratios))
    Console(width=100).print(table)


def read_texts(path: Path) -> list[str]:
    """The ``text`` of every line."""
    with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as file:
        return [msgspec.json.decode(line)["text"] for line in file]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--numbers", type=int, default=NUMBERS, help="on the lists")
    parser.add_argument("--texts", type=Path, help='JSON lines with "text"; default: invented ones')
    parser.add_argument("--lists", type=Path, help="folder of lists that are made already")
    parser.add_argument("--json", action="store_true", help="for the runner")
    args = parser.parse_args()
    texts = read_texts(args.texts) if args.texts else phrases((args.rounds + 1) * args.count)
    with tempfile.TemporaryDirectory() as folder:
        home = args.lists or Path(folder)
        if not args.lists:
            make_lists(home, args.numbers)
        found = measure(home, texts, args.kinds, rounds=args.rounds, count=args.count)
    if args.json:
        sys.stdout.buffer.write(msgspec.json.encode(found))
        return
    show(found)
    print(f"mean length of a text: {statistics.mean(map(len, texts)):.0f} characters", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
