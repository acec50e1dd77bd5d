"""One run of the demo, and what it amounts to: the report that ``demo.json`` holds."""

from __future__ import annotations

import os
import platform
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from loadtest.driver import Record
from loadtest.poison import poison
from loadtest.score import percentile, score
from loadtest.truth import LabelledLog
from stream.cli.demo_kafka import Collected
from stream.cli.demo_view import View
from stream.cli.kafka_local import Found
from stream.settings import Settings

FULL_SPEED_SHARE: Final = 0.85  # of the log; the rest is paced
PACE: Final = 2_000  # events a second; far from saturation on two cores, so that latency is not queueing


@dataclass
class Run:
    """One run of the demo."""

    found: Found
    settings: Settings
    log: LabelledLog
    data_dir: Path
    view: View
    run_id: str
    prefix: str = ""
    created: list[str] = field(default_factory=list)  #: topics; none where the broker does that by itself
    fast: list[Record] = field(default_factory=list)
    paced: list[Record] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)  #: Kafka timestamps of the paced records
    late_ms: float = 0.0
    change_seconds: float | None = None  #: until a listed number was in force

    @property
    def group(self) -> str:
        """Consumer group."""
        return f"lanjie-demo-{self.run_id}"

    @property
    def published(self) -> int:
        """Records sent in all."""
        return len(self.fast) + len(self.paced)


def build_report(run: Run, found: Collected, exit_code: int) -> dict[str, Any]:
    """What demo.json holds. Counts are of distinct events, by what is on Kafka."""
    sent = {event.id for event in run.log.events} | {bad.id for bad in poison()}
    scores = score({key: decision.action for key, decision in found.decisions.items()}, run.log.labels)
    overall = scores.overall.report()
    versions = next(iter(found.decisions.values()), None)
    return {
        "log": run.log.name,
        "published": run.published,
        "decided": len(sent & found.decisions.keys()),
        "dead_lettered": len(sent & found.dead.keys()),
        "dead_lettered_by_code": dict(Counter(found.dead.values())),
        "lost": len(sent - found.decisions.keys() - found.dead.keys()),
        "duplicates": found.duplicates,
        "events_per_second": _throughput(run, found),
        "paced_per_second": PACE,
        "latency_ms": _latency(run, found),
        "decision_time": "broker append" if found.broker_time else "worker send",
        "change_in_force_seconds": run.change_seconds,
        "driver_late_ms": round(run.late_ms, 1),
        "by_action": dict(Counter(decision.action for decision in found.decisions.values())),
        "by_reason": dict(Counter(reason.code for d in found.decisions.values() for reason in d.reasons)),
        "precision": overall["precision"],
        "recall": overall["recall"],
        "overall": overall,
        "scored_over": scores.over,
        "by_source": {name: part.report() for name, part in scores.by_source.items()},
        "by_class": {"/".join(name): part.report() for name, part in scores.by_class.items()},
        "broker": _broker(run.found),
        "lists": versions.lists if versions else "",
        "rules": versions.rules if versions else "",
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "worker_exit_code": exit_code,
    }


def _broker(found: Found) -> dict[str, str]:
    status = found.kafka.status()
    version = status.version if status else ""
    names = {"existing": f"the Kafka at {found.bootstrap}", "kafka": f"Apache Kafka {version}", "mock": version}
    return {"kind": found.kind, "name": names[found.kind], "version": version, "why": found.why}


def _throughput(run: Run, found: Collected) -> int:
    """Decided at full speed / (time of the last decision - time of the first)."""
    ids = [event.id for event in run.log.events[: int(len(run.log.events) * FULL_SPEED_SHARE)]]
    times = [found.times[key] for key in ids if key in found.times]
    seconds = (max(times) - min(times)) / 1000 if times else 0.0
    return round(len(times) / seconds) if seconds else 0


def _latency(run: Run, found: Collected) -> dict[str, float | None]:
    """From the input record's Kafka timestamp (its scheduled time) to the decision record's."""
    ids = [event.id for event in run.log.events[-len(run.paced) :]]
    values = sorted(found.times[key] - at for key, at in zip(ids, run.stamps, strict=False) if key in found.times)
    return {name: percentile(values, percent) for name, percent in (("p50", 50), ("p99", 99), ("p999", 99.9))}
