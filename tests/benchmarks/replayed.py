"""How fast a log is decided again, beside what any design on these libraries must do with it.

    python -m tests.benchmarks.replayed --rounds 3      # prints JSON; `make bench` runs it without pinning it

The log: six minutes of the simulated busy hour at 1:100, long records with cells and devices. Three jobs in the same
processes that `lanjie replay` uses, in turn: ``read`` unpacks, routes and decodes, and does nothing more; ``floor``
does the floor's work (``tests.benchmarks.stages``) with the calls and SMS; ``replay`` is the real job.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import tempfile
import time  # noqa: TID251 - a benchmark reads the clock
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

import loadtest
from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.lists.index import Layer
from detectors.model.events import CallEvent, Event, SmsEvent
from detectors.rulepack import load_rules
from stream.logs import LogReader, sizes_of
from stream.number_files import open_table
from stream.replaying.decide import Decide
from stream.replaying.job import Job
from stream.replaying.run import processors, run_jobs
from stream.wire import decode_event
from tests.benchmarks.schema import Replayed
from tests.benchmarks.stages import StraightLine
from tests.benchmarks.workload import COMPILED, NUMBERS, PLAIN, make_lists

MINUTES, SHARDS = 6, 4
PROFILE = Path(loadtest.__file__).parent / "profiles" / "hunan_busy_hour.toml"


class Read:
    """Nothing with the events."""

    def decide(self, shard: int, events: Sequence[Event], positions: Sequence[int]) -> bytes:
        """As ``Job``."""
        return b""

    def result(self) -> None:
        """Nothing was found."""


class Floor(Read):
    """The floor's work with each."""

    def __init__(self, line: StraightLine) -> None:
        self._line = line

    def decide(self, shard: int, events: Sequence[Event], positions: Sequence[int]) -> bytes:
        """As ``Job``. What is about cards is left out, which makes it faster still."""
        self._line.work("call", [event for event in events if type(event) is CallEvent])
        self._line.work("sms", [event for event in events if type(event) is SmsEvent])
        return b""


def simulated(folder: Path) -> str:
    """The log."""
    profile = folder / "minutes.toml"
    profile.write_text(PROFILE.read_text("utf-8").replace("minutes = 60", f"minutes = {MINUTES}"), "utf-8")
    command = [sys.executable, "-m", "stream.cli", "loadtest", "simulate", str(profile), "-o", str(folder / "log")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return str(folder / "log" / "events.jsonl.zst")


def texts_of(log: str) -> list[str]:
    """Of all SMS in it, one of a sort."""
    lines = (line for block in LogReader([log], sizes_of([log])).blocks() for line in block.lines)
    return sorted({event.text for line in lines if isinstance(event := decode_event(line), SmsEvent)})


def measure(log: str, lists: Path, rounds: int) -> list[Replayed]:
    """All jobs in one process and on all cores, in turn."""
    snapshot = Snapshot.build(load_rules(), NumberIndex(layers=[Layer(open_table(lists / COMPILED))]))
    numbers = [int("86" + line) for line in (lists / PLAIN).read_text("ascii").split() if line.isdigit()]
    line = StraightLine(numbers, texts_of(log))
    jobs: dict[str, Callable[[], Job]] = {
        "read": Read,
        "floor": partial(Floor, line),
        "replay": lambda: Decide(Engine(snapshot, capped=False), output=False),
    }
    counts = sorted({1, processors()})
    found = [Replayed(name, count, 0, []) for count in counts for name in jobs]
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        for each in found:
            line.forget()
            started = time.perf_counter()
            ran = run_jobs([log], jobs[each.job], processes=each.processes, shards=SHARDS)
            each.rates.append(ran.events / (time.perf_counter() - started))
            each.events = ran.events
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lists", type=Path, help="folder of lists that are made already")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = args.lists or Path(folder)
        if not args.lists:
            make_lists(home, NUMBERS)
        found = measure(simulated(Path(folder)), home, args.rounds)
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
