"""Detectors that fail, and guards over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import detectors.engine
from detectors.contract import Batch, Detector
from detectors.registry import build_detectors


class FaultError(Exception):
    """What a detector that fails raises."""


class Faulty:
    """A detector that does its work and then raises on some batches: what it left must not count."""

    def __init__(self, detector: Detector, raises: Callable[[str, Batch], bool]) -> None:
        self.name, self.sees, self.counts = detector.name, detector.sees, detector.counts
        self.codes = detector.codes
        self._detector, self._raises = detector, raises

    def seen(self, batch: Batch) -> list[int]:
        return self._detector.seen(batch)

    def inspect(self, batch: Batch) -> None:
        self._detector.inspect(batch)
        if self._raises(self.name, batch):
            raise FaultError(self.name)


@contextmanager
def failing(raises: Callable[[str, Batch], bool]) -> Iterator[None]:
    """Every detector is one that fails where ``raises`` says so, given its name and what it looks at."""

    def build(*parts: object) -> tuple[Faulty, ...]:
        return tuple(Faulty(detector, raises) for detector in build_detectors(*parts))

    with patch.object(detectors.engine, "build_detectors", build):
        yield


class Open:
    """A guard that lets all look but those in ``off``, and keeps what it hears."""

    def __init__(self, off: frozenset[str] = frozenset()) -> None:
        self.off = off
        self.heard: list[tuple[str, bool]] = []  # name, whether some events came through

    def lets(self, name: str) -> bool:
        return name not in self.off

    def went_well(self, name: str, events: int) -> None:
        assert events > 0

    def raised(self, name: str, error: Exception, *, came_through: bool) -> None:
        assert isinstance(error, FaultError)
        self.heard.append((name, came_through))


class Time:
    """A clock that stands until it is moved. Both clocks are one."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return round(self.now * 1000)
