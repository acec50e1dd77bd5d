"""What a message costs with 2,000 and with 50,000 patterns, and what the loop of a worker feels while 50,000 are built
by another process and swapped in.

    python -m tests.benchmarks.patterns [--data FOLDER]

The patterns are pairs of words of jieba's dictionary, as keywords are; 25 make a rule of two groups. They are matched
against published ham (folding included), both packs in turn, medians of the rounds. Then an asyncio loop decides
batches of 100 messages without a pause while the larger pack is built in the background, loaded and swapped in.
"""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import tempfile
import time  # noqa: TID251 - a benchmark reads the clock
from importlib import resources
from pathlib import Path

import msgspec
import numpy as np

from detectors.contract import Batch
from detectors.engine import Engine, Snapshot
from detectors.keywords import Automaton, Keywords
from detectors.lists import NumberIndex
from detectors.model.events import Event, SmsEvent
from detectors.rulepack import RulePack, TextRule, load_rules
from stream.rule_files import build_in_background, pack_files
from tests.benchmarks.events import T0
from tests.benchmarks.report import Finding, Section, run, table
from tests.benchmarks.sms_data import is_ham, texts

FEW, MANY, RULE = 2_000, 50_000, 25
LIMIT = 2.0
ROUNDS, COUNT, BATCH = 7, 10_000, 500
SWAPS, CHUNK = 5, 100


def patterns(count: int) -> list[str]:
    """Pairs of words, without a repetition."""
    rng = random.Random(19)
    lines = resources.files("jieba").joinpath("dict.txt").read_text("utf-8").splitlines()
    words = [word for word in (line.split(" ", 1)[0] for line in lines) if 2 <= len(word) <= 3]
    found: dict[str, None] = {}
    while len(found) < count:
        found[rng.choice(words) + rng.choice(words)] = None
    return list(found)


def pack(count: int) -> RulePack:
    """A pack of ``count`` patterns, without proofs."""
    terms = patterns(count)
    rules = [
        TextRule(f"TEXT_{i}", 1, "loan", "原因", "reason", "made up", (tuple(part[:13]), tuple(part[13:])), (), ())
        for i, part in enumerate(terms[at : at + RULE] for at in range(0, count, RULE))
    ]
    return msgspec.structs.replace(load_rules(), text=tuple(rules), keywords=(), forms={})


def files(count: int) -> dict[str, bytes]:
    """The shipped pack with ``count`` patterns more, as files."""
    terms, rows, weights = patterns(count), [], []
    for i, at in enumerate(range(0, count, RULE)):
        part = terms[at : at + RULE]
        row = {
            "id": f"BENCH_{i}", "version": 1, "class": "loan", "zh": "原因", "en": "reason", "source": "made up",
            "all": [part[:13], part[13:]], "positives": [part[0] + part[13], part[1] + part[14]],
            "near_misses": [part[0], part[13]],
        }  # fmt: skip
        values = (f"{name} = {msgspec.json.encode(value).decode()}\n" for name, value in row.items())
        rows.append("[[rule]]\n" + "".join(values))  # JSON of texts and lists is TOML too
        weights.append(f'\n[symbols.BENCH_{i}]\nweight = 1\ngroup = "text"\nceiling = "label"\n')
    shipped = pack_files(None)
    return shipped | {
        "text/bench.toml": "\n".join(rows).encode(),
        "weights.toml": shipped["weights.toml"] + "".join(weights).encode(),
    }


def cost(events: list[Event]) -> dict[int, float]:
    """Microseconds a message, folding and matching, by the number of patterns."""
    detectors = {count: Keywords(Automaton(pack(count))) for count in (FEW, MANY)}
    runs: dict[int, list[float]] = {count: [] for count in detectors}
    for turn in range(ROUNDS + 1):
        for count, detector in detectors.items():
            started = time.perf_counter()
            for at in range(0, len(events), BATCH):
                detector.inspect(Batch(events[at : at + BATCH]))
            if turn:
                runs[count].append(time.perf_counter() - started)
    return {count: statistics.median(spent) / len(events) * 1e6 for count, spent in runs.items()}


async def swap(events: list[Event], folder: Path) -> tuple[list[float], list[float], list[float]]:
    """Seconds of each turn of the loop: before, while packs are built and swapped in, and each swap's own turn."""
    engine = Engine(Snapshot.build(load_rules(), NumberIndex()))
    turns: list[float] = []

    async def work(stop: asyncio.Event) -> None:
        at = 0
        while not stop.is_set():
            started = time.perf_counter()
            engine.decide(events[at : at + CHUNK])
            await asyncio.sleep(0)
            turns.append(time.perf_counter() - started)
            at = (at + CHUNK) % len(events)

    stop = asyncio.Event()
    task = asyncio.create_task(work(stop))
    await asyncio.sleep(3)
    before, swaps = list(turns), []
    turns.clear()
    for _ in range(SWAPS):
        automaton = await build_in_background(folder)
        engine.swap(Snapshot.of(automaton, engine.snapshot.lists))
        await asyncio.sleep(0)
        swaps.append(max(turns[-3:]))
    during = list(turns)
    stop.set()
    await task
    return before, during, swaps


def section(data: Path) -> Section:
    """The section of the report."""
    rng = random.Random(3)
    ham = rng.sample(list(texts(data / "sms", is_ham)), COUNT)
    events: list[Event] = [
        SmsEvent(id=f"p{i}", time=T0 + i, a_number=f"138{i:08}", b_number="13900000000", text=text)
        for i, text in enumerate(ham)
    ]
    spent = cost(events)
    gc.collect()
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files(MANY).items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        before, during, swaps = asyncio.run(swap(events, Path(folder)))
    ratio = spent[MANY] / spent[FEW]
    rows = [(f"{count:,}", f"{micros:.2f}", f"{micros / spent[FEW]:.2f}") for count, micros in spent.items()]
    loop = [
        (name, len(turns), *(f"{1000 * value:.1f}" for value in (*np.percentile(turns, (50, 99)), max(turns))))
        for name, turns in (("before", before), ("building and swapping", during))
    ]
    what = (
        f"{SWAPS} packs of {MANY:,} patterns more built by another process and swapped into a running loop of "
        f"{CHUNK} messages a turn; the two cores are shared. The loop stood still for "
        f"{1000 * statistics.median(swaps):.0f} ms (median) where a pack was loaded."
    )
    text = "\n\n".join(
        (
            table((">patterns", ">us a message, folding included", ">ratio"), rows),
            what,
            table(("turns of the loop", ">turns", ">p50 ms", ">p99 ms", ">longest ms"), loop),
        )
    )
    found = f"{ratio:.2f}x: {spent[MANY]:.2f} us against {spent[FEW]:.2f} us"
    return Section(text, (Finding(f"a message at 50,000 patterns at most {LIMIT:g}x of 2,000", found, ratio <= LIMIT),))


if __name__ == "__main__":
    run(__doc__, section)
