"""Whether the ratios are still those that were committed: `make bench-smoke`, two minutes, for CI.

Only ratios count, never times, and only of CPU time: on a machine that others use too, both sides of a ratio are
slowed alike. If one falls below all are measured once more, and of each the better median counts: a slow minute of
the machine passes, a slower worker is slow twice.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.report import table
from tests.benchmarks.run import Plan, measure
from tests.benchmarks.schema import BARE, STOCK, WORKER, Results, ResultsError, read
from tests.benchmarks.verdict import SMOKE, SMOKE_RATIOS, Ratios, ratios

PLAN = Plan(
    parts=("floor", "peers"), contenders=(WORKER, BARE, STOCK), rounds=3, events=120_000, floor_events=10_000
)  # fmt: skip


class Compared(NamedTuple):
    """One ratio now and then."""

    name: str
    committed: float
    measured: float

    @property
    def holds(self) -> bool:
        """Whether it is not far below."""
        return self.measured >= SMOKE * self.committed


def compare(committed: Ratios, measured: Ratios) -> list[Compared]:
    """By medians.

    Raises:
        ResultsError: one of the ratios was not committed.
    """
    found = []
    for name in SMOKE_RATIOS:
        if not committed.get(name):
            raise ResultsError(f"the committed results have no {name!r}: run the whole of `make bench`")
        found.append(Compared(name, statistics.median(committed[name]), statistics.median(measured[name])))
    return found


def judge(committed: Ratios, again: Callable[[], Results]) -> list[Compared]:
    """Measure; if a ratio is far below, measure once more and take the better of both."""
    found = compare(committed, ratios(again()))
    if all(each.holds for each in found):
        return found
    return list(map(max, found, compare(committed, ratios(again()))))  # equal but for what was measured


def main(against: Path) -> int:
    """Exit 1 if a ratio is far below the committed one.

    Raises:
        ResultsError: there are no usable results to compare with.
    """
    committed = ratios(read(against))
    compare(committed, committed)  # before minutes are spent
    found = judge(committed, lambda: measure(PLAN))
    rows = [
        (each.name, f"{each.committed:.2f}", f"{each.measured:.2f}", f"{each.measured / each.committed:.2f}",
         "" if each.holds else f"FAR BELOW: expected {SMOKE:g} or more")
        for each in found
    ]  # fmt: skip
    print(table(("ratio", ">committed", ">now", ">now / committed", ""), rows))  # noqa: T201
    if not all(each.holds for each in found):
        print("slower than committed: find out why, or commit the results of `make bench`", file=sys.stderr)  # noqa: T201
        return 1
    return 0
