"""Every Prometheus metric, declared once, on a registry that is passed in.

Label sets are closed: topics, actions, error codes, rule symbols, stages. Never a number, a text or an event id.
The hot path pays per chunk, not per event: counts are summed first, latencies go in by the list.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.metrics_core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from detectors.model.decision import ACTIONS

#: What a worker may be doing (``stream.condition``). Stalled: a chunk waits for its commit for too long.
STATES: Final = (
    "waiting_for_kafka", "starting", "rebalancing", "recovering", "running", "stalled", "stopping", "failed",
)  # fmt: skip
STAGES: Final = ("decode", "decide", "encode", "deliver")
RESULTS: Final = ("done", "refused")
#: Seconds. Fine where the target is (a decision before the phone rings), coarse where it is lost anyway.
END_TO_END_BOUNDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
)  # fmt: skip
STAGE_BOUNDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
CHANGE_BOUNDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
RECOVERY_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
#: Where Linux says what a container may use: cgroup version 2, then 1, which has a number near 2^63 for no limit.
LIMIT_FILES: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
NO_LIMIT: Final = 1 << 60
CHUNK_BOUNDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)

Lag = Mapping[tuple[str, int], int]


class BulkHistogram(Collector):
    """A histogram of milliseconds that takes a list at a time: one sort and one bisection per bucket, not one call per
    value. ``bounds``: seconds.
    """

    def __init__(self, name: str, documentation: str, label: str, bounds: Sequence[float]) -> None:
        self._name, self._documentation, self._label = name, documentation, label
        self._bounds = tuple(bounds)
        self._bounds_ms = [round(bound * 1000, 3) for bound in bounds]
        self._counts: dict[str, list[int]] = {}  # cumulative, as Prometheus has them; the last is +Inf
        self._sums: dict[str, int] = {}

    def observe_ms(self, label: str, ordered: Sequence[int]) -> None:
        """Count whole milliseconds, the least first, under ``label``."""
        counts = self._counts.setdefault(label, [0] * (len(self._bounds) + 1))
        most = ordered[-1] if ordered else 0
        for i, bound in enumerate(self._bounds_ms):
            counts[i] += len(ordered) if most <= bound else bisect_right(ordered, bound)
        counts[-1] += len(ordered)
        self._sums[label] = self._sums.get(label, 0) + sum(ordered)

    def collect(self) -> Iterator[Metric]:
        """What Prometheus scrapes."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=[self._label])
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        for label, counts in list(self._counts.items()):
            family.add_metric([label], list(zip(names, map(float, counts), strict=True)), self._sums[label] / 1000)
        yield family


class LagCollector(Collector):
    """Consumer lag, asked for when it is scraped."""

    def __init__(self, source: Callable[[], Lag]) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        """What Prometheus scrapes."""
        family = GaugeMetricFamily(
            "lanjie_consumer_lag_records", "Records not yet decided and committed.", labels=["topic", "partition"]
        )
        for (topic, partition), lag in sorted(self._source().items()):
            family.add_metric([topic, str(partition)], lag)
        yield family


class Watched(Protocol):
    """What is asked when it is scraped."""

    @property
    def state(self) -> str:
        """One of ``STATES``."""

    @property
    def in_flight(self) -> int:
        """Chunks fetched and not acknowledged."""

    @property
    def recovering(self) -> int:
        """Partition numbers that wait for their windows."""

    def lag(self) -> Lag:
        """Records behind the end, by input partition."""

    def unready(self) -> list[str]:
        """Reasons to wait."""


class StateCollector(Collector):
    """What the worker is doing: 1 for one of ``STATES``, 0 for the others."""

    def __init__(self, source: Watched) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        """What Prometheus scrapes."""
        family = GaugeMetricFamily("lanjie_worker_state", "1 for what the worker is doing.", labels=["state"])
        state = self._source.state
        for each in STATES:
            family.add_metric([each], float(each == state))
        yield family


class MemoryLimitCollector(Collector):
    """What the container of this process may use; nothing where there is no limit."""

    def __init__(self, files: Sequence[Path] = LIMIT_FILES) -> None:
        self._files = files

    def collect(self) -> Iterator[Metric]:
        """What Prometheus scrapes."""
        family = GaugeMetricFamily("lanjie_memory_limit_bytes", "Memory that this container may use.")
        for file in self._files:
            said = file.read_text(encoding="ascii").strip() if file.is_file() else ""
            if said.isdecimal() and int(said) < NO_LIMIT:
                family.add_metric([], int(said))
                break
        yield family


class Metrics:
    """The metrics of one worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        r = registry
        self.events = Counter("lanjie_events", "Records taken from an input topic.", ["topic"], registry=r)
        self.decisions = Counter(
            "lanjie_decisions", "Decisions acknowledged by the broker.", ["topic", "action"], registry=r
        )
        self.reasons = Counter("lanjie_reasons", "Reasons named in decisions.", ["code"], registry=r)
        self.dead_letters = Counter("lanjie_dead_letters", "Records put on a DLQ.", ["topic", "code"], registry=r)
        self.engine_errors = Counter("lanjie_engine_errors", "Events on which the engine raised.", registry=r)
        self.delivery_failures = Counter("lanjie_delivery_failures", "Deliveries that stopped the worker.", registry=r)
        self.end_to_end = BulkHistogram(
            "lanjie_end_to_end_latency_seconds",
            "From a record's Kafka timestamp to the broker's acknowledgement of its decision.",
            "topic",
            END_TO_END_BOUNDS,
        )
        r.register(self.end_to_end)
        self.stage = Histogram(
            "lanjie_stage_seconds", "Time a chunk spends in a stage.", ["stage"], registry=r, buckets=STAGE_BOUNDS
        )
        self.chunk_size = Histogram(
            "lanjie_chunk_records", "Records in a chunk.", ["topic"], registry=r, buckets=CHUNK_BOUNDS
        )
        self.recovery_seconds = Histogram(
            "lanjie_recovery_seconds",
            "From when a partition number was assigned to when its events were decided again.",
            registry=r,
            buckets=RECOVERY_BOUNDS,
        )
        self.recovered = Counter(
            "lanjie_recovered_events", "Events decided again to make the windows of assigned partitions.", registry=r
        )
        self.recovery_skipped = Counter(
            "lanjie_recovery_skipped_events", "Events left out of these windows, for want of time.", registry=r
        )
        self.recovering = Gauge(
            "lanjie_recovering_partitions", "Partition numbers that wait for their windows.", registry=r
        )
        self.checkpoints = Counter(
            "lanjie_checkpoints",
            "Checkpoints of what is counted: written, or refused by the disk.",
            ["result"],
            registry=r,
        )
        self.checkpoint_seconds = Gauge(
            "lanjie_checkpoint_seconds", "Time that the last one took, beside the worker.", registry=r
        )
        self.checkpoint_hold = Histogram(
            "lanjie_checkpoint_hold_seconds",
            "Time that rounds were held for one.",
            registry=r,
            buckets=STAGE_BOUNDS,
        )
        self.in_flight = Gauge("lanjie_in_flight_chunks", "Chunks fetched and not yet acknowledged.", registry=r)
        self.active_callers = Gauge("lanjie_active_callers", "Callers held in behaviour windows.", registry=r)
        self.late_events = Gauge(
            "lanjie_late_events", "Call attempts whose time was out of their caller's window, since start.", registry=r
        )
        self.duplicate_events = Gauge(
            "lanjie_duplicate_events", "Events that came before, since start: decided, not counted.", registry=r
        )
        self.list_entries = Gauge("lanjie_list_entries", "Numbers and prefixes on a list.", ["list"], registry=r)
        self.list_errors = Counter("lanjie_list_errors", "Lines of list files that could not be used.", registry=r)
        self.rules = Gauge("lanjie_rules", "Rules in force.", registry=r)
        self.versions = Info("lanjie_snapshot", "Versions of lists and rules in force.", registry=r)
        self.lists_loaded = Gauge(
            "lanjie_lists_loaded_timestamp_seconds", "Since when these lists are in force here.", registry=r
        )
        self.rules_loaded = Gauge(
            "lanjie_rules_loaded_timestamp_seconds", "Since when these rules are in force here.", registry=r
        )
        self.build_seconds = Gauge("lanjie_snapshot_build_seconds", "Time to read lists and compile rules.", registry=r)
        self.automaton_seconds = Gauge(
            "lanjie_automaton_build_seconds", "Time to build the keyword automaton and prove its rules.", registry=r
        )
        self.reloads = Counter(
            "lanjie_reloads", "Lists and rules read again while running: in force, or refused.", ["result"], registry=r
        )
        self.changes_refused = Counter(
            "lanjie_changes_refused",
            "Records of lists and rules that could not be used.",
            ["topic", "code"],
            registry=r,
        )
        self.change_serial = Gauge("lanjie_change_serial", "Newest change of lists or rules in force.", registry=r)
        self.change_delay = Histogram(
            "lanjie_change_delay_seconds",
            "From when a change was on its topic to when it was in force here.",
            registry=r,
            buckets=CHANGE_BOUNDS,
        )
        self.staged_rules = Gauge("lanjie_staged_rules", "Rules not enforced on all, by stage.", ["stage"], registry=r)
        self.feed_entries = Gauge("lanjie_feed_entries", "Entries of a list feed in force.", ["feed"], registry=r)
        self.feed_stage = Gauge(
            "lanjie_feed_rollout",
            "1 for the stage that the newest content of a feed is in.",
            ["feed", "stage"],
            registry=r,
        )
        self.feed_made = Gauge(
            "lanjie_feed_made_timestamp_seconds", "When the content of a feed was made.", ["feed"], registry=r
        )
        self.feed_checked = Gauge(
            "lanjie_feed_checked_timestamp_seconds",
            "When a feed's source was last looked at.",
            ["feed"],
            registry=r,
        )
        self.feed_stale_after = Gauge(
            "lanjie_feed_stale_after_seconds", "Age of its content at which a feed is stale.", ["feed"], registry=r
        )
        self.feed_problem = Gauge(
            "lanjie_feed_problem", "1 if the last content of a feed was refused.", ["feed"], registry=r
        )
        self.brake_trips = Counter(
            "lanjie_brake_trips",
            "Rules and feeds that this worker put into shadow for doing too much.",
            ["target"],
            registry=r,
        )
        self.shadow = Counter(
            "lanjie_shadow_decisions", "Decisions that would differ if all were enforced.", ["action"], registry=r
        )
        self.ready = Gauge("lanjie_ready", "1 while the worker is ready.", registry=r)
        for stage in STAGES:
            self.stage.labels(stage)
        for result in RESULTS:  # there from the start: a counter's first count then shows as an increase
            self.checkpoints.labels(result)
            self.reloads.labels(result)
        for action in ACTIONS:
            self.shadow.labels(action)
        self._count_faults(registry)

    def _count_faults(self, r: CollectorRegistry) -> None:
        self.enforcement = Gauge("lanjie_enforcement", "1 while measures are taken, 0 while all pass.", registry=r)
        self.enforcement.set(1)
        self.detector_failures = Counter(
            "lanjie_detector_failures",
            "Batches on which a detector raised, or that took it too long.",
            ["detector", "kind"],
            registry=r,
        )
        self.detector_off = Gauge(
            "lanjie_detector_off", "1 while decisions are made without this detector.", ["detector"], registry=r
        )
        self.degraded = Counter(
            "lanjie_degraded_decisions", "Decisions made without a detector, or by lists only.", ["lacks"], registry=r
        )
        self.deadline_misses = Counter(
            "lanjie_deadline_misses", "Decisions acknowledged after their deadline.", ["topic"], registry=r
        )
        self.stage_overruns = Counter(
            "lanjie_stage_overruns",
            "Chunks for which a stage took more than its share of the deadline.",
            ["stage"],
            registry=r,
        )
        for stage in STAGES:
            self.stage_overruns.labels(stage)

    def watch(self, source: Watched) -> None:
        """Ask it when scraped."""
        self.registry.register(LagCollector(source.lag))
        self.registry.register(StateCollector(source))
        self.registry.register(MemoryLimitCollector())
        self.in_flight.set_function(lambda: source.in_flight)
        self.recovering.set_function(lambda: source.recovering)
        self.ready.set_function(lambda: float(not source.unready()))
