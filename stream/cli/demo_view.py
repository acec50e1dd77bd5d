"""What the demo shows: a live table where there is a terminal, a line a second where there is none, and the summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from detectors.model.decision import ACTIONS
from stream.cli.demo_worker import Reading
from stream.clock import Clock

LINE_EVERY: Final = 1.0  # seconds between lines where there is no terminal


def shown(path: Path) -> str:
    """As one would type it: relative to where we are, if it is below."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


class View:
    """The demo's output. ``published`` and ``phase`` are set by who publishes."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self.console, self.clock = console, clock
        self.phase, self.published = "", 0
        self.handled = 0  #: events that the worker has decided or dead-lettered, by its own count
        self._live: Live | None = None
        self._printed = 0.0
        self._last, self._rate = (0.0, 0), 0.0

    def step(self, text: str) -> None:
        """Tell what happens now."""
        self.console.print(f"[bold cyan]>[/] {text}", highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Tell it so that nobody can miss it."""
        self.console.print(Panel(text, title="ATTENTION", border_style="bold red", style="bold yellow"))

    @contextmanager
    def running(self) -> Iterator[None]:
        """While records go through."""
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, refresh_per_second=4, transient=True) as self._live:
            yield
        self._live = None

    def show(self, reading: Reading) -> None:
        """Show the worker's counters."""
        self.handled = reading.decided + reading.dead_lettered
        now = self.clock.monotonic()
        then, before = self._last
        if now - then >= LINE_EVERY:
            self._rate = (reading.decided - before) / (now - then) if then else 0.0
            self._last = (now, reading.decided)
        if self._live:
            self._live.update(self._table(reading))
        elif self.phase and now - self._printed >= LINE_EVERY:
            self._printed = now
            actions = " ".join(f"{name} {count:,}" for name, count in _in_order(reading.by_action))
            self.console.print(
                f"  {self.phase}: published {self.published:,}, decided {reading.decided:,}, "
                f"dead-lettered {reading.dead_lettered:,}, lag {reading.lag:,} | {actions}",
                highlight=False,
                soft_wrap=True,
            )

    def _table(self, reading: Reading) -> Table:
        table = Table(title=self.phase)
        for name in ("published", "decided", "events/s", "dead-lettered", "lag", *ACTIONS):
            table.add_column(name, justify="right")
        counts = (reading.by_action.get(name, 0) for name in ACTIONS)
        values = (self.published, reading.decided, round(self._rate), reading.dead_lettered, reading.lag, *counts)
        table.add_row(*(f"{value:,}" for value in values))
        return table


def summary(console: Console, report: Mapping[str, Any]) -> None:
    """The final tables."""
    console.print(_counts(report), _actions(report), _quality(report), sep="\n")


def _counts(report: Mapping[str, Any]) -> Table:
    table = Table(title=f"{report['log']} through {report['broker']['name']}", show_header=False)
    codes = ", ".join(f"{code} {count}" for code, count in sorted(report["dead_lettered_by_code"].items()))
    for name in ("published", "decided", "dead_lettered", "lost", "duplicates"):
        value = f"{report[name]:,}" + (f"  ({codes})" if name == "dead_lettered" and codes else "")
        table.add_row(name.replace("_", "-"), value, style="bold red" if name == "lost" and report[name] else "")
    table.add_section()
    table.add_row("events/s at full speed", f"{report['events_per_second']:,}")
    latency = report["latency_ms"]
    for name, label in (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9")):
        value = "-" if latency[name] is None else f"{latency[name]:,} ms"
        table.add_row(f"Kafka to Kafka at {report['paced_per_second']:,}/s, {label}", value)
    seconds = report["change_in_force_seconds"]
    table.add_row("a number listed meanwhile", "-" if seconds is None else f"in force after {seconds:.2f} s")
    table.add_section()
    table.add_row("lists", report["lists"])
    table.add_row("rules", report["rules"])
    machine = report["machine"]
    table.add_row("machine", f"{machine['cores']} cores for broker, worker and driver; Python {machine['python']}")
    return table


def _actions(report: Mapping[str, Any]) -> Table:
    table = Table(title="decisions")
    for name, side in (("action", "left"), ("events", "right"), ("reason", "left"), ("times", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    actions = _in_order(report["by_action"])
    reasons = sorted(report["by_reason"].items(), key=lambda item: (-item[1], item[0]))[:12]
    for n in range(max(len(actions), len(reasons))):
        left = actions[n] if n < len(actions) else ("", "")
        right = reasons[n] if n < len(reasons) else ("", "")
        table.add_row(*(f"{value:,}" if isinstance(value, int) else value for value in (*left, *right)))
    return table


def _quality(report: Mapping[str, Any]) -> Table:
    table = Table(
        title=f"warn or more, against labels; headline: over {report['scored_over']}",
        caption="positive: labelled fraud or illegal; ( ): Wilson 95 %; advertising counts as a negative",
    )
    for name in ("source", "events", "positive", "precision", "recall", "false alarms"):
        table.add_column(name, justify="left" if name == "source" else "right")
    for name, row in (*report["by_source"].items(), ("headline", report["overall"])):
        table.add_row(
            name,
            f"{row['events']:,}",
            f"{row['tp'] + row['fn']:,}",
            _rate(row["precision"], row["precision_95"]),
            _rate(row["recall"], row["recall_95"]),
            _rate(row["false_alarm_rate"], row["false_alarm_95"]),
        )
    return table


def _rate(value: float | None, interval: list[float] | None) -> str:
    if value is None or interval is None:
        return "-"
    return f"{value:.1%} ({100 * interval[0]:.1f}-{100 * interval[1]:.1f})"


def _in_order(actions: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(name, actions[name]) for name in ACTIONS if actions.get(name)]
