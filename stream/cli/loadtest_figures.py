"""The figures of a load test: counts, throughput and latency over time, detection. Pure: no clock, no Kafka."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from loadtest.driver import Published
from loadtest.score import percentile
from stream.cli.loadtest_kafka import Outcomes

SCHEMA: Final = "lanjie.loadtest/1"
PERCENTS: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9, "max": 100.0}
#: Points of the distribution: fine where it matters, at the slow end.
CURVE: Final = (1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 97, 98, 99, 99.5, 99.9, 99.95, 99.99, 100)
#: Of what is shown over time. More would only be drawn over one another.
MAX_STEPS: Final = 300


@dataclass(frozen=True)
class Driven:
    """What was sent.

    Attributes:
        ids: of the events, in the order of the log.
        stamps: when each was due, ms UTC; the Kafka timestamp of its record.
        schedule: in words: ``2,000/s``, ``60 times real time``, ``at once``.
        paced: false at once: then there is no schedule that a latency could be taken from.
    """

    ids: Sequence[str]
    stamps: Sequence[int]
    published: Published
    schedule: str
    paced: bool


def figures(driven: Driven, outcomes: Outcomes, detection: dict[str, Any]) -> dict[str, Any]:
    """What the JSON report holds, but for where and on what it was measured."""
    due = np.array(driven.stamps, np.int64)
    decided = np.array([outcomes.times.get(key, -1) for key in driven.ids], np.int64)
    sent, there = driven.published, decided >= 0
    return {
        "schema": SCHEMA,
        "counts": {
            "published": sent.records,
            "decided": len(outcomes.actions),
            "dead_lettered": len(outcomes.dead),
            "dead_lettered_by_code": dict(Counter(outcomes.dead.values())),
            "lost": sent.records - outcomes.found,
            "duplicates": outcomes.duplicates,
            "degraded": outcomes.degraded,
            "stalled": outcomes.stalled,
        },
        "driver": {
            "schedule": driven.schedule,
            "by_topic": sent.by_topic,
            "seconds": round(sent.seconds, 3),
            "events_per_second": round(sent.per_second),
            "late_ms": round(sent.late_ms, 1),
            "held_ms": round(sent.held_ms, 1),
        },
        "decided_per_second": _rate(decided[there]),
        "latency_ms": _latency(due[there], decided[there]) if driven.paced else None,
        "over_time": over_time(due, decided, paced=driven.paced),
        "decision_time": "broker append" if outcomes.broker_time else "worker send",
        "versions": [{"lists": of[0], "rules": of[1], "decisions": n} for of, n in sorted(outcomes.versions.items())],
        "detection": detection,
    }


def over_time(due: NDArray[np.int64], decided: NDArray[np.int64], *, paced: bool) -> dict[str, Any]:
    """Rates and latency in steps of whole seconds from the first record's due time on, at most ``MAX_STEPS`` of them.

    Args:
        due: ms UTC, one an event.
        decided: the same; -1 for an event without a decision.

    Returns:
        ``step_seconds`` and lists with a value a step: ``due_per_second``, ``decided_per_second``, and where it was
        paced ``p50`` and ``p99``, ms, of what was due in that step; None where nothing was, or nothing was decided.
    """
    if not len(due):
        return {"step_seconds": 1, "due_per_second": [], "decided_per_second": [], "p50": [], "p99": []}
    start, end = int(due.min()), int(max(due.max(), decided.max()))
    step = max(1, math.ceil((end - start + 1) / 1000 / MAX_STEPS))
    steps = (end - start) // (1000 * step) + 1
    there = decided >= 0
    due_at = (due - start) // (1000 * step)
    decided_at = (decided[there] - start).clip(0) // (1000 * step)
    found: dict[str, Any] = {
        "step_seconds": step,
        "due_per_second": (np.bincount(due_at, minlength=steps) / step).tolist(),
        "decided_per_second": (np.bincount(decided_at, minlength=steps) / step).tolist(),
        "p50": [],
        "p99": [],
    }
    if paced:
        latency, at = (decided - due)[there], due_at[there]
        order = np.lexsort((latency, at))
        parts = np.split(latency[order], np.searchsorted(at[order], np.arange(1, steps)))
        for name in ("p50", "p99"):
            found[name] = [percentile(part.tolist(), PERCENTS[name]) for part in parts]
    return found


def _latency(due: NDArray[np.int64], decided: NDArray[np.int64]) -> dict[str, Any]:
    """From the scheduled send time to the decision's Kafka timestamp, exact, in milliseconds."""
    values = np.sort(decided - due).tolist()
    return {name: percentile(values, percent) for name, percent in PERCENTS.items()} | {
        "curve": [[percent, percentile(values, percent)] for percent in CURVE] if values else []
    }


def _rate(decided: NDArray[np.int64]) -> int | None:
    """Decisions a second, from the first to the last; None where that is no time."""
    span = int(decided.max() - decided.min()) if len(decided) else 0
    return round(len(decided) * 1000 / span) if span else None
