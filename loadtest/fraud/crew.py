"""Those who carry an operation out: their cards, what they do with them, and what their victims do.

A *line* acts: it calls or sends, once at a time. What is planned waits in the order of time; where the operation slows
down, a line that has done enough is put off. What the act does to the world is a handful of drafts, each with its
truth.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from numpy.random import Generator

from detectors.model.events import CardEvent, Event, SmsEvent
from loadtest.fraud import calls, texts
from loadtest.fraud.adapt import TEN_MINUTES_MS, Line, Roster, Throttle
from loadtest.fraud.calls import Course
from loadtest.fraud.evasion import rewrite
from loadtest.fraud.rates import rate
from loadtest.fraud.settings import Common
from loadtest.sim.contract import Card, Draft, World
from loadtest.truth import DAY_MS, Label

SOURCE: Final = "simulated"
#: People asked for at once, who are different people. The smallest world has no fewer.
ROUND: Final = 100
#: One call or message of a line, at its moment (ms UTC).
Act = Callable[[int, Line], Iterator[Draft]]


class Crew:
    """Of one operation.

    Args:
        name: of the operation; begins the ids of its events.
        pattern: name of the crime.
        label: fraud, or illegal.
        after_minutes: from the operation's start to the first call or message.
        minutes: for how long it is active from then on; None: until the world ends.
        cards: its first cards and those that replace them; by default fresh ones.
        channels: handsets that all its cards share, as in a box; 0: each card has some of its own.
        plmn: network in which its cards roam.
    """

    def __init__(
        self,
        name: str,
        pattern: str,
        settings: Common,
        world: World,
        rng: Generator,
        *,
        label: str = "fraud",
        after_minutes: float = 0.0,
        minutes: float | None = None,
        cards: Callable[[int], Sequence[Card]] | None = None,
        channels: int = 0,
        plmn: Callable[[], str] | None = None,
    ) -> None:
        self.name, self.pattern, self.settings, self.world, self.rng = name, pattern, settings, world, rng
        self.truth = Label(label, pattern, SOURCE)
        self.start = settings.begins(world.start) + int(after_minutes * 60_000)
        self.end = world.end if minutes is None else min(world.end, self.start + int(minutes * 60_000))
        self._cards = cards or (lambda count: world.fresh_cards(rng, count))
        self._box = self._handsets(channels) if channels else ()
        self._plmn: Callable[[], str | None] = plmn or (lambda: None)
        self._place = self.token()
        self.lines: list[Line] = []  #: all that it has ever had
        first = [self._line(card) for card in self._cards(settings.numbers)] if self.days > 0 else []
        self._roster = Roster(
            first,
            rng,
            fresh=self._replace if "rotate" in settings.ways else None,
            wears=settings.rotate_after,
        )
        slow = ((settings.ceiling_10min, TEN_MINUTES_MS), (settings.ceiling_day, DAY_MS))
        self._throttle = Throttle(*(slow if "slow_down" in settings.ways else ()))
        self._free: dict[str, int] = {}  # number -> end of its last call
        self._waiting: list[tuple[int, int, Act | None, Line | None]] = []  # a heap; no act: the line's turn
        self._queues: dict[str, deque[tuple[Act, Line]]] = defaultdict(deque)  # number -> what it is yet to do
        self._planned = self._made = 0

    @property
    def days(self) -> float:
        """For how long it is active."""
        return max(0, self.end - self.start) / DAY_MS

    def rate(self, name: str) -> float:
        """Of ``rates.py``, without the intensity."""
        return rate(self.pattern, name)

    def often(self, a_day: float) -> int:
        """How often its cards do in all what a card does ``a_day`` times a day: Poisson."""
        return int(self.rng.poisson(a_day * self.settings.intensity * self._roster.size * self.days))

    def salvo(self, name: str) -> int:
        """How many there are at once of what ``rates.py`` states for one time: Poisson."""
        return int(self.rng.poisson(self.rate(name) * self.settings.intensity))

    def moments(self, count: int) -> list[int]:
        """So many, as people live."""
        return [int(t) for t in self.world.moments(self.rng, count, since=self.start, until=self.end)] if count else []

    def evenly(self, count: int) -> list[int]:
        """So many, as machines work: at any time alike."""
        return sorted(int(t) for t in self.rng.integers(self.start, self.end, count)) if count else []

    def victims(self, count: int) -> list[str]:
        """So many. Whoever works through a list of numbers comes to some people again."""
        rounds = [min(ROUND, count - done) for done in range(0, count, ROUND)]
        return [number for size in rounds for number in self.world.people(self.rng, size)]

    def luck(self, share: float) -> bool:
        """Whether what happens in ``share`` of all cases happens now."""
        return bool(self.rng.random() < share)

    def takes(self) -> bool:
        """Whether a stranger's call is answered."""
        return bool(self.world.answers(self.rng, 1)[0])

    def plan(self, at: int, act: Act | None, line: Line | None = None) -> None:
        """Have a line act at that moment, or as soon after it as it may; with no act, do what is in its queue.

        Args:
            line: None: whose turn it then is.
        """
        heapq.heappush(self._waiting, (at, self._planned, act, line))
        self._planned += 1

    def run(self) -> Iterator[Draft]:
        """Do all that is planned, and what that entails."""
        while self._waiting:
            at, _, act, line = heapq.heappop(self._waiting)
            if at >= self.world.end:
                return
            line = line or self._roster.next()
            queue = self._queues[line.card.number]
            if act:
                queue.append((act, line))
            if act is None or len(queue) == 1:  # otherwise the line's turn is planned already
                yield from self._turn(at, line, queue)

    def _turn(self, at: int, line: Line, queue: deque[tuple[Act, Line]]) -> Iterator[Draft]:
        """Do the first thing in the queue if the line is free and may; plan its next turn while anything is left."""
        number = line.card.number
        if self._may(number) <= at:
            act, line = queue.popleft()
            self._throttle.acted(number, at)
            yield from act(at, line)
        if queue:
            self.plan(max(at, self._may(number)), None, line)

    def _may(self, number: str) -> int:
        """When it is free again and below its ceilings."""
        return max(self._free.get(number, 0), self._throttle.earliest(number))

    def call(
        self, at: int, line: Line, b: str, course: Course, *, shown: str | None = None, victim: bool = True
    ) -> Iterator[Draft]:
        """A call of a line. ``shown``: what the callee's phone shows, if that is not the line's number."""
        own = line.card.number
        self._free[own] = at + course.length_ms
        abroad = line.plmn is not None or shown is not None or not own.startswith("+86")
        common: dict[str, Any] = {
            "presented_cli": shown or own,
            "network_cli": own,
            "route": "international" if abroad else "national",
            "imei_hash": self._handset(line),
            "cell": None if abroad else line.cell,
            "visited_plmn": line.plmn,
        }
        return self._drafts(calls.legs(self._key(), at, own, b, course, **common), victim=victim)

    def text(
        self,
        at: int,
        line: Line,
        b: str,
        templates: Sequence[str],
        *,
        port: bool = False,
        cell: str | None = None,
        victim: bool = True,
    ) -> Iterator[Draft]:
        """A message of a line, rewritten where that is its way.

        Args:
            port: over a gateway for machines, or so that it looks like it: there is no handset.
            cell: where it is received, if not where the line is.
        """
        own = line.card.number
        text = texts.fill(texts.pick(templates, self.rng), self.rng, number=own, link=line.link, chat=line.chat)
        if "rewrite" in self.settings.ways:
            text = rewrite(text, self.rng, self.settings.rewrite_share)
        event = SmsEvent(
            id=self._key(),
            time=at,
            a_number=own,
            b_number=b,
            text=text,
            encoding="gsm7" if text.isascii() else "ucs2",
            route="port" if port else "international" if line.plmn else "p2p",
            imei_hash=None if port else self._handset(line),
            cell=cell or (None if port or line.plmn else line.cell),
            visited_plmn=line.plmn,
        )
        return self._drafts([event], victim=victim)

    def card(self, at: int, card: Card, phase: str, **fields: Any) -> Iterator[Draft]:
        """A step in the life of a card."""
        event = CardEvent(
            id=self._key(),
            time=at,
            a_number=card.number,
            phase=phase,  # type: ignore[arg-type]  # one of the literals; msgspec checks it on the way back
            identity_hash=card.identity_hash or None,
            agent_id=card.agent_id or None,
            channel=card.channel or None,
            **fields,
        )
        return self._drafts([event])

    def opened(self, card: Card) -> Iterator[Draft]:
        """It is sold, and activated minutes later."""
        yield from self.card(card.sold, card, "sold")
        yield from self.card(card.sold + int(self.rng.integers(60_000, 300_000)), card, "activated")

    def calls_back(self, at: int, victim: str, b: str, talk_s: float) -> Iterator[Draft]:
        """The victim calls: benign, whoever answers."""
        legs = calls.legs(self._key(), at, victim, b, calls.answered(self.rng, talk_s))
        return self._drafts(legs, truth=Label("ham", "victim", SOURCE))

    def replies(self, at: int, victim: str, b: str) -> Iterator[Draft]:
        """The victim writes: benign."""
        text = texts.fill(texts.pick(texts.REPLIES, self.rng), self.rng)
        event = SmsEvent(id=self._key(), time=at, a_number=victim, b_number=b, text=text)
        return self._drafts([event], truth=Label("ham", "victim", SOURCE))

    def code(self, at: int, victim: str) -> Iterator[Draft]:
        """A service sends the victim a verification code: benign, whoever asked for it."""
        text = texts.fill(texts.pick(texts.CODES, self.rng), self.rng)
        event = SmsEvent(
            id=self._key(), time=at, a_number=port_number(self.rng), b_number=victim, text=text, route="port"
        )
        return self._drafts([event], truth=Label("ham", "code", SOURCE), victim=True)

    def _drafts(self, events: Iterable[Event], *, truth: Label | None = None, victim: bool = False) -> Iterator[Draft]:
        for event in events:
            if self.world.start <= event.time < self.world.end:
                yield Draft(event, truth or self.truth, self.name, victim)

    def _key(self) -> str:
        self._made += 1
        return f"{self.name}-{self._made:07d}"

    def token(self) -> str:
        """A made-up hash, of a handset or an agent or the like."""
        return self.rng.bytes(8).hex()

    def _handset(self, line: Line) -> str:
        return line.handsets[int(self.rng.integers(len(line.handsets)))]

    def _handsets(self, count: int) -> tuple[str, ...]:
        return tuple(self.token() for _ in range(count))

    def _line(self, card: Card, handsets: tuple[str, ...] = ()) -> Line:
        own = handsets or self._box or self._handsets(round(rate(self.pattern, "handsets")))
        line = Line(card, own, self._place, texts.link(self.rng), texts.chat(self.rng), self._plmn())
        self.lines.append(line)
        return line

    def _replace(self, worn: Line) -> Line:
        new = self._cards(1)
        return self._line(new[0], worn.handsets if self.settings.same_handset else ()) if new else worn


def port_number(rng: Generator) -> str:
    """A made-up number of a message gateway: 106 and eleven digits, as services have them."""
    return f"1069{rng.integers(10**10):010d}"
