"""The verdict on a whole run, from what the checks of its partitions found."""

from __future__ import annotations

import asyncio
import multiprocessing
from array import array
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from stream.settings import Settings
from tests.chaos.faults import Fault
from tests.chaos.publisher import Acked
from tests.chaos.supervisor import Exit
from tests.chaos.verify import SHOWN, Outcome, check_partition

PROCESSES: Final = 2
#: MiB. A worker with this traffic takes 200; one that grows without bound does not stop here.
MEMORY: Final = 512.0


class Check(NamedTuple):
    """One line of the verdict."""

    name: str
    ok: bool
    found: str
    shown: list[str]


async def outcome_of(settings: Settings, lists: Path) -> Outcome:
    """All partitions, checked by processes of their own."""
    loop, total = asyncio.get_running_loop(), Outcome()
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        tasks = [
            loop.run_in_executor(pool, check_partition, settings, lists, number)
            for number in range(settings.partitions)
        ]
        for each in await asyncio.gather(*tasks):
            total.counts.update(each.counts)
            total.actions.update(each.actions)
            total.numbers += each.numbers
            total.offsets += each.offsets
            for what, texts in each.shown.items():
                total.shown[what] = (total.shown.get(what, []) + texts)[:SHOWN]
    return total


@dataclass
class Evidence:
    """All that is known at the end.

    Attributes:
        unknown: records of which the publisher does not know whether they are on a topic.
        peak: MiB, the largest resident set of any worker.
        stuck: what was not committed in time after the load had stopped.
    """

    outcome: Outcome
    acked: Acked
    unknown: int
    exits: list[Exit]
    faults: list[Fault]
    peak: float
    stuck: str
    exactly_once: bool

    def checks(self) -> list[Check]:
        """The verdict."""
        return [*self._delivery(), *self._twice(), *self._content(), *self._workers()]

    def _check(self, name: str, ok: bool, found: str, *kinds: str) -> Check:
        shown = [f"{kind}: {text}" for kind in kinds for text in self.outcome.shown.get(kind, [])]
        return Check(name, ok, found, shown)

    def _delivery(self) -> Iterator[Check]:
        n, missing = self.outcome.counts, acked_but_missing(self.outcome, self.acked)
        yield self._check(
            "all published is on the topics",
            not (missing or n["input ids twice"] or n["misjudged inputs"]),
            f"{len(self.acked):,} sent, {n['inputs']:,} there, {missing:,} acknowledged but missing, "
            f"{self.unknown:,} unknown",
            *("input ids twice", "misjudged inputs"),
        )
        everything = "every committed offset is the end of its log"
        yield self._check("all is decided at the end", not self.stuck, self.stuck or everything)
        wrong = ("lost", "decisions about nothing", "dead letters of good records", "dead letters changed")
        yield self._check(
            "inputs = decisions + dead letters",
            n["inputs"] == n["decisions"] + n["dead letters"] and not any(n[each] for each in wrong),
            f"{n['inputs']:,} = {n['decisions']:,} + {n['dead letters']:,}; lost {n['lost']:,}",
            *wrong,
        )

    def _twice(self) -> Iterator[Check]:
        n = self.outcome.counts
        repeated, otherwise = n["events repeated"] + n["dead letters repeated"], n["repeated otherwise"]
        yield self._check(
            "nothing twice" if self.exactly_once else "what comes twice is the same",
            not otherwise and not (self.exactly_once and repeated),
            f"{n['events repeated']:,} events ({n['decisions repeated']:,} more decisions) and "
            f"{n['dead letters repeated']:,} dead letters repeated; {otherwise:,} decisions with another content",
            "repeated otherwise",
        )

    def _content(self) -> Iterator[Check]:
        n = self.outcome.counts
        disorder = n["out of order"]
        yield self._check("each input's order is kept", not disorder, f"{disorder:,} out of order", "out of order")
        yield self._check(
            "decisions = uninterrupted replay",
            n["compared"] + n["lists only"] == n["decisions"] and not n["different"],
            f"{n['compared']:,} compared, {n['different']:,} different; {n['lists only']:,} by the lists only",
            "different",
        )
        wrong = ("chunks broken", "decisions outside of chunks")
        yield self._check(
            "chunks are what they say",
            not any(n[each] for each in wrong) and not (self.exactly_once and n["chunks cut off"]),
            f"{n['chunks']:,} chunks, {n['chunks cut off']:,} cut off, {n[wrong[0]]:,} broken, "
            f"{n[wrong[1]]:,} decisions outside",
            *wrong,
        )
        yield self._check(
            "protected numbers are allowed",
            n["protected"] > 0 and not n["protected touched"],
            f"{n['protected']:,} events, {n['protected touched']:,} not allowed",
            "protected touched",
        )

    def _workers(self) -> Iterator[Check]:
        still = [f"{fault.kind}: {fault.what}" for fault in self.faults if fault.recovered is None]
        yield Check("recovered from every fault", not still, f"{len(self.faults)} faults, {len(still)} not", still)
        odd = [f"{end.worker}: {end.code} during {end.during}" for end in self.exits if _odd(end)]
        counted = Counter((end.code, " and ".join(end.told)) for end in self.exits)
        codes = [f"{code} ({told or 'by itself'}): {n}" for (code, told), n in sorted(counted.items())]
        yield Check("exit codes of workers", not odd, ", ".join(codes), odd[:SHOWN])
        yield Check(
            "memory of workers", self.peak <= MEMORY, f"{self.peak:.0f} MiB at most; the limit is {MEMORY:.0f}", []
        )


def acked_but_missing(outcome: Outcome, acked: Acked) -> int:
    """Records that the broker acknowledged and that are not where it said."""
    found = array("q", [-1]) * len(acked)
    for number, offset in zip(outcome.numbers, outcome.offsets, strict=True):
        found[number] = offset
    missing = malformed = 0
    for n, offset in enumerate(acked.offset):
        if acked.partition[n] >= 0 and acked.good[n]:
            missing += found[n] < 0 or (offset >= 0 and found[n] != offset)
        elif acked.partition[n] >= 0:
            malformed += 1
    return missing + max(0, malformed - outcome.counts["malformed"])


def _odd(end: Exit) -> bool:
    """1 and 75 are a worker's own way to start afresh; all else must be what we told it. -15: it was not up yet."""
    if end.code in (1, 75):
        return False
    return {0: "SIGTERM", -15: "SIGTERM", -9: "SIGKILL"}.get(end.code) not in end.told
