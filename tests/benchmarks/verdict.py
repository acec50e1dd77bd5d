"""Ratios of a run, and what was asked of them. Everything is worked out from the rounds: of each ratio the median over
rounds, as contenders of one round share the state of the machine.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from operator import truediv

from tests.benchmarks.report import Finding
from tests.benchmarks.schema import BARE, ECHO, STOCK, WORKER, Curve, Results, Run

#: At least 0.8 of the floor's speed.
FLOOR, BARE_SHARE, STOCK_TIMES = 0.8, 0.9, 20.0
P99_TIMES, P999_MS, READY, REPLAY = 1.5, 50.0, 5.0, 250_000
LISTS, PATTERNS, CALLERS = 1.15, 2.0, 1.25
#: Of the committed ratio: what `make bench-smoke` lets pass. By CPU time, which neighbours on a busy machine add
#: little to; rates are for the whole benchmark on a quiet one.
SMOKE = 0.8
SMOKE_RATIOS = (
    "floor / engine, sms",
    "floor / engine, call",
    "floor / engine, mix",
    "worker / bare, per CPU second",
    "worker / stock, per CPU second",
)

Ratios = dict[str, list[float]]


def ratios(results: Results) -> Ratios:
    """Name -> one value for each round; the more the better."""
    found: Ratios = {}
    for kind, floor in (results.floor or {}).items():
        found[f"floor / engine, {kind}"] = list(map(truediv, floor.floor, floor.whole))
    peers = results.peers or {}
    for short, name in (("bare", BARE), ("stock", STOCK)):
        if WORKER in peers and name in peers:
            found[f"worker / {short}"] = _by_round(peers[WORKER], peers[name], "rate")
            found[f"worker / {short}, per CPU second"] = _by_round(peers[name], peers[WORKER], "cpu_us")
    return found


def _by_round(over: Sequence[Run], under: Sequence[Run], what: str) -> list[float]:
    return [getattr(a, what) / getattr(b, what) for a, b in zip(over, under, strict=True)]


def p99_ratios(results: Results, other: str = ECHO) -> list[float]:
    """Worker over another, by round; the less the better."""
    if results.latency is None or other not in results.latency.runs:
        return []
    runs = results.latency.runs
    return [mine.p99 / theirs.p99 for mine, theirs in zip(runs[WORKER], runs[other], strict=True)]


def growth(curve: Curve, *, less_memory: bool = False) -> list[float]:
    """For each point its cost over that of the first one, the median of the rounds.

    Args:
        less_memory: take off by how much a bare look-up in memory has become dearer since the first point.
    """
    first, found = curve.points[0], []
    for point in curve.points:
        us = point.us
        if less_memory:
            dearer = statistics.median(point.bare) - statistics.median(first.bare)
            us = [each - dearer for each in us]
        found.append(statistics.median(map(truediv, us, first.us)))
    return found


def spread(values: Sequence[float], places: int = 2) -> str:
    """Median, and in parentheses the lowest and the highest."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{places}f} ({low:,.{places}f}-{high:,.{places}f})"


def findings(results: Results) -> list[Finding]:
    """Each bar that was measured, by the medians."""
    found = list(_ratio_findings(ratios(results)))
    if results.latency is not None:
        times, slow = p99_ratios(results), [tail.p999 for tail in results.latency.runs[WORKER]]
        found += [
            Finding(f"p99 at {results.latency.share:.0%} of capacity at most {P99_TIMES:g}x an echo's",
                    spread(times), statistics.median(times) <= P99_TIMES),
            Finding(f"p99.9 within {P999_MS:g} ms", f"{spread(slow, 1)} ms", statistics.median(slow) <= P999_MS),
        ]  # fmt: skip
    found += _growth_findings(results.growth or {})
    if results.memory is not None:
        ready = results.memory.ready
        found.append(Finding(f"start to ready within {READY:g} s", f"{spread(ready, 1)} s", max(ready) <= READY))
    if results.replay is not None:
        most = max(each.processes for each in results.replay)
        (rates,) = (each.rates for each in results.replay if (each.job, each.processes) == ("replay", most))
        found.append(
            Finding(
                f"replay on {most} cores: at least {REPLAY:,} events/s",
                spread(rates, 0),
                statistics.median(rates) >= REPLAY,
            )
        )
    return found


def _ratio_findings(found: Ratios) -> Iterator[Finding]:
    bars = {f"floor / engine, {kind}": FLOOR for kind in ("sms", "call", "mix")}
    bars |= {"worker / bare": BARE_SHARE, "worker / stock": STOCK_TIMES}
    for name, least in bars.items():
        if values := found.get(name):
            yield Finding(f"{name}: at least {least:g}", spread(values), statistics.median(values) >= least)


def _growth_findings(curves: dict[str, Curve]) -> Iterator[Finding]:
    bars = (("lists", LISTS, False), ("patterns", PATTERNS, False), ("callers", CALLERS, True))
    for name, most, less_memory in bars:
        if curve := curves.get(name):
            first, last = curve.points[0].x, curve.points[-1].x
            times = max(growth(curve, less_memory=less_memory))
            note = f", less what one look-up in memory costs more ({max(growth(curve)):.2f}x with it)" * less_memory
            yield Finding(
                f"cost from {first:,} to {last:,} {curve.x}: at most {most:g}x", f"{times:.2f}x{note}", times <= most
            )
