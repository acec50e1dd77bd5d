"""What several crimes have in common: a call out of the blue, a message to many, and the work on who takes the bait."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from loadtest.fraud import calls
from loadtest.fraud.adapt import Line
from loadtest.fraud.crew import Act, Crew
from loadtest.sim.contract import Draft

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Bait:
    """How victims are worked on.

    Attributes:
        hooked: share of answered calls, or answered messages, after which somebody is.
        long_s: median of the calls that follow, seconds.
        texts: what is sent to them.
        rounds: long calls to one victim.
        shown: draws the number that an opening call shows; None: the line's own.
    """

    hooked: float
    long_s: float
    texts: Sequence[str]
    rounds: int = 1
    shown: Callable[[], str | None] = lambda: None


def openings(crew: Crew, a_day: float) -> Iterator[tuple[int, str]]:
    """When it turns to whom: ``a_day`` people a card and day, as people live."""
    count = crew.often(a_day)
    return zip(crew.moments(count), crew.victims(count), strict=True)


def cold_call(crew: Crew, b: str, bait: Bait) -> Act:
    """Call somebody who expects nothing. Taken and believed: work on them. Missed: some call back."""

    def act(at: int, line: Line) -> Iterator[Draft]:
        taken = crew.takes()
        course = calls.answered(crew.rng, crew.rate("talk")) if taken else calls.missed(crew.rng)
        shown = bait.shown()
        yield from crew.call(at, line, b, course, shown=shown)
        end = at + course.length_ms
        if taken and crew.luck(bait.hooked):
            work_on(crew, end, line, b, bait)
        elif not taken and shown is None and crew.luck(crew.rate("called_back")):
            yield from crew.calls_back(end + minutes(crew, 20), b, line.card.number, crew.rate("talk"))

    return act


def message(crew: Crew, b: str, openers: Sequence[str], bait: Bait | None = None, *, victim: bool = True) -> Act:
    """Write to somebody who expects nothing. Some reply, and of these some are worked on."""

    def act(at: int, line: Line) -> Iterator[Draft]:
        yield from crew.text(at, line, b, openers, victim=victim)
        if crew.luck(crew.rate("replied")):
            replied = at + minutes(crew, 30)
            yield from crew.replies(replied, b, line.card.number)
            if bait and crew.luck(bait.hooked):
                work_on(crew, replied, line, b, bait)

    return act


def work_on(crew: Crew, at: int, line: Line, b: str, bait: Bait) -> None:
    """A message with the link or account, then long calls, in which codes are asked for."""

    def send(at: int, line: Line) -> Iterator[Draft]:
        return crew.text(at, line, b, bait.texts)

    def talk(at: int, line: Line, rounds: int = bait.rounds) -> Iterator[Draft]:
        course = calls.answered(crew.rng, bait.long_s)
        yield from crew.call(at, line, b, course)
        for _ in range(crew.rng.poisson(crew.rate("codes"))):
            yield from crew.code(at + course.ring_ms + int(crew.rng.integers(course.talk_ms)), b)
        if rounds > 1:
            crew.plan(at + course.length_ms + minutes(crew, 60), partial(talk, rounds=rounds - 1), line)

    sent = at + minutes(crew, 2)
    crew.plan(sent, send, line)
    crew.plan(sent + minutes(crew, 15), talk, line)


def minutes(crew: Crew, mean: float) -> int:
    """A while, in milliseconds; ``mean``: minutes, exponential."""
    return 1_000 + int(crew.rng.exponential(mean * MINUTE_MS))
