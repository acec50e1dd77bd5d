"""What is known about lists and rules, in the metrics."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from detectors.rollout import Mode
from stream.metrics import Metrics
from stream.updates.state import State


def show(state: State, metrics: Metrics) -> None:
    """Set the gauges; those of feeds that are gone disappear."""
    metrics.change_serial.set(state.serial)
    stages = Counter(held.value.stage for held in state.stages.values())
    for mode in get_args(Mode):
        metrics.staged_rules.labels(mode).set(stages[mode])
    gauges = (
        metrics.feed_entries, metrics.feed_stage, metrics.feed_made, metrics.feed_checked, metrics.feed_stale_after,
        metrics.feed_problem,
    )  # fmt: skip
    for gauge in gauges:
        gauge.clear()
    for name, held in state.feeds.items():
        feed = held.value
        metrics.feed_entries.labels(name).set(feed.content.count)
        for mode in get_args(Mode):
            metrics.feed_stage.labels(name, mode).set(mode == feed.stage)
        metrics.feed_made.labels(name).set(feed.content.made / 1000)
        if feed.stale_after:
            metrics.feed_stale_after.labels(name).set(feed.stale_after)
    for name, check in state.checks.items():
        metrics.feed_checked.labels(name).set(check.value.time / 1000)
        metrics.feed_problem.labels(name).set(bool(check.value.problem))
