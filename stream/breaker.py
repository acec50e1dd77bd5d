"""A circuit breaker for each detector: what fails all the time is left alone for a while, and then tried again.

    on ── 20 batches in a row on all of whose events it raised ──►  off ── 30 s ──►  one batch tried ── well ──► on
       └─ 5 batches in a row for which it took too long ─────────►      ◄── as badly as before ──┘

One event that comes through ends the row: somebody who has found a message on which a detector raises can send it as
often as he likes among the traffic of others, and only that message goes without the detector's signs.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from detectors.registry import NAMES
from stream.clock import Clock
from stream.metrics import Metrics

log = logging.getLogger(__name__)

#: Batches in a row on all of whose events a detector raised.
RAISED_IN_A_ROW: Final = 20
#: Batches in a row that took a detector too long: fewer, as each holds up all that wait behind it.
SLOW_IN_A_ROW: Final = 5
#: Seconds. All detectors together take 6 us an event: one that takes this long for a batch stands out a hundred times.
SLOW_BATCH: Final = 0.050
SLOW_EVENT: Final = 0.001
#: Seconds until one batch is tried.
OFF_SECONDS: Final = 30.0
RAISED: Final = "raised"
SLOW: Final = "slow"


@dataclass(slots=True)
class _Breaker:
    began: float = 0.0  #: clock.monotonic() of the batch that it looks at
    raised: int = 0  #: batches in a row
    slow: int = 0
    off_until: float | None = None  #: None: it is on


class Breakers:
    """Those of one engine: its ``Guard``."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._now, self._metrics = clock.monotonic, metrics
        self._breakers = {name: _Breaker() for name in NAMES}
        for name in NAMES:
            metrics.detector_off.labels(name).set(0)

    def lets(self, name: str) -> bool:
        """Whether this detector is to look at the next batch; if so it begins now."""
        breaker, now = self._breakers[name], self._now()
        if breaker.off_until is not None and now < breaker.off_until:
            return False
        breaker.began = now
        return True

    def went_well(self, name: str, events: int) -> None:
        """It has looked at a batch of so many events, maybe too slowly."""
        breaker = self._breakers[name]
        seconds = self._now() - breaker.began
        breaker.raised = 0
        if seconds <= SLOW_BATCH or seconds <= SLOW_EVENT * events:
            breaker.slow = 0
            self._on(name, breaker)
            return
        breaker.slow += 1
        self._metrics.detector_failures.labels(name, SLOW).inc()
        if breaker.slow >= SLOW_IN_A_ROW or breaker.off_until is not None:
            self._off(name, breaker, f"took {seconds * 1000:,.0f} ms for {events:,} events")

    def raised(self, name: str, error: Exception, *, came_through: bool) -> None:
        """It raised on a batch. ``came_through``: not on all of its events."""
        breaker = self._breakers.setdefault(name, _Breaker())
        self._metrics.detector_failures.labels(name, RAISED).inc()
        if came_through:
            breaker.raised = 0
            self._on(name, breaker)
            return
        breaker.raised += 1
        # Type and place only: the text of an unknown exception may quote a number or a message.
        said = f"raised {type(error).__name__} at {place(error)}"
        if breaker.raised == 1 and breaker.off_until is None:
            log.error("detector %s %s; decisions are made without it where it raises", name, said)
        if (breaker.raised >= RAISED_IN_A_ROW or breaker.off_until is not None) and name in NAMES:
            self._off(name, breaker, said)

    def _on(self, name: str, breaker: _Breaker) -> None:
        if breaker.off_until is not None:
            breaker.off_until = None
            self._metrics.detector_off.labels(name).set(0)
            log.warning("detector %s is on again", name)

    def _off(self, name: str, breaker: _Breaker, why: str) -> None:
        first, breaker.off_until = breaker.off_until is None, self._now() + OFF_SECONDS
        if first:
            self._metrics.detector_off.labels(name).set(1)
            log.error("detector %s is off and is tried again every %g s: it %s", name, OFF_SECONDS, why)


def place(error: Exception) -> str:
    """Where an exception was raised, as ``module:line``."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}" if trace else "?"
