"""Number lists and rules from disk to the engine's snapshot. Bad lines are counted and the rest is used."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from detectors.engine import Snapshot
from detectors.lists import NumberIndex, parse_lines
from detectors.lists.entry import Entry
from detectors.model.errors import NumberListError
from detectors.rulepack import load_rules
from stream.clock import Clock
from stream.logs import lines_of
from stream.metrics import Metrics
from stream.settings import ListFile

log = logging.getLogger(__name__)

FORMATS: Final = (".csv", ".jsonl", ".txt")
PACKED: Final = (".gz", ".zst")
LOGGED_ERRORS: Final = 10  # per file; all are counted


class SourceError(NumberListError):
    """A list file cannot be read at all. The worker does not start without a list that it was told to use."""


def load_snapshot(lists: Sequence[ListFile], *, metrics: Metrics, clock: Clock) -> Snapshot:
    """Read, parse and compile everything; seconds for millions of numbers, so keep it off the event loop.

    Raises:
        SourceError, LogError: a file cannot be read, or not to its end.
        RuleError: the rules cannot be used.
    """
    started = clock.monotonic()
    rules, index = load_rules(), NumberIndex(_entries(lists, metrics))
    compiling = clock.monotonic()
    snapshot = Snapshot.build(rules, index)
    metrics.automaton_seconds.set(clock.monotonic() - compiling)
    report(snapshot, metrics, seconds=clock.monotonic() - started, now=clock.wall_ms() / 1000)
    return snapshot


def report(snapshot: Snapshot, metrics: Metrics, *, seconds: float, now: float) -> None:
    """Show in the metrics what is in force."""
    for name, size in snapshot.list_sizes.items():
        metrics.list_entries.labels(name).set(size)
    metrics.rules.set(snapshot.rule_count)
    metrics.versions.info({"lists": snapshot.lists_version, "rules": snapshot.rules_version})
    metrics.build_seconds.set(seconds)
    metrics.lists_loaded.set(now)
    metrics.rules_loaded.set(now)
    log.info(
        "lists %s and rules %s in force: %s numbers, %d rules, built in %.1f s",
        snapshot.lists_version,
        snapshot.rules_version,
        sum(snapshot.list_sizes.values()),
        snapshot.rule_count,
        seconds,
    )


def _entries(lists: Sequence[ListFile], metrics: Metrics) -> Iterator[Entry]:
    for file in lists:
        errors = 0
        lines = (line.decode("utf-8", "replace") for line in open_lines(file.path))
        for found in parse_lines(lines, kind=file.kind, source=file.path.name, where=str(file.path)):
            if isinstance(found, Entry):
                yield found
                continue
            errors += 1
            if errors <= LOGGED_ERRORS:
                log.warning("%s", found)
        if errors:
            metrics.list_errors.inc(errors)
            log.warning("%s: %d lines could not be used", file.path, errors)


def open_lines(path: Path) -> Iterator[bytes]:
    """The lines of a list file, unpacked. Half a list is no list: a file that is cut short is refused whole.

    Raises:
        SourceError: a name that does not say what it is.
        LogError: no such file, damaged, or cut short.
    """
    plain = path.with_suffix("") if path.suffix in PACKED else path
    if plain.suffix not in FORMATS:
        raise SourceError(f"{path}: expected {', '.join(FORMATS)}, each also with {' or '.join(PACKED)} after it")
    return lines_of(path)
