"""What a worker tells about itself, read now and then: memory, latency, lag, garbage collection."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import Final

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

from stream.clock import Clock
from tests.chaos.supervisor import Slot

_LATENCY: Final = "lanjie_end_to_end_latency_seconds_bucket"


@dataclass(frozen=True)
class Reading:
    """One look. ``buckets``: cumulative counts of latencies by upper bound in seconds, over all topics."""

    at: float
    resident: float
    lag: float = 0.0
    active: float = 0.0
    buckets: dict[float, float] = field(default_factory=dict)
    garbage: dict[str, float] = field(default_factory=dict)

    def since(self, before: Reading) -> Reading:
        """With the latencies that came after ``before``."""
        return replace(self, buckets={b: n - before.buckets.get(b, 0.0) for b, n in self.buckets.items()})

    def quantile(self, q: float) -> float:
        """Seconds, as Prometheus' ``histogram_quantile`` has them: linear within a bucket."""
        bounds = sorted(self.buckets)
        total = self.buckets[bounds[-1]] if bounds else 0.0
        low, count = 0.0, 0.0
        for bound in bounds:
            if total and self.buckets[bound] >= q * total:
                if bound == float("inf"):
                    return low
                inside = self.buckets[bound] - count
                return low + (bound - low) * (q * total - count) / (inside or 1.0)
            low, count = bound, self.buckets[bound]
        return 0.0


class Probe:
    """Reads the worker in a slot."""

    def __init__(self, slot: Slot, clock: Clock) -> None:
        self._slot, self._clock = slot, clock

    async def _get(self, path: str) -> tuple[int, str]:
        assert self._slot.process is not None
        file = self._slot.folder / f"worker-{self._slot.process.pid}.json"
        url = json.loads(file.read_bytes())["url"]
        async with aiohttp.ClientSession() as session, session.get(url + path) as answer:
            return answer.status, await answer.text()

    async def ready(self, seconds: float) -> None:
        """Wait until it is."""
        async with asyncio.timeout(seconds):
            while True:
                try:
                    if (await self._get("/ready"))[0] == 200:
                        return
                except (OSError, AssertionError, aiohttp.ClientError):
                    pass  # it is not that far yet
                await asyncio.sleep(0.1)

    async def caught_up(self, seconds: float) -> None:
        """Wait until it has nothing to do."""
        async with asyncio.timeout(seconds):
            while (await self.read()).lag > 0:  # noqa: ASYNC110 - it does not notify
                await asyncio.sleep(0.2)

    async def read(self) -> Reading:
        """Now."""
        assert self._slot.process is not None
        resident = psutil.Process(self._slot.process.pid).memory_info().rss / 2**20
        _, text = await self._get("/metrics")
        buckets: dict[float, float] = {}
        garbage: dict[str, float] = {}
        lag = active = 0.0
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == _LATENCY:
                    bound = float(sample.labels["le"])
                    buckets[bound] = buckets.get(bound, 0.0) + sample.value
                elif sample.name == "lanjie_consumer_lag_records":
                    lag += sample.value
                elif sample.name == "lanjie_active_callers":
                    active += sample.value
                elif "gc_" in sample.name and not sample.name.endswith(("_created", "_bucket")):
                    labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                    garbage[f"{sample.name}{{{labels}}}"] = sample.value
        return Reading(self._clock.monotonic(), resident, lag, active, buckets, garbage)
