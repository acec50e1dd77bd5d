"""What a worker says of itself: whether it is healthy, whether it is ready, and in one word what it is doing."""

from __future__ import annotations

import os
from typing import Any, Final

from detectors.engine import Engine
from stream.clock import Clock
from stream.shards import Shards
from stream.transport import ChunkApp, ChunkConsumer

#: Seconds that a chunk may wait for its commit before we call the worker sick. Above the delivery timeout of Output,
#: which ends in a failure of its own.
COMMIT_STUCK: Final = 60.0
#: Seconds that a chunk may wait for its commit before we say that it does not go on: above the commit interval, and
#: above the turn of a loaded machine.
STALLED: Final = 5.0


class Condition:
    """Of one worker, whose parts are put here as they come to be.

    Attributes:
        waiting_for: why Kafka or our topics cannot be had, at the start.
    """

    def __init__(self, group: str, clock: Clock) -> None:
        self._group, self._clock = group, clock
        self.failure: BaseException | None = None
        self.stopping = False
        self.waiting_for = ""
        self.engine: Engine | None = None
        self.shards: Shards | None = None
        self.app: ChunkApp | None = None

    @property
    def consumer(self) -> ChunkConsumer | None:
        """Once it has its client."""
        consumer = self.app.consumer if self.app and self.app.started else None
        return consumer if isinstance(consumer, ChunkConsumer) and consumer.connected else None

    @property
    def state(self) -> str:
        """One of ``metrics.STATES``."""
        told = {"failed": self.failure, "stopping": self.stopping, "waiting_for_kafka": self.waiting_for}
        if found := next((state for state, holds in told.items() if holds), ""):
            return found
        consumer = self.consumer
        if consumer is None or self.app is None or not consumer.assignment():
            return "starting"
        if not consumer.coordinated:
            return "waiting_for_kafka"
        if self.app.rebalancing:
            return "rebalancing"
        stalled = consumer.oldest_age(self._clock.monotonic()) > STALLED
        return "recovering" if self.recovering else "stalled" if stalled else "running"

    def sick(self) -> list[str]:
        """Reasons to restart the worker."""
        reasons = []
        if self.failure:
            reasons.append(f"failed: {type(self.failure).__name__}")
        if (consumer := self.consumer) and (age := consumer.oldest_age(self._clock.monotonic())) > COMMIT_STUCK:
            reasons.append(f"the oldest chunk waits for its commit for {age:.0f} s")
        return reasons

    def unready(self) -> list[str]:
        """Reasons to wait."""
        reasons = self.sick()
        if self.stopping:
            reasons.append("stopping")
        if self.waiting_for:
            reasons.append(self.waiting_for)
        elif self.engine is None:
            reasons.append("lists and rules are being loaded")
        elif not sum(self.engine.snapshot.list_sizes.values()):
            reasons.append("the number lists are empty: set LANJIE_LISTS, or say `lanjie lists import`")
        if not (consumer := self.consumer) or not consumer.assignment():
            reasons.append("no partitions are assigned")
        elif not consumer.coordinated:
            reasons.append("Kafka does not answer for our group: is the broker up?")
        elif self.app and self.app.rebalancing:
            reasons.append("partitions are being reassigned")
        elif self.recovering:
            reasons.append(f"the windows of {self.recovering} partitions are being made again from the log")
        return reasons

    def about(self) -> dict[str, Any]:
        """For the index."""
        consumer = self.consumer
        return {
            "name": "lanjie worker",
            "pid": os.getpid(),
            "group": self._group,
            "state": self.state,
            "partitions": sorted(f"{tp.topic}/{tp.partition}" for tp in consumer.assignment()) if consumer else [],
        }

    @property
    def recovering(self) -> int:
        """Shards whose events wait for their windows."""
        return len(self.shards.recovering) if self.shards else 0

    def lag(self) -> dict[tuple[str, int], int]:
        """Records behind the end, by input partition."""
        return consumer.lag() if (consumer := self.consumer) else {}

    @property
    def in_flight(self) -> int:
        """Chunks fetched and not acknowledged."""
        return consumer.in_flight if (consumer := self.consumer) else 0
