"""What the brake of this worker's engine stopped is stopped everywhere: a change by ``brake``, an alert, a metric."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from detectors.brake import Trip
from detectors.model.errors import LanjieError
from stream.clock import Clock
from stream.metrics import Metrics
from stream.output import Output
from stream.settings import Settings
from stream.topics import ALERTS, LISTS, RULES
from stream.updates.keys import Author
from stream.updates.publisher import Put, Store, make_change
from stream.updates.records import BRAKE, BrakeRecord, stage_key
from stream.updates.state import State

log = logging.getLogger(__name__)

#: Seconds until a demotion that could not be written is tried again. Here the rule is in shadow all the while.
RETRY: Final = 2.0


class Brakes:
    """Tells the others."""

    def __init__(self, settings: Settings, output: Output, *, metrics: Metrics, clock: Clock) -> None:
        self._settings, self._output, self._metrics, self._clock = settings, output, metrics, clock
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, trips: Sequence[Trip]) -> None:
        """Take what the engine says has tripped."""
        for trip in trips:
            log.error("brake: %s goes into shadow: %s", trip.name, trip.reason)
            self._metrics.brake_trips.labels(trip.name).inc()
            task = asyncio.get_running_loop().create_task(self._tell(trip))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Give up what is not told yet: the other workers trip by themselves."""
        for task in self._tasks:
            task.cancel()

    async def _tell(self, trip: Trip) -> None:
        alert = {"kind": BRAKE, "target": trip.name, "reason": trip.reason, "time": self._clock.wall_ms()}
        topic = self._settings.named(ALERTS).name
        await self._output.send_one(topic, 0, trip.name.encode(), msgspec.json.encode(alert), [])

        async def plan(state: State, _: Store) -> Sequence[Put]:
            return demotion(state, trip.name, trip.serial, trip.reason)

        while self._settings.updates:
            try:
                await make_change(
                    self._settings,
                    Author(BRAKE),
                    action="brake",
                    target=trip.name,
                    reason=trip.reason,
                    plan=plan,
                    clock=self._clock,
                )
            except LanjieError as error:
                log.error("brake: the other workers do not know of %s yet: %s", trip.name, error)  # noqa: TRY400
                await asyncio.sleep(RETRY)
            else:
                return


def demotion(state: State, name: str, serial: int | None, reason: str) -> list[Put]:
    """The record that puts a rule id or ``feed:NAME`` into shadow.

    Args:
        serial: of the stage that a rule ran away in; if a person has set another meanwhile, that stands.
    """
    feed = name.removeprefix("feed:")
    if feed != name:
        # Its content may be newer than what ran away; a person who promoted it in this very moment promotes it again.
        held = state.feeds.get(feed)
        if held is None or held.value.stage == "shadow":
            return []
        return [Put(LISTS.name, f"brake/{feed}", BrakeRecord(reason[:500]))]
    found = [
        (key, held)
        for key, held in state.stages.items()
        if key[0] == name and held.change.serial == serial and held.value.stage != "shadow"
    ]
    keys = [stage_key(rule, version).removeprefix("stage/") for (rule, version), _ in found]
    return [Put(RULES.name, f"brake/{key}", BrakeRecord(reason[:500])) for key in keys]
