"""The report of a load test as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import Any

from stream.cli.loadtest_view import (
    BENIGN_COLUMNS,
    NOTE,
    PATTERN_COLUMNS,
    benign_rows,
    count_rows,
    latency_rows,
    pattern_rows,
    share,
)
from stream.reports.page import Page, bars, lines


def page(report: Mapping[str, Any]) -> Page:
    """The page."""
    log, machine, detection = report["log"], report["machine"], report["detection"]
    found = Page(
        f"Load test: {log['name']}", f"{report['broker']}; {machine['cores']} cores, Python {machine['python']}"
    )
    people, rate = detection["overall"]["benign_numbers_measured"], report["decided_per_second"]
    found.figures([
        ("events", f"{report['counts']['published']:,}"),
        ("decided a second", "-" if rate is None else f"{rate:,}"),
        *((f"latency {name}", value) for name, value in latency_rows(report)),
        ("lost", f"{report['counts']['lost']:,}"),
        ("benign numbers wrongly measured", share(people)),
    ])  # fmt: skip
    found.table("What was sent, and what became of it", ("what", "events"), count_rows(report))
    driver = report["driver"]
    found.text(
        f"The driver was at most {driver['late_ms']:,} ms behind its schedule; the broker made a batch wait for at "
        f"most {driver['held_ms']:,} ms. Latency is from the scheduled send time to the time of the decision "
        f"({report['decision_time']}), so it contains both."
    )
    _speed(found, report)
    _detection(found, detection)
    return found


def _speed(found: Page, report: Mapping[str, Any]) -> None:
    over = report["over_time"]
    at = [step * over["step_seconds"] for step in range(len(over["due_per_second"]))]
    rates = {"due": over["due_per_second"], "decided": over["decided_per_second"]}
    step = f"Steps of {over['step_seconds']} s; the last is not a whole one, so its rate is lower."
    found.plot("Throughput", lines(at, rates, x_label="seconds", y_label="events a second"), step)
    if not report["latency_ms"]:
        found.text("Sent at once: there is no schedule that a latency could be taken from.")
        return
    curve = report["latency_ms"]["curve"]
    found.plot(
        "Latency, distribution",
        lines([ms for _, ms in curve], {"events": [at for at, _ in curve]}, x_label="ms", y_label="% within"),
    )
    series = {name: [nan if value is None else value for value in over[name]] for name in ("p50", "p99")}
    found.plot("Latency over time", lines(at, series, x_label="due after, seconds", y_label="ms"))


def _detection(found: Page, detection: Mapping[str, Any]) -> None:
    patterns = detection["patterns"]
    found.table("What was caught: warn or more", PATTERN_COLUMNS, pattern_rows(detection), NOTE)
    if patterns:
        for what in ("events", "numbers"):
            values = [100 * row[what]["share"] for row in patterns.values()]
            found.plot(f"Recall by {what[:-1]}", bars(list(patterns), {what: values}, unit="%"))
    before = {name: row["contacts_before_measure"]["p50"] for name, row in patterns.items()}
    known = {name: value for name, value in before.items() if value is not None}
    if known:
        found.plot(
            "Calls and SMS before the first measure, median number",
            bars(list(known), {"contacts": list(known.values())}),
            "Not shown: patterns of which less than half of the numbers had a measure.",
        )
    found.table("Whom it troubled", BENIGN_COLUMNS, benign_rows(detection))
