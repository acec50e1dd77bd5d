"""The workload of the benchmark, the same bytes for every contender: events on the topics, lists on disk.

Calls and SMS alternate, one millisecond apart. One event in a hundred comes from a listed number; all texts are
benign, as nearly all texts are. 2.24 million numbers, 528,000 on the black and 1,716,000 on the grey list, are what
Hunan's operators share (press conference of 10 June 2022); prefixes come on top.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time  # noqa: TID251 - a benchmark reads the clock
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detectors.keywords import Automaton
from detectors.model.events import CallEvent, Event, SmsEvent
from loadtest.driver import Row, partition_of
from stream.rule_files import read_pack
from stream.topics import PARTITIONS, topic_for
from stream.wire import encode_event
from tests.benchmarks.events import T0, phrases

NUMBERS, BLACK_SHARE, PREFIXES = 2_240_000, 528 / 2244, 1_000
EVENTS_EACH, LISTED = 6, 0.01
TEXTS = 20_000
COMPILED, PLAIN, PATTERNS = "numbers.lanjie", "plain.txt", "patterns.txt"
FIRST, SPAN = 15_000_000_000, 10**9  #: listed numbers: 150... to 159...


@dataclass(frozen=True)
class Lists:
    """The same numbers three times: compiled, as text, and in memory to draw callers from.

    Attributes:
        compiled: made by ``lanjie lists build``; workers map it.
        plain: one number or prefix (``1700123*``) a line.
        patterns: those of the shipped pack, one a line.
    """

    compiled: Path
    plain: Path
    patterns: Path
    listed: list[int]
    numbers: int
    pattern_count: int
    rules: int
    build_seconds: float


def make_lists(home: Path, count: int = NUMBERS) -> Lists:
    """Write them into ``home`` and compile them with the command that operators use."""
    rng = np.random.default_rng(9)
    numbers = np.unique(rng.integers(FIRST, FIRST + SPAN, round(count * 1.01)))[:count]
    rng.shuffle(numbers)
    prefixes = [f"{1_700_000 + i}*" for i in range(PREFIXES)]
    black = round(count * BLACK_SHARE)
    files = {"block": numbers[:black].tolist(), "grey": [*numbers[black:].tolist(), *prefixes]}
    command = [sys.executable, "-m", "stream.cli", "lists", "build", "-o", str(home / COMPILED)]
    plain = home / PLAIN
    for kind, lines in files.items():
        text = "".join(f"{line}\n" for line in lines)
        (home / f"{kind}.txt").write_text(text, "ascii")
        with plain.open("a", encoding="ascii") as out:
            out.write(text)
        command.append(f"{kind}:{home / kind}.txt")
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    took = time.perf_counter() - started
    automaton = Automaton(read_pack(None))
    words = sorted(key.encode("latin-1").decode() for key in automaton._trie.keys())  # noqa: SIM118 - no dict
    (home / PATTERNS).write_text("".join(f"{word}\n" for word in words), "utf-8")
    return Lists(
        compiled=home / COMPILED,
        plain=plain,
        patterns=home / PATTERNS,
        listed=numbers[:1000].tolist(),
        numbers=len(numbers),
        pattern_count=automaton.size,
        rules=len(automaton.pack.rules),
        build_seconds=took,
    )


def callers_of(count: int) -> int:
    """How many callers there are in so many events: a longer run is not to be one of busier people."""
    return max(1, count // EVENTS_EACH)


def traffic(count: int, listed: Sequence[int], *, seed: int = 1) -> list[Event]:
    """``count`` events; the id of the n-th is ``b{n}``."""
    callers, rng, texts = callers_of(count), random.Random(seed), phrases(TEXTS)
    found: list[Event] = []
    for i in range(count):
        a = str(rng.choice(listed)) if rng.random() < LISTED else f"138{rng.randrange(callers):08}"
        b = f"139{rng.randrange(10**8):08}"
        if i % 2:
            found.append(CallEvent(id=f"b{i}", time=T0 + i, a_number=a, b_number=b))
        else:
            found.append(SmsEvent(id=f"b{i}", time=T0 + i, a_number=a, b_number=b, text=rng.choice(texts)))
    return found


def rows_of(events: Sequence[Event], partitions: int = PARTITIONS) -> list[Row]:
    """Encoded and placed once. Topics are named without a prefix."""
    where: dict[str, int] = {}
    found = []
    for event in events:
        if (partition := where.get(event.a_number)) is None:
            partition = where[event.a_number] = partition_of(event.a_number.encode(), partitions)
        at = (topic_for(event).name, partition)
        found.append(Row(at, event.a_number.encode(), encode_event(event), []))
    return found
