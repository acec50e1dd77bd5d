"""What `lanjie replay` shows and keeps: bad lines, a bar, the summary."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import IO, Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from detectors.model.decision import ACTIONS
from stream.logs import LogReader

SHOWN_REJECTS: Final = 20  # messages on stderr; all rejects are counted and kept


class Rejects:
    """Bad lines: told with file:line and reason, never with their content; kept as they came."""

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self._file = file
        self.codes: Counter[str] = Counter()

    def add(self, where: str, raw: bytes, code: str, text: str) -> None:
        """Take one."""
        self.codes[code] += 1
        if self._file:
            self._file.write(raw + b"\n")
        if self.codes.total() <= SHOWN_REJECTS:
            click.echo(f"{where}: {text}", err=True)
        elif self.codes.total() == SHOWN_REJECTS + 1:
            click.echo("... more rejected lines are counted but not shown", err=True)


def bar(logs: Sequence[str], stack: ExitStack) -> Callable[[int], None] | None:
    """A progress bar, if somebody is looking."""
    if not sys.stderr.isatty():
        return None
    total = LogReader(logs).total
    columns = (TextColumn("replay"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    shown = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = shown.add_task("replay", total=total)
    return lambda read: shown.update(task, completed=read)


def show(console: Console, report: dict[str, Any]) -> None:
    by_kind = report["by_kind"]
    table = Table()
    for name in ("", *by_kind, "all"):
        table.add_column(name, justify="right" if name else "left")
    for action in ACTIONS:
        counts = [counts.get(action, 0) for counts in by_kind.values()]
        if any(counts):
            table.add_row(action, *(f"{count:,}" for count in counts), f"{sum(counts):,}")
    table.add_section()
    for code, count in sorted(report["by_reason"].items(), key=lambda item: (-item[1], item[0])):
        table.add_row(f"[dim]{code}[/]", *[""] * len(by_kind), f"{count:,}")
    if report["decided"]:
        console.print(table)
    codes = Counter(report["rejected_by_code"])
    rejects = f" ({', '.join(f'{code} {count:,}' for code, count in codes.most_common())})" if codes else ""
    for line in (
        f"{report['decided']:,} events decided, {report['rejected']:,} lines rejected{rejects}",
        f"{report['late_events']:,} events late, {report['duplicate_events']:,} repeated",
        f"{report['events_per_second']:,} events/s, {report['seconds']:.1f} s",
        f"lists {report['lists']}, rules {report['rules']}, digest {report['digest']}",
    ):
        console.print(line, highlight=False, soft_wrap=True)
