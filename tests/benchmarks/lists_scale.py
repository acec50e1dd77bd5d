"""Number lists of the size of an operator's: building, loading, memory, and swapping under a running loop.

    python -m tests.benchmarks.lists_scale

528,000 black and 1,716,000 grey numbers and 10,000 prefixes and ranges, made by a seeded generator, each with a reason,
a source and a date. All is measured in fresh processes (`lists_probe`); memory is that of /proc/self/smaps_rollup.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time  # noqa: TID251 - a benchmark reads the clock
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from loadtest.score import percentile
from tests.benchmarks.report import Finding, Section, run, table
from tests.benchmarks.sms_data import DATA

BLACK, GREY, PATTERNS = 528_000, 1_716_000, 10_000
LOAD_SECONDS, MIB = 0.5, 32.0
PAUSE_MS = 50.0  # what a call may take in all
LOADS, COMPACTIONS, CHANGED = 3, 3, 5_000
ROUNDS, QUIET = 3, 0.1  # of the swaps; CPUs that other processes may take
HEADER = "number,list,reason,source,added\n"
REASONS, SOURCES = ("reported", "confirmed fraud", "virtual operator"), ("operator", "police", "public")
PHASES = (
    "before",
    "beside a process that only spins",
    "compacting in another process",
    "loading in a thread, swapping",
    "after",
)
MOBILE = 13_000_000_000  #: the first mobile number; 7 * 10**9 follow


def rows(rng: random.Random) -> Iterator[str]:
    """The numbers, then the patterns."""
    days = [str(date(2025, 11, 1) + timedelta(days=d)) for d in range(365)]

    def row(number: str, kind: str) -> str:
        return f"{number},{kind},{rng.choice(REASONS)},{rng.choice(SOURCES)},{rng.choice(days)}\n"

    for i, n in enumerate(rng.sample(range(7 * 10**9), BLACK + GREY)):
        yield row(str(MOBILE + n), "block" if i < BLACK else "grey")
    for i, n in enumerate(rng.sample(range(7 * 10**5), PATTERNS)):
        first = MOBILE + n * 10_000
        yield row(f"{first // 10_000}*" if i % 2 else f"+86{first + 2_000}-+86{first + 6_999}", "grey")


def write_delta(path: Path, rng: random.Random, listed: list[str]) -> None:
    """Numbers that come and numbers that go."""
    with path.open("w", encoding="ascii") as out:
        out.write("number,list,op\n")
        out.writelines(f"{MOBILE + rng.randrange(7 * 10**9)},block,add\n" for _ in range(CHANGED))
        out.writelines(f"{number},,remove\n" for number in rng.sample(listed, CHANGED))


def build(home: Path) -> tuple[Path, list[Path], dict[str, Any]]:
    """The snapshot file, deltas to it, and what building took."""
    rng = random.Random(9)
    lines = list(rows(rng))
    (home / "lists.csv").write_text(HEADER + "".join(lines), encoding="ascii")
    deltas = [home / f"delta{i}.csv" for i in range(COMPACTIONS)]
    for delta in deltas:
        write_delta(delta, rng, [line.partition(",")[0] for line in lines[: BLACK + GREY : 100]])
    out = home / "lists.lanjie"
    command = [sys.executable, "-m", "stream.cli", "lists", "build", "-o", str(out), str(home / "lists.csv")]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return out, deltas, {"seconds": time.perf_counter() - started, "mib": out.stat().st_size / 2**20}


def probe(*args: object) -> subprocess.Popen[str]:
    """A process of `lists_probe`."""
    command = [sys.executable, "-m", "tests.benchmarks.lists_probe", *map(str, args)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def load(path: Path) -> dict[str, Any]:
    """Medians over fresh processes one by one; then the map's share when two hold it."""
    results = []
    for _ in range(LOADS):
        out, _ = probe("load", path).communicate("\n", timeout=120)
        results.append(json.loads(out.splitlines()[0]))
    pair = [probe("load", path) for _ in range(2)]
    for process in pair:
        process.stdout.readline()
    maps = [json.loads(_answer(process)) for process in pair]
    for process in pair:
        process.communicate(timeout=60)
    return {
        "entries": results[0]["entries"],
        "seconds": [r["seconds"] for r in results],
        "look_up_us": statistics.median(r["look_up_us"] for r in results),
        "added": {name: statistics.median(r["added"][name] for r in results) for name in results[0]["added"]},
        "map": maps[0],
    }


def _answer(process: subprocess.Popen[str]) -> str:
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline()


def swap(path: Path, deltas: list[Path]) -> dict[str, Any]:
    """Turns of the loop by phase, sorted, in milliseconds; of the round that other processes disturbed least."""
    rounds: list[dict[str, Any]] = []
    while len(rounds) < ROUNDS and (not rounds or rounds[-1]["others"] >= QUIET):
        out, _ = probe("swap", path, path.with_name("new.lanjie"), *deltas).communicate(timeout=240)
        rounds.append(json.loads(out.splitlines()[-1]))  # the compacting processes say their lines before
    found = min(rounds, key=lambda each: each["others"])
    found["turns"] = {phase: sorted(1000 * s for s in seconds) for phase, seconds in found["turns"].items()}
    return found


def section(data: Path) -> Section:
    """Everything, in a folder that is removed. The numbers are made here: ``data`` is not read."""
    with tempfile.TemporaryDirectory() as home:
        path, deltas, built = build(Path(home))
        loaded, swapped = load(path), swap(path, deltas)
    turns = swapped["turns"]
    p99 = {phase: percentile(turns[phase], 99) or 0.0 for phase in PHASES}
    added, seconds = loaded["added"], statistics.median(loaded["seconds"])
    findings = (
        Finding(
            f"Lists of {loaded['entries']:,}: snapshot load < {LOAD_SECONDS} s",
            f"{seconds:.3f} s (slowest of {LOADS}: {max(loaded['seconds']):.3f} s)",
            max(loaded["seconds"]) < LOAD_SECONDS,
        ),
        Finding(f"Lists: at most {MIB:g} MiB resident", f"{added['Rss']:.1f} MiB", added["Rss"] <= MIB),
        *(
            Finding(
                f"Lists: no pause: longest turn of a running loop while {phase} < {PAUSE_MS:g} ms, a call's deadline",
                f"{turns[phase][-1]:.1f} ms, before {turns['before'][-1]:.1f} ms; p99 {p99[phase]:.1f} ms, before "
                f"{p99['before']:.1f} ms (other processes took {swapped['others']:.1f} CPUs)",
                turns[phase][-1] < PAUSE_MS,
            )
            for phase in PHASES[2:4]
        ),
    )
    return Section(_text(built, loaded, swapped), findings)


def _text(built: dict[str, Any], loaded: dict[str, Any], swapped: dict[str, Any]) -> str:
    turns, added, shared = swapped["turns"], loaded["added"], loaded["map"]
    heads = ("one turn of the loop, ms", ">turns", ">p50", ">p99", ">max")
    figures = (
        (phase, f"{len(turns[phase]):,}", *(f"{percentile(turns[phase], at) or 0:.2f}" for at in (50, 99, 100)))
        for phase in PHASES
    )
    provenances = len(("block", "grey")) * 365 * len(REASONS) * len(SOURCES)
    return (
        f"{BLACK:,} black, {GREY:,} grey, {PATTERNS:,} prefixes and ranges by a seeded generator, each entry with one "
        f"of {provenances:,} provenances. `lanjie lists build` from CSV: {built['seconds']:.1f} s, {built['mib']:.1f} "
        "MiB. Load: the file is dropped from the page cache (as far as the kernel heeds it), mapped, checked and made "
        f"an index, in {LOADS} fresh processes. Then 300,000 random look-ups ({loaded['look_up_us']:.1f} us each), "
        f"then memory: {added['Rss']:.1f} MiB resident more than before loading, {added['Private_Dirty']:.1f} MiB of "
        f"them the process's own; of the map {shared['Rss']:.1f} MiB are resident, and with two processes each is "
        f"charged {shared['Pss']:.1f} MiB of it (Pss).\n\n"
        "Swap: a loop decides batches of 500 calls without a rest (2 % of the callers are listed); a turn is timed "
        "from the end of the last one, so whatever else blocks the loop is in it. "
        f"{COMPACTIONS} compactions of {CHANGED:,} additions and {CHANGED:,} removals ({swapped['compaction']:.1f} s "
        f"each, another process), {swapped['swaps']} loads (in a thread) and swaps. Of up to {ROUNDS} rounds the one "
        "that other processes of the machine disturbed least is shown, the first that is disturbed by less than "
        f"{QUIET} CPUs: they took {swapped['others']:.2f}. What any busy neighbour does to the loop is in the second "
        f"row.\n\n{table(heads, figures)}\n"
    )


def markdown(data: Path = DATA) -> tuple[str, bool]:
    """The section of the report, and whether the requirements are met."""
    return section(data).markdown()


if __name__ == "__main__":
    run(__doc__, section)
