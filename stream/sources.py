"""Number lists and rules from disk to the engine's snapshot. Bad lines are counted and the rest is used."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from detectors.engine import Snapshot
from detectors.keywords import Automaton
from detectors.lists import NumberIndex
from detectors.model.errors import NumberListError
from stream.clock import Clock
from stream.metrics import Metrics
from stream.model_files import read_model
from stream.number_files import load_index
from stream.rule_files import read_pack
from stream.settings import ListFile

log = logging.getLogger(__name__)

LOGGED_ERRORS: Final = 10  # per file; all are counted


def load_snapshot(
    lists: Sequence[ListFile],
    *,
    metrics: Metrics,
    clock: Clock,
    rules: Path | None = None,
    model: Path | None = None,
) -> Snapshot:
    """Read, parse and compile everything; seconds for millions of numbers, so keep it off the event loop.

    Raises:
        SourceError: a list file cannot be read to its end, or has no usable line.
        RuleError: the rules cannot be used.
        ModelError: the model cannot be used.
    """
    started = clock.monotonic()
    score = read_model(model) if model else None
    snapshot = Snapshot.of(build_automaton(rules, metrics, clock), read_lists(lists, metrics), score)
    report(snapshot, metrics, seconds=clock.monotonic() - started, now=clock.wall_ms() / 1000)
    return snapshot


def build_automaton(rules: Path | None, metrics: Metrics, clock: Clock) -> Automaton:
    """The automaton of a rule pack, built and proven here.

    Raises:
        RuleError: the rules cannot be used.
    """
    started = clock.monotonic()
    automaton = Automaton(read_pack(rules))
    metrics.automaton_seconds.set(clock.monotonic() - started)
    return automaton


def read_lists(lists: Sequence[ListFile], metrics: Metrics) -> NumberIndex:
    """The number lists; lines that cannot be used are counted, and the first of each file logged.

    Raises:
        SourceError: a list file cannot be read to its end, or has no usable line.
    """
    errors = Counter[Path]()

    def told(path: Path, error: NumberListError) -> None:
        errors[path] += 1
        metrics.list_errors.inc()
        if errors[path] <= LOGGED_ERRORS:
            log.warning("%s", error)

    index = load_index(lists, told)
    for path, count in errors.items():
        log.warning("%s: %d lines could not be used", path, count)
    return index


def report(snapshot: Snapshot, metrics: Metrics, *, seconds: float, now: float) -> None:
    """Show in the metrics what is in force.

    When lists or rules were loaded is when they became others: each look at the topics, also in vain, comes by here.
    """
    for name, size in snapshot.list_sizes.items():
        metrics.list_entries.labels(name).set(size)
    metrics.rules.set(snapshot.rule_count)
    model = {"model": snapshot.model.version} if snapshot.model else {}
    (shown,) = metrics.versions.collect()
    before = shown.samples[0].labels
    metrics.versions.info({"lists": snapshot.lists_version, "rules": snapshot.rules_version, **model})
    metrics.enforcement.set(snapshot.rollout.enforcement)
    metrics.build_seconds.set(seconds)
    if before.get("lists") != snapshot.lists_version:
        metrics.lists_loaded.set(now)
    if before.get("rules") != snapshot.rules_version:
        metrics.rules_loaded.set(now)
    log.info(
        "lists %s and rules %s in force: %s numbers, %d rules, built in %.1f s",
        snapshot.lists_version,
        snapshot.rules_version,
        sum(snapshot.list_sizes.values()),
        snapshot.rule_count,
        seconds,
    )
