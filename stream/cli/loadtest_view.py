"""What a load test shows on the terminal: counts, then what was caught and whom it troubled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

NAMES = {"p50": "p50", "p90": "p90", "p99": "p99", "p999": "p99.9", "max": "worst"}
NOTE = (
    "( ): Wilson 95 %. before: call attempts and SMS of a number before its first measure, over all numbers, - if it "
    "has none; victims: those reached before it, of all reached"
)


def show(console: Console, report: Mapping[str, Any]) -> None:
    """The tables."""
    console.print(_counts(report), _patterns(report["detection"]), _benign(report["detection"]), sep="\n")


def share(row: Mapping[str, Any]) -> str:
    """``92.8% (91.9-93.6)``; a dash where there is nothing to count."""
    if row["share"] is None:
        return "-"
    low, high = row["share_95"]
    return f"{row['share']:.1%} ({100 * low:.1f}-{100 * high:.1f})"


def latency_rows(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Percentile and milliseconds; none where there was no schedule."""
    latency = report["latency_ms"] or {}
    return [(name, f"{latency[key]:,} ms") for key, name in NAMES.items() if latency.get(key) is not None]


def count_rows(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was sent and what became of it."""
    counts, driver = report["counts"], report["driver"]
    codes = ", ".join(f"{code} {count}" for code, count in sorted(counts["dead_lettered_by_code"].items()))
    return [
        ("published", f"{counts['published']:,} at {driver['schedule']}"),
        ("decided", f"{counts['decided']:,}" + (f", {counts['degraded']:,} degraded" if counts["degraded"] else "")),
        ("dead-lettered", f"{counts['dead_lettered']:,}" + (f"  ({codes})" if codes else "")),
        ("lost", f"{counts['lost']:,}"),
        ("duplicates", f"{counts['duplicates']:,}"),
    ]


def pattern_rows(detection: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row a pattern: recall by event, number, operation; precision; how late; whom it reached by then."""
    return [
        (
            name,
            f"{row['events']['of']:,}",
            share(row["events"]),
            share(row["numbers"]),
            f"{row['operations']['hits']} / {row['operations']['of']}",
            share(row["precision"]),
            " / ".join("-" if value is None else f"{value:,}" for value in row["contacts_before_measure"].values()),
            f"{row['victims']['before_measure']:,} / {row['victims']['reached']:,}",
        )
        for name, row in detection["patterns"].items()
    ]


PATTERN_COLUMNS = (
    "pattern",
    "events",
    "recall by event",
    "recall by number",
    "operations",
    "precision",
    "before: p50 / p90",
    "victims",
)
BENIGN_COLUMNS = ("who", "events", "measured", "numbers", "wrongly measured", "share")


def benign_rows(detection: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row a class of numbers that are no fraudster's."""
    rows = [
        (name, row["events"], row["events_measured"], row["numbers_measured"])
        for name, row in detection["benign"].items()
        if row["numbers_measured"]["of"]
    ]
    return [
        (name, f"{events:,}", f"{measured:,}", f"{numbers['of']:,}", f"{numbers['hits']:,}", share(numbers))
        for name, events, measured, numbers in rows
    ]


def _counts(report: Mapping[str, Any]) -> Table:
    table = Table(title=f"{report['log']['name']} through {report['broker']}", show_header=False)
    for name, value in count_rows(report):
        table.add_row(name, value, style="bold red" if name == "lost" and report["counts"]["lost"] else "")
    table.add_section()
    rate, driver = report["decided_per_second"], report["driver"]
    table.add_row("decided a second", "-" if rate is None else f"{rate:,}")
    for name, value in latency_rows(report):
        table.add_row(f"from scheduled time, {name}", value)
    table.add_row("driver", f"at most {driver['late_ms']:,} ms late; the broker held a batch {driver['held_ms']:,} ms")
    table.add_section()
    machine = report["machine"]
    table.add_row("workers", str(report["workers"]) if report["workers"] else "those that were there")
    table.add_row("machine", f"{machine['cores']} cores for all of it; Python {machine['python']}")
    return table


def _patterns(detection: Mapping[str, Any]) -> Table:
    return _table("what was caught: warn or more", PATTERN_COLUMNS, pattern_rows(detection), NOTE)


def _benign(detection: Mapping[str, Any]) -> Table:
    overall = detection["overall"]
    people = overall["benign_numbers_measured"]
    note = f"all: {people['hits']:,} of {people['of']:,} wrongly measured, {share(people)}"
    return _table("whom it troubled", BENIGN_COLUMNS, benign_rows(detection), note)


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]], note: str) -> Table:
    table = Table(title=title, caption=note)
    for n, name in enumerate(columns):
        table.add_column(name, justify="right" if n else "left")
    for row in rows:
        table.add_row(*row)
    return table
