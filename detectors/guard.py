"""What keeps a detector that fails from taking events along: an event on which it raises lacks its signs, no more.

    raises    what counts goes on with the next event by itself (``Batch.failed``); any other is asked again by halves,
              which finds one event at fault in about three times the time
    is off    it is not asked; all events that it sees lack it

When a detector is off is decided outside, by who has a clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from detectors.contract import Batch, Detector, Failure


class Guard(Protocol):
    """Says which detectors look, and hears how it went. Learns no more of the events than how many there were."""

    def lets(self, name: str) -> bool:
        """Whether this detector is to look at the next batch; if it is, it begins now."""

    def went_well(self, name: str, events: int) -> None:
        """It has looked at a batch of so many events."""

    def raised(self, name: str, error: Exception, *, came_through: bool) -> None:
        """It raised on a batch. ``came_through``: not on all of its events."""


class Patience:
    """Lets all look always, and does not listen: for who decides again what was decided."""

    def lets(self, name: str) -> bool:  # noqa: ARG002 - a guard's
        """Always."""
        return True

    def went_well(self, name: str, events: int) -> None:
        """Nobody is told."""

    def raised(self, name: str, error: Exception, *, came_through: bool) -> None:
        """Nobody is told."""


def look(detectors: Iterable[Detector], batch: Batch, guard: Guard) -> None:
    """Let them look at a batch one after the other, as far as the guard lets them. Raises nothing that they raise."""
    kinds = batch.kinds
    for detector in detectors:
        if batch.lists_only or not detector.sees.isdisjoint(kinds):
            _ask(detector, batch, guard)


def _ask(detector: Detector, batch: Batch, guard: Guard) -> None:
    name = detector.name
    if not guard.lets(name):
        for i in detector.seen(batch):
            batch.lack(i, name)
        return
    failures = batch.failures = []
    raised: Exception | None = None
    try:
        detector.inspect(batch)
    except Exception as error:  # noqa: BLE001 - the guard hears of it
        raised = error
        failures = _unseen(detector, batch, error) if detector.counts else _by_halves(detector, batch, error)
    if raised is None and not failures:
        guard.went_well(name, len(batch.events))
        return
    failed, seen = {i for i, _ in failures}, detector.seen(batch)
    for i in failed.intersection(seen):
        batch.lack(i, name)
    guard.raised(name, raised or failures[0][1], came_through=not failed.issuperset(seen))


def _unseen(detector: Detector, batch: Batch, error: Exception) -> list[Failure]:
    """What counts must not look twice: the events about which it left nothing are taken for unseen."""
    codes = detector.codes
    left = {
        i for found in (batch.hits, batch.shadow) for i, some in found.items() if any(e.code in codes for e in some)
    }
    return [(i, error) for i in detector.seen(batch) if i not in left]


def _by_halves(detector: Detector, batch: Batch, error: Exception) -> list[Failure]:
    """It raised on ``batch``: what it finds in the halves is taken, and so on; it lacks what it raises on alone."""
    batch.drop(detector.codes)
    half, end = len(batch.events) // 2, len(batch.events)
    if not half:
        return [(0, error)]
    failures: list[Failure] = []
    for start, stop in ((0, half), (half, end)):
        part = batch.part(start, stop)
        try:
            detector.inspect(part)
        except Exception as again:  # noqa: BLE001 - told by the caller
            failures += [(start + i, each) for i, each in _by_halves(detector, part, again)]
        batch.take(part, start)
    return failures
