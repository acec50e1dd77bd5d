"""Whether a dated block list answers as of every date what its snapshot of that date says.

    python -m tests.benchmarks.churn [--data FOLDER]

The Swiss snapshots (three series) go through `lanjie lists build --dated` into one file. Beside it, each snapshot is
read into a plain set by a reader of its own. At the first and the last millisecond of every snapshot date, and just
before the first one, each number that was ever listed is asked about, and numbers in and around each pattern.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.lists.index import Layer
from detectors.model.events import CallEvent
from detectors.rulepack import load_rules
from stream.number_files import open_table
from tests.benchmarks.report import Finding, Section, run, table
from tests.benchmarks.sms_data import DATA

DAY = 86_400_000
_NAME = re.compile(r"(\w+)_(\d{4})-(\d\d)-(\d\d)\.txt")


class Naive(NamedTuple):
    """One snapshot, as sets."""

    start: int  #: ms UTC from which it holds
    numbers: frozenset[str]
    patterns: frozenset[tuple[str, int]]  #: leading characters, and the length of a number under it

    def holds(self, number: str) -> bool:
        """Whether it lists ``number``."""
        return number in self.numbers or any(
            len(number) == length and number[: len(head)] == head for head, length in self.patterns
        )


def read(files: Sequence[Path]) -> dict[str, list[Naive]]:
    """Series -> its snapshots by date, each from its own file and nothing else."""
    found: dict[str, list[Naive]] = defaultdict(list)
    for path in files:
        series, *day = _NAME.fullmatch(path.name).groups()  # type: ignore[union-attr]
        lines = {line.strip() for line in path.read_text("ascii").splitlines()} - {""}
        patterns = {(line.rstrip("#"), len(line)) for line in lines if "#" in line}
        start = int(datetime(*map(int, day), tzinfo=UTC).timestamp()) * 1000
        found[series].append(Naive(start, frozenset(n for n in lines if "#" not in n), frozenset(patterns)))
    return {series: sorted(snapshots) for series, snapshots in found.items()}


def as_of(series: dict[str, list[Naive]], time: int) -> dict[str, Naive]:
    """The snapshot of each series that holds at ``time``, where there is one yet."""
    held = {name: bisect_right([s.start for s in snapshots], time) - 1 for name, snapshots in series.items()}
    return {name: series[name][at] for name, at in held.items() if at >= 0}


def asked(series: dict[str, list[Naive]]) -> list[str]:
    """Each number ever listed; for each pattern its first and last number, their neighbours, and other lengths."""
    numbers = {n for snapshots in series.values() for s in snapshots for n in s.numbers}
    for head, length in {p for snapshots in series.values() for s in snapshots for p in s.patterns}:
        first, last = int(head[1:].ljust(length - 1, "0")), int(head[1:].ljust(length - 1, "9"))
        numbers |= {f"+{n}" for n in (first - 1, first, (first + last) // 2, last, last + 1, first * 10, first // 10)}
    return sorted(numbers)


def build(files: Sequence[Path], out: Path) -> NumberIndex:
    """The index that the real command makes of the files."""
    command = [sys.executable, "-m", "stream.cli", "lists", "build", "--dated", "-o", str(out), *map(str, files)]
    subprocess.run(command, check=True, capture_output=True)
    return NumberIndex(layers=[Layer(open_table(out))])


def wrong(snapshot: Snapshot, series: dict[str, list[Naive]], numbers: Sequence[str], time: int) -> Iterator[str]:
    """Numbers about which ``find``, ``explain`` or the engine's decision differ from the sets at ``time``."""
    held, index, engine = as_of(series, time), snapshot.lists, Engine(snapshot)
    calls = [CallEvent(id=f"c{i}", time=time, a_number=n, b_number="+41446681800") for i, n in enumerate(numbers)]
    for number, decision in zip(numbers, engine.decide(calls), strict=True):
        right = {name for name, naive in held.items() if naive.holds(number)}
        found = index.find(number, time)
        explained = {m.provenance.source for m in index.explain(number) if m.provenance.in_force(time)}
        decided = any(reason.code == "LIST_BLOCK" for reason in decision.reasons)
        if explained != right or decided != bool(right) or (found.source if found else "") not in (right or {""}):
            yield number


def section(data: Path) -> Section:
    """Comparisons and mismatches, over every date."""
    files = sorted((data / "number_lists" / "swiss").glob("*.txt"))
    if not files:
        raise FileNotFoundError(f"{data}: no number_lists/swiss/*.txt")
    series = read(files)
    numbers = asked(series)
    dates = sorted({snapshot.start for snapshots in series.values() for snapshot in snapshots})
    times = [dates[0] - 1, *(t for date in dates for t in (date, date + DAY - 1))]
    with tempfile.TemporaryDirectory() as home:
        index = build(files, Path(home) / "swiss.lanjie")
        snapshot = Snapshot.build(load_rules(), index)
        mismatches = [number for time in times for number in wrong(snapshot, series, numbers, time)]
    compared = len(times) * len(numbers)
    text = (
        "Built by `lanjie lists build --dated`; at each time each number is asked of `NumberIndex.find`, of `explain` "
        "(series by series) and of `Engine.decide` (`LIST_BLOCK` or not), and compared with plain sets read from the "
        "one file that holds at that time. Times: the first and last millisecond of every snapshot date, and the one "
        "before them all. Numbers: each that was ever listed, and the edges and neighbours of each pattern.\n\n"
        f"{_churn(series)}\n\n{len(index):,} dated entries; {len(numbers):,} numbers at {len(times)} times of "
        f"{len(dates)} dates: {compared:,} comparisons of three answers, {len(mismatches)} wrong.\n"
    )
    figure = f"{len(mismatches)} wrong of {compared:,}"
    return Section(text, (Finding("Churn: as-of answers right for every date", figure, not mismatches),))


def _churn(series: dict[str, list[Naive]]) -> str:
    rows = []
    for name, snapshots in series.items():
        contents = [s.numbers | {f"{head}#{length}" for head, length in s.patterns} for s in snapshots]
        pairs = list(pairwise(contents))
        ever: set[str] = set()
        back = 0
        for before, after in pairs:
            ever |= before
            back += len((after - before) & ever)
        added, gone = sum(len(b - a) for a, b in pairs), sum(len(a - b) for a, b in pairs)
        rows.append((name, len(snapshots), f"{len(contents[0]):,}", f"{len(contents[-1]):,}", added, gone, back))
    return table(("series", ">snapshots", ">entries first", ">last", ">added", ">removed", ">that came back"), rows)


def markdown(data: Path = DATA) -> tuple[str, bool]:
    """The section of the report, and whether the requirements are met."""
    return section(data).markdown()


if __name__ == "__main__":
    run(__doc__, section)
