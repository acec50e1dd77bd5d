"""The course of a call, and the leg events that it leaves: attempt, answered, ended.

A call that nobody takes leaves an attempt and an end with the time it rang and the reason. Reasons are ITU-T Q.850:
1 unallocated number, 16 normal clearing (also a caller who hangs up while it rings), 17 busy, 18 no user responding
(switched off), 19 no answer, 21 rejected.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from numpy.random import Generator

from detectors.model.events import CallEvent

UNALLOCATED, NORMAL, BUSY, NO_USER, NO_ANSWER, REJECTED = 1, 16, 17, 18, 19, 21
#: Why a stranger's call is not taken, and how often. Assumed.
_MISSED: Final = ((NO_ANSWER, 0.55), (REJECTED, 0.2), (BUSY, 0.1), (NO_USER, 0.15))
#: Of log talk time: half the answered calls last between 0.5 and 1.9 times the median.
SPREAD: Final = 0.95
MAX_TALK_S: Final = 4 * 3600.0


@dataclass(frozen=True, slots=True)
class Course:
    """How a call goes. Milliseconds."""

    answered: bool
    ring_ms: int
    talk_ms: int = 0
    cause: int = NORMAL

    @property
    def length_ms(self) -> int:
        """From attempt to end."""
        return self.ring_ms + self.talk_ms


def answered(rng: Generator, talk_s: float) -> Course:
    """Taken; ``talk_s``: median of the talk time, seconds, log-normal."""
    talk = min(MAX_TALK_S, math.exp(rng.normal(math.log(talk_s), SPREAD)))
    return Course(True, int(rng.integers(2_000, 15_000)), max(1_000, int(talk * 1000)))


def missed(rng: Generator) -> Course:
    """Not taken."""
    cause = _MISSED[int(rng.choice(len(_MISSED), p=[share for _, share in _MISSED]))][0]
    ring = {NO_ANSWER: (25_000, 60_000), REJECTED: (2_000, 15_000)}.get(cause, (0, 1_500))
    return Course(False, int(rng.integers(*ring)), cause=cause)


def one_ring(rng: Generator) -> Course:
    """The caller hangs up before anybody can take it."""
    return Course(False, int(rng.integers(600, 2_500)))


def unallocated() -> Course:
    """Nobody has the number."""
    return Course(False, 0, cause=UNALLOCATED)


def legs(key: str, at: int, a: str, b: str, course: Course, **common: Any) -> Iterator[CallEvent]:
    """The events of a call from ``a`` to ``b``; their ids begin with ``key``. ``common``: fields that all have."""
    yield CallEvent(id=f"{key}-attempt", time=at, a_number=a, b_number=b, **common)
    end = at + course.length_ms
    if not course.answered:
        yield CallEvent(
            id=f"{key}-ended",
            time=end,
            a_number=a,
            b_number=b,
            phase="ended",
            ring_ms=course.ring_ms,
            talk_ms=0,
            release_cause=course.cause,
            **common,
        )
        return
    taken = at + course.ring_ms
    yield CallEvent(
        id=f"{key}-answered", time=taken, a_number=a, b_number=b, phase="answered", ring_ms=course.ring_ms, **common
    )
    yield CallEvent(
        id=f"{key}-ended",
        time=end,
        a_number=a,
        b_number=b,
        phase="ended",
        talk_ms=course.talk_ms,
        release_cause=course.cause,
        **common,
    )
