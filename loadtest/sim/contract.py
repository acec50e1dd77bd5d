"""What a population offers to those who act in it, and what they hand back.

A generator yields drafts in any order. Their ids are its own (unique within it); ``simulate.py`` gives every event
another one before anybody sees it, so that nothing about the truth is inside an event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.random import Generator

from detectors.model.events import Event
from loadtest.truth import Label


@dataclass(frozen=True, slots=True)
class Card:
    """A SIM card that somebody acts with. ``number``: E.164 with its plus."""

    number: str
    identity_hash: str = ""
    agent_id: str = ""
    channel: str = ""
    sold: int = 0  #: ms UTC


class Draft(NamedTuple):
    """An event, what it is, and who is behind it.

    Attributes:
        event: its ``id`` is the generator's own.
        operation: name of the fraud operation (``police-2``); "" for benign traffic.
        victim: whether the other side is somebody whom the operation tries to cheat.
    """

    event: Event
    label: Label
    operation: str = ""
    victim: bool = False


class World(Protocol):
    """The population, as those who act in it see it. All choices come from the generator that is handed in, so the
    order in which others act changes nothing.
    """

    @property
    def start(self) -> int:
        """First millisecond, UTC."""

    @property
    def end(self) -> int:
        """The one after the last."""

    def people(self, rng: Generator, count: int, *, region: str | None = None) -> list[str]:
        """Numbers of ordinary subscribers, each once: victims, bystanders. ``region``: a province as `phone` has it."""

    def acquaintances(self, number: str) -> list[str]:
        """Numbers of those whom a subscriber knows."""

    def fresh_cards(self, rng: Generator, count: int, *, region: str | None = None) -> list[Card]:
        """Cards that nobody else has, sold shortly before use; each with an identity and an agent of its own."""

    def dormant_cards(self, rng: Generator, count: int) -> list[Card]:
        """Cards that have slept for months."""

    def moments(self, rng: Generator, count: int, *, since: int, until: int) -> np.ndarray:
        """Milliseconds UTC, sorted, spread as human activity is over the day and week (int64)."""

    def answers(self, rng: Generator, count: int) -> np.ndarray:
        """Whether each of so many calls from a stranger is answered (bool)."""


class Operation(Protocol):
    """A fraud operation."""

    def drafts(self, world: World, rng: Generator) -> Iterator[Draft]:
        """All that it does."""
