"""What an event costs the engine as one thing grows and all else stays: lists, patterns, callers, length of a text.

    python -m tests.benchmarks.growth lists|patterns|callers|text [--rounds 5] [--quick]

In one process and on one core, all points of a curve in turn in every round, by the CPU time of the process. Prints
the curve as JSON.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import tempfile
import time  # noqa: TID251 - a benchmark reads the clock
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from detectors.engine import Engine, Snapshot
from detectors.keywords import Automaton
from detectors.lists import Entry, ListKind, NumberIndex
from detectors.lists.build import build
from detectors.lists.entry import Provenance
from detectors.lists.index import Layer
from detectors.lists.table import Meta, Table
from detectors.model.events import CallEvent, Event, SmsEvent
from detectors.normalise.key import key
from detectors.rulepack import RulePack, load_rules
from detectors.rulepack.schema import SymbolPolicy
from stream.number_files import open_table, write_table
from stream.wire import decode_events, encode_decision, encode_event
from tests.benchmarks.events import T0, phrases
from tests.benchmarks.patterns import pack
from tests.benchmarks.schema import Curve, Point
from tests.benchmarks.workload import FIRST, SPAN

LISTS = (10_000, 100_000, 1_000_000, 10_000_000)
PATTERNS = (2_000, 5_000, 15_000, 50_000)
CALLERS = (10_000, 50_000, 200_000, 1_000_000)
TEXT = (20, 70, 200, 500, 1_000)
BATCH, COUNT, ROUNDS = 500, 20_000, 5
Turn = Callable[[int], Sequence[Event]]  #: the events of a round


def table_of(count: int) -> Table:
    """A table of ``count`` made-up black numbers: what `lanjie lists build` makes, without a minute of reading text."""
    rng = np.random.default_rng(9)
    numbers = np.unique(rng.integers(FIRST, FIRST + SPAN, round(count * 1.02)))
    numbers = np.sort(rng.permutation(numbers)[:count]).astype(np.uint64)
    zero, one = (key("+86" + digit.rjust(11, "0")) for digit in "01")
    base = build([Entry("+8615000000000", Provenance(ListKind.BLOCK, "bench"))])
    meta = Meta(tuple(count if size else 0 for size in base.sizes.values()), f"{count:016x}")
    found = {"keys": numbers * np.uint64(one - zero) + np.uint64(zero), "owners": np.zeros(count, dtype=np.uint16)}
    return Table(base.sections | found | {"meta": msgspec.json.encode(meta)})


def pack_of(count: int) -> RulePack:
    """Exactly ``count`` patterns, all of them keywords of made-up rules that weigh little."""
    found, shipped = pack(count), load_rules()
    text = {rule.id for rule in shipped.text}
    symbols = {name: each for name, each in shipped.policy.symbols.items() if name not in text}
    symbols |= {rule.id: SymbolPolicy(1.0, "text", "label") for rule in found.text}
    return msgspec.structs.replace(found, policy=msgspec.structs.replace(shipped.policy, symbols=symbols))


def calls(turn: int, callers: int = 20_000) -> list[Event]:
    """Calls from ``callers`` numbers, those of the next turn later."""
    rng = random.Random(turn)
    return [
        CallEvent(
            id=f"g{turn}-{i}",
            time=T0 + (turn * COUNT + i) * 2,
            a_number=f"138{rng.randrange(callers):08}",
            b_number=f"139{rng.randrange(10**8):08}",
        )
        for i in range(COUNT)
    ]


def messages(turn: int, texts: Sequence[str]) -> list[Event]:
    """The same callers write."""
    return [
        SmsEvent(id=call.id, time=call.time, a_number=call.a_number, b_number=call.b_number, text=text)
        for call, text in zip(calls(turn), texts, strict=False)
    ]


def texts_of(length: int | None = None) -> list[str]:
    """``COUNT`` benign texts; of exactly ``length`` characters, if it is given."""
    found = phrases(COUNT)
    if length is None:
        return found
    joined, rng = "，".join(found), random.Random(6)
    return [joined[at : at + length] for at in (rng.randrange(len(joined) - length) for _ in range(COUNT))]


def once(engine: Engine, events: Sequence[Event], kind: str) -> float:
    """Microseconds per event of decoding, deciding and encoding."""
    lines = [encode_event(event) for event in events]
    started = time.process_time()
    for start in range(0, len(lines), BATCH):
        for decision in engine.decide(decode_events(lines[start : start + BATCH], kind)[0]):
            encode_decision(decision)
    return (time.process_time() - started) / len(lines) * 1e6


def measure(engines: dict[int, tuple[Engine, Turn]], kind: str, rounds: int) -> list[Point]:
    """A point for each engine."""
    points = {x: Point(x, []) for x in engines}
    gc.collect()
    gc.freeze()
    for turn in range(rounds + 1):  # the first is for warming up
        for x, (engine, events) in engines.items():
            us = once(engine, events(turn), kind)
            if turn:
                points[x].us.append(us)
    return list(points.values())


def lists(rounds: int, quick: bool) -> Curve:
    """Calls; no caller is on a list, so each is looked for in vain."""
    sizes = LISTS[:3] if quick else LISTS
    automaton = Automaton(load_rules())
    with tempfile.TemporaryDirectory() as home:
        engines: dict[int, tuple[Engine, Turn]] = {}
        for size in sizes:
            write_table(table_of(size), path := Path(home) / f"{size}.lanjie")
            index = NumberIndex(layers=[Layer(open_table(path))])
            engines[size] = Engine(Snapshot.of(automaton, index)), calls
        points = measure(engines, "call", rounds)
    return Curve("Numbers on the lists", "numbers", "us a call, mapped file", points)


def patterns(rounds: int, quick: bool) -> Curve:
    """Ordinary messages against patterns of two words of a dictionary each."""
    texts = texts_of()
    engines = {
        count: (Engine(Snapshot.build(pack_of(count), NumberIndex())), lambda turn: messages(turn, texts))
        for count in (PATTERNS[:2] if quick else PATTERNS)
    }
    return Curve("Patterns", "patterns", "us an SMS of 43 characters", measure(engines, "sms", rounds))


def callers(rounds: int, quick: bool) -> Curve:
    """Calls from a growing number of callers, all of whom are in a window when it starts.

    Beside it what memory alone costs there: a look-up in a dict of as many numbers, in the same order.
    """
    automaton, engines, bare = Automaton(load_rules()), dict[int, tuple[Engine, Turn]](), dict[int, dict[str, int]]()
    for count in CALLERS[:3] if quick else CALLERS:
        engine = Engine(Snapshot.of(automaton, NumberIndex()), max_callers=2 * count)
        for events in _everybody(count):
            engine.decide(events)
        engines[count] = engine, lambda turn, n=count: calls(turn, n)
        bare[count] = {f"+86138{i:08}": i << 64 for i in range(count)}
    points = measure(engines, "call", rounds)
    for turn in range(rounds):
        for point in points:
            wanted = ["+86" + event.a_number for event in calls(turn, point.x)]
            point.bare.append(_look_ups(bare[point.x], wanted))
    return Curve("Active callers", "callers in windows", "us a call", points)


def _everybody(count: int) -> Iterator[list[Event]]:
    """One call of everybody, in an order of no meaning, just before the first turn."""
    order = list(range(count))
    random.Random(8).shuffle(order)
    for start in range(0, count, BATCH):
        yield [
            CallEvent(id=f"w{i}", time=T0 - 1000 + start * 1000 // count, a_number=f"138{i:08}", b_number="13900000000")
            for i in order[start : start + BATCH]
        ]


def _look_ups(held: dict[str, int], wanted: Sequence[str]) -> float:
    started = time.process_time()
    for number in wanted:
        held[number].bit_length()  # the value is touched too
    return (time.process_time() - started) / len(wanted) * 1e6


def text(rounds: int, quick: bool) -> Curve:
    """Messages of one length each."""
    snapshot = Snapshot.build(load_rules(), NumberIndex())
    engines: dict[int, tuple[Engine, Turn]] = {}
    for length in TEXT[:3] if quick else TEXT:
        made = texts_of(length)
        engines[length] = Engine(snapshot), lambda turn, texts=made: messages(turn, texts)
    return Curve("Length of a message", "characters", "us an SMS", measure(engines, "sms", rounds), log=False)


CURVES = {"lists": lists, "patterns": patterns, "callers": callers, "text": text}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curve", choices=CURVES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--quick", action="store_true", help="the first points only")
    args = parser.parse_args()
    sys.stdout.buffer.write(msgspec.json.encode(CURVES[args.curve](args.rounds, args.quick)))


if __name__ == "__main__":
    main()
