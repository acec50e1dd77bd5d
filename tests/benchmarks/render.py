"""Results to RESULTS.md and SVG plots. Everything shown comes from the results; nothing is measured here."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks import plots
from tests.benchmarks.report import table, verdicts
from tests.benchmarks.schema import BARE, ECHO, STOCK, WORKER, Curve, Latency, Memory, Results, Run, Scaling
from tests.benchmarks.verdict import findings, growth, p99_ratios, ratios, spread

RESULTS, REPORT, PLOTS = "results.json", "RESULTS.md", "plots"
PAPER = (4, 8, 16, 32, 64)  # workers


def render(results: Results, folder: Path) -> None:
    """Write the report, and beside it a plot for each curve."""
    names = plots.draw(results, folder / PLOTS)
    (folder / REPORT).write_text(report(results, names), encoding="utf-8")


def report(results: Results, drawn: list[str]) -> str:
    """The whole file. ``drawn``: curves that have a plot."""
    found = findings(results)
    met = sum(finding.met for finding in found)
    head = (
        "# Speed\n\nWritten by `make bench` from `results.json`; do not edit. What is measured and how to read it: "
        "[README](README.md). Where each microsecond goes: [MICROSECONDS.md](MICROSECONDS.md).\n\n"
        f"{_about(results)}\n\n## Asked\n\n{met} of {len(found)} met. Medians; in parentheses the lowest and the "
        f"highest round.\n\n{verdicts(found)}\n"
    )
    parts: list[tuple[str, Callable[[Results], str] | None]] = [
        ("Peers", _peers if results.peers else None),
        ("The engine alone", _floor if results.floor else None),
        ("Latency", _latency if results.latency else None),
        ("Cost as things grow", (lambda each: _growth(each, drawn)) if results.growth else None),
        ("More workers", _scaling if results.scaling else None),
        ("Memory and start", _memory if results.memory else None),
        ("Replay", _replay if results.replay else None),
    ]
    body = (f"## {title}\n\n{show(results) if show else 'Not measured in this run.'}\n" for title, show in parts)
    return "\n".join((head, *body))


def _about(results: Results) -> str:
    m, w = results.machine, results.workload
    pinned = (
        f"the process under test on core {', '.join(map(str, m.worker_cores))}, broker, driver and observer on "
        f"{', '.join(map(str, m.broker_cores))} (sched_setaffinity)"
        if m.worker_cores
        else "nothing is pinned: one core, or no Linux"
    )
    log = "in memory (tmpfs)" if m.log_in_memory else "on disk"
    caches = ", ".join(f"{level} {size}" for level, size in m.caches.items()) or "unknown"
    versions = ", ".join(f"{name} {version}" for name, version in m.versions.items())
    skipped = "".join(f"\n- not run: {name}: {why}" for name, why in results.skipped.items())
    return (
        f"- date: {results.date}, commit {results.commit or 'unknown'}; took {results.seconds:,.0f} s\n"
        f"- machine: {m.cores} cores, {m.cpu}, {m.memory_gib:g} GiB, {m.system}; caches {caches}; load before the "
        f"run {m.load_before:g}\n- cores: {pinned}\n- the broker's log: {log}\n- versions: {versions}\n"
        f"- lists: {w.numbers:,} numbers and {w.prefixes:,} prefixes, compiled by `lanjie lists build` in "
        f"{w.build_seconds:.0f} s and mapped\n- rules: the shipped pack, {w.patterns:,} patterns, {w.rules} rules, "
        f"behaviour on\n- events: calls and SMS (mean {w.text:g} characters) 1:1, {w.events:,} a round, from "
        f"{w.callers:,} callers, {w.listed:.0%} from listed numbers, {w.partitions} partitions, no compression; a "
        f"decision for every event, counted and read back\n"
        f"- method: {results.rounds} rounds, contenders in turn within each; medians (lowest-highest); a ratio is "
        f"the median of the rounds' own ratios{skipped}"
    )


def _peers(results: Results) -> str:
    peers = results.peers or {}
    stock, bare = peers.get(STOCK), peers.get(BARE)
    rows = [
        (
            name,
            spread([run.rate for run in runs], 0),
            _times(runs, bare, 2),
            _times(runs, stock, 1),
            spread([run.cpu_us for run in runs], 1),
            f"{statistics.median(run.rate * run.cpu_us / 1e4 for run in runs):.0f} %",
            spread([run.broker_us for run in runs], 1),
        )
        for name, runs in peers.items()
    ]
    heads = ("contender", ">events/s", ">x bare", ">x stock", ">its CPU, us an event", ">of its core", ">broker, us")
    tallies = [
        (name, *(f"{runs[-1].actions.get(action, 0):,}" for action in ("allow", "label", "block")),
         f"{runs[-1].events:,}")
        for name, runs in peers.items()
    ]  # fmt: skip
    return (
        f"{table(heads, rows)}\n\nRates by the broker's append times of the decisions, without the first quarter. What "
        "the last round decided:\n\n" + table(("contender", ">allow", ">label", ">block", ">events"), tallies)
    )


def _times(runs: list[Run], others: list[Run] | None, places: int) -> str:
    if not others:
        return "-"
    return spread([a.rate / b.rate for a, b in zip(runs, others, strict=True)], places)


def _floor(results: Results) -> str:
    floor = results.floor or {}
    stages = dict.fromkeys(stage for found in floor.values() for stage in found.stages)
    rows: list[tuple[str, ...]] = []
    for stage in stages:
        times = (found.stages.get(stage) for found in floor.values())
        rows.append((stage, *(f"{statistics.median(each):.2f}" if each else "" for each in times)))
    rows.append(("**whole**", *(spread(found.whole) for found in floor.values())))
    rows.append(("**floor**", *(spread(found.floor) for found in floor.values())))
    found = ratios(results)
    speeds = [found[f"floor / engine, {kind}"] for kind in floor]
    rows.append(("**whole / floor**", *(spread([1 / each for each in values]) for values in speeds)))
    rows.append(("**speed of the floor's**", *(spread(values) for values in speeds)))
    return (
        "Microseconds of CPU an event in one process; the stages are of a pass of their own, whose clock costs "
        "something too.\n\n" + table(("stage", *(f">{kind}" for kind in floor)), rows)
    )


def _latency(results: Results) -> str:
    found: Latency = results.latency  # type: ignore[assignment]
    rows = [
        (
            name,
            *(spread([getattr(tail, at) for tail in tails], 1) for at in ("p50", "p99", "p999", "most")),
            f"{statistics.median(tail.cpu for tail in tails):.0%}",
            f"{max(tail.late for tail in tails):.1f}",
        )
        for name, tails in found.runs.items()
    ]
    ratios_to_bare = p99_ratios(results, BARE)
    bare = f"; over that of {BARE} with the same engine: {spread(ratios_to_bare)}" if ratios_to_bare else ""
    heads = ("", ">p50 ms", ">p99 ms", ">p99.9 ms", ">longest ms", ">of its core", ">driver late, ms")
    return (
        f"{found.rate:,.0f} events/s, {found.share:.0%} of the {found.capacity:,.0f} measured above, for "
        f"{found.seconds:g} s after the warm-up, {len(found.runs[WORKER])} rounds in turn. From the scheduled time of "
        f"an event until its answer was appended. p99 of the {WORKER} over that of the {ECHO}: "
        f"{spread(p99_ratios(results))}{bare}.\n\n{table(heads, rows)}"
    )


def _growth(results: Results, drawn: list[str]) -> str:
    return "\n\n".join(_curve(name, curve, name in drawn) for name, curve in (results.growth or {}).items())


def _curve(name: str, curve: Curve, drawn: bool) -> str:
    times, rows = growth(curve), []
    less = growth(curve, less_memory=True) if curve.points[0].bare else None
    for i, point in enumerate(curve.points):
        row = [f"{point.x:,}", spread(point.us), f"{times[i]:.2f}"]
        if less:
            row += [f"{statistics.median(point.bare):.2f}", f"{less[i]:.2f}"]
        if point.rate:
            row.append(spread(point.rate, 0))
        rows.append(row)
    heads = [f">{curve.x}", f">{curve.what}", ">x first"]
    heads += [">a dict look-up alone, us", ">x first, less its growth"] if less else []
    heads += [">events/s"] if curve.points[0].rate else []
    plot = f"\n\n![{curve.title}]({PLOTS}/{name}.svg)" if drawn else ""
    return f"### {curve.title}\n\n{table(heads, rows)}{plot}"


def _scaling(results: Results) -> str:
    runs: list[Scaling] = results.scaling or []
    rows = []
    for count in sorted({run.workers for run in runs}):
        mine = [run for run in runs if run.workers == count]
        shares = (spread([100 * getattr(run, each) for run in mine], 0) for each in ("worker_share", "broker_share"))
        costs = (spread([getattr(run, each) for run in mine], 1) for each in ("worker_us", "broker_us"))
        rows.append((count, spread([run.rate for run in mine], 0), *shares, *costs))
    heads = (
        "workers", ">events/s", ">workers, % of a core", ">broker, % of a core", ">workers, us an event",
        ">broker, us an event",
    )  # fmt: skip
    return f"On all cores together with the broker.\n\n{table(heads, rows)}\n\n{''.join(_paper(results))}"


def _paper(results: Results) -> Iterator[str]:
    """A model: nothing above two workers was run."""
    runs, alone = results.scaling or [], (results.peers or {}).get(WORKER)
    two = [run for run in runs if run.workers == 2]
    one = [run for run in runs if run.workers == 1]
    if not two or not one:
        return
    cores = results.machine.cores
    expected = cores * 1e6 / statistics.median(run.worker_us + run.broker_us for run in one)
    rates = [statistics.median(run.rate for run in runs) for runs in (one, two)]
    yield (
        f"Two workers over one: {rates[1] / rates[0]:.2f}x. From the costs with one worker, {cores} cores that do "
        f"nothing else carry {expected:,.0f} events/s; two workers reached {rates[1]:,.0f}.\n\n"
    )
    if not alone:
        yield "No model: the worker was not measured on a core of its own in this run."
        return
    rate = statistics.median(run.rate for run in alone)
    cost = statistics.median(run.broker_us for run in alone)
    rows = [(n, f"{n * rate:,.0f}", f"{n * rate * cost / 1e6:.1f}", n) for n in PAPER]
    heads = (">workers", ">events/s", ">cores for brokers", ">partitions at least")
    yield (
        "**On paper, not run:** each worker has a core of its own and decides what it does alone "
        f"({rate:,.0f} events/s); each event costs brokers {cost:.1f} us of CPU, replicas not counted. Workers share "
        "nothing but the brokers, so nothing else bends the line; two points are too few to fit contention "
        f"(Universal Scalability Law) and are not stretched to do so.\n\n{table(heads, rows)}"
    )


def _memory(results: Results) -> str:
    found: Memory = results.memory  # type: ignore[assignment]
    rows = [
        (name, *(f"{values[each]:.0f}" for each in ("rss", "pss", "uss")))
        for name, values in (("ready, no callers yet", found.idle), (f"{found.callers:,} callers", found.loaded))
    ]
    grown = (found.loaded["uss"] - found.idle["uss"]) * 2**20 / max(1, found.callers)
    return (
        f"MiB of one worker, while an idle one holds the same lists mapped:\n\n"
        f"{table(('', '>resident', '>proportional share', '>its own'), rows)}\n\n{grown:,.0f} bytes a caller, with all "
        "else that is remembered of one (new numbers, victims, campaigns, repeats) and the queues of a backlog. Of the "
        f"map of the lists {found.mapped['rss']:.1f} MiB were resident, {found.mapped['pss']:.1f} MiB its share. "
        "Bounds: `LANJIE_MAX_CALLERS` a partition (250,000), `LANJIE_MAX_CHUNK` x `LANJIE_MAX_IN_FLIGHT` events.\n\n"
        f"From the start of the process until `/ready`: {spread(found.ready, 1)} s, {len(found.ready)} starts."
    )


def _replay(results: Results) -> str:
    found = results.replay or []
    counts = sorted({each.processes for each in found})
    rows = [
        (what, *(spread(each.rates, 0) for n in counts for each in found if (each.job, each.processes) == (job, n)))
        for job, what in (
            ("read", "unpacked, routed, decoded, and nothing more"),
            ("floor", "the same, and the floor's work in place of the engine"),
            ("replay", "`lanjie replay`"),
        )
    ]
    heads = ("events/s", *(f">{n} process{'es' * (n > 1)}" for n in counts))
    return (
        f"{found[0].events:,} events of the simulated busy hour, long records with cells and devices; every process "
        f"reads all of it and decides its part.\n\n{table(heads, rows)}"
    )
