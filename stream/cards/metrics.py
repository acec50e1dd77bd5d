"""Metrics of `lanjie cards watch`, on a registry that is passed in."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from stream.metrics import MemoryLimitCollector


class CardMetrics:
    """Those of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter("lanjie_card_events", "Card events read, those of the past included.", registry=registry)
        self.unusable = Counter(
            "lanjie_card_events_unusable", "Records that are no card event; the workers dead-letter them.",
            registry=registry,
        )  # fmt: skip
        self.told = Counter("lanjie_card_counts", "Counts told, acknowledged by the broker.", registry=registry)
        self.identities = Gauge("lanjie_card_identities", "Identities whose cards are known.", registry=registry)
        self.agents = Gauge("lanjie_card_agents", "Sales agents whose cards are known.", registry=registry)
        self.lag = Gauge("lanjie_card_lag_records", "Card events that are not read yet.", registry=registry)
        registry.register(MemoryLimitCollector())
        self.ready = Gauge("lanjie_card_watch_ready", "As /ready.", registry=registry)

    def watch(self, *, identities: Callable[[], int], agents: Callable[[], int], lag: Callable[[], int]) -> None:
        """Ask these when somebody asks us."""
        self.identities.set_function(identities)
        self.agents.set_function(agents)
        self.lag.set_function(lag)
