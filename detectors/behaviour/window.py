"""What a caller did lately, packed into one integer of about 100 bytes.

    half windows      |----- before -----|----- now --|
    event time    ----+------------------+------------+-->       counts cover both: half to one whole window
                                         ^ half * n    ^ newest event

A Python int is cheaper than an object of counters: all that one event counts is added in one addition, and a million
callers are 0.2 GB, keys included. Fields (bits, from the lowest; small ones first, as they are read with every event):

    30 number of the half window     64 marks of the newest event     2 x 240 counters of "now" and "before"

Every counter has room for ``FULL`` events a half window; who does more is not counted further in that half.
"""

from __future__ import annotations

from math import log
from zlib import crc32

from detectors.model.events import CallEvent, CardEvent, Event, SmsEvent
from detectors.model.numbers import Canonical
from detectors.normalise.marks import BITS

FULL = 1_000  #: events of one caller that are counted in a half window
COUNTERS = (
    "events", "attempts", "answered", "ended", "talked", "short", "silent", "one_ring", "sequential", "sms",
    "voice_then_sms", "cell_changes", "region_changes", "imei_changes",
)  # fmt: skip
_HALF_BITS = 30  # until 2100 for windows of 10 seconds and more
# Marks: the last ten digits of the number called last, and hashes of the newest cell, network and device.
_CALLEE_BITS, _HASH_BITS = 34, 10
_CALLEE = _HALF_BITS
_PLACES = {
    name: _CALLEE + _CALLEE_BITS + i * _HASH_BITS for i, name in enumerate(("cell", "visited_plmn", "imei_hash"))
}
_LOW_BITS = _CALLEE + _CALLEE_BITS + 3 * _HASH_BITS
_BITS = 10  # 1,023 >= FULL
_RING_BITS, _TALK_BITS, _SKETCH_BITS = 16, 20, BITS
_MAX_RING_S, _MAX_TALK_S = 60, 600  # of one call: FULL of them fit into their fields
_RING = _LOW_BITS + len(COUNTERS) * _BITS
_TALK = _RING + _RING_BITS
_SKETCH = _TALK + _TALK_BITS
_SIZE = _SKETCH + _SKETCH_BITS - _LOW_BITS  # of one half window
_HALF = (1 << _HALF_BITS) - 1
_DIGITS = (1 << _CALLEE_BITS) - 1
_LOW = (1 << _LOW_BITS) - 1
_NOW = (1 << _SIZE) - 1
FIELD = (1 << _BITS) - 1
_COUNTERS = (1 << len(COUNTERS) * _BITS) - 1
COUNTER_AT = {name: i * _BITS for i, name in enumerate(COUNTERS)}  #: of each counter in ``View.halves``; ``FIELD`` wide
_HEAD = (1 << _LOW_BITS + _BITS) - 1  # up to the first counter, that of all events
_NO_BEFORE = (1 << _SIZE + _LOW_BITS) - 1  # all that is less has nothing in the half window before
_SKETCH_MASK = (1 << _SKETCH_BITS) - 1
_AT = {name: _LOW_BITS + i * _BITS for i, name in enumerate(COUNTERS)}
_ONE = {name: 1 << at for name, at in _AT.items()}
_EVENTS = _AT["events"]
_EVENT, _ATTEMPT, _ANSWERED, _SMS = _ONE["events"], _ONE["attempts"], _ONE["answered"], _ONE["sms"]
_SEQUENTIAL, _VOICE_THEN_SMS = _ONE["sequential"], _ONE["voice_then_sms"]
_CONTACT = [1 << _SKETCH + half + i for half in (0, _SIZE) for i in range(_SKETCH_BITS)]
_CELL, _PLMN, _IMEI = (  # where the mark is, and what counts its changes
    (_PLACES[mark], _ONE[counter])
    for mark, counter in (
        ("cell", "cell_changes"),
        ("visited_plmn", "region_changes"),
        ("imei_hash", "imei_changes"),
    )
)

SHORT_MS = 10_000  #: a call that ends sooner after its answer was not what the callee hoped for
SILENT_MS = 2_000  #: 47 CFR 64.1200(a)(7): abandoned unless an agent is there within two seconds of the answer
ONE_RING_MS = 5_000  #: one cadence of the ringing tone in China: 1 s on, 4 s off (ITU-T E.180, annex)
STEP = 10  #: numbers this near to the one dialled before are dialled in sequence

_STEP_MS = 60_000  # a step of the watermark that needs no second look
_FAR_MS = 86_400_000  # further than this from the watermark, a clock has gone wrong or the log has a gap
_FAR_IN_A_ROW = 10  # so many in a row are a gap: the watermark follows


class View:
    """The counts of one caller over both half windows."""

    __slots__ = ("_now", "_packed")

    def __init__(self, packed: int) -> None:
        self._packed, self._now = packed, packed >> _SIZE

    def count(self, name: str) -> int:
        """One of ``COUNTERS``."""
        at = _AT[name]
        return (self._packed >> at & FIELD) + (self._now >> at & FIELD)

    @property
    def halves(self) -> tuple[int, int]:
        """All ``COUNTERS`` of both half windows, small enough to be taken apart fast: see ``COUNTER_AT``."""
        return self._packed >> _LOW_BITS & _COUNTERS, self._now >> _LOW_BITS & _COUNTERS

    def ring_seconds(self) -> int:
        """Of ended calls, whole seconds of each."""
        return (self._packed >> _RING & (1 << _RING_BITS) - 1) + (self._now >> _RING & (1 << _RING_BITS) - 1)

    def talk_seconds(self) -> int:
        """Of ended calls, whole seconds of each, at most ten minutes of one."""
        return (self._packed >> _TALK & (1 << _TALK_BITS) - 1) + (self._now >> _TALK & (1 << _TALK_BITS) - 1)

    def unanswered_percent(self) -> int:
        """Of attempts; 0 where the feed shows neither answers nor ends of calls, and so nothing about them."""
        attempts, answers = self.count("attempts"), max(self.count("answered"), self.count("talked"))
        if not attempts or not (answers or self.count("ended")):
            return 0
        return 100 * max(0, attempts - answers) // attempts

    def short_percent(self) -> int:
        """Of calls that were talked on."""
        return 100 * self.count("short") // max(1, self.count("talked"))

    def silent_percent(self) -> int:
        """Of calls that were talked on."""
        return 100 * self.count("silent") // max(1, self.count("talked"))

    def contacts(self) -> int:
        """Distinct numbers called or written to: linear counting (Whang 1990) over 64 bits, which ends at 266."""
        sketch = (self._packed >> _SKETCH | self._now >> _SKETCH) & _SKETCH_MASK
        empty = _SKETCH_BITS - sketch.bit_count()
        return round(-_SKETCH_BITS * log(max(empty, 1) / _SKETCH_BITS))


class CallerWindows:
    """Counts of every active caller.

    Args:
        window_ms: length of the window; counts cover its newer half at least.
        max_callers: bound on callers held in each of two generations. A generation is dropped whole when it has been
            idle for a window of event time, or when the younger one is full.
    """

    def __init__(self, window_ms: int, max_callers: int = 1_000_000) -> None:
        self._half_ms = max(1, window_ms // 2)
        self._max = max_callers
        self._young: dict[Canonical, int] = {}
        self._old: dict[Canonical, int] = {}
        self._watermark = 0
        self._rotated_at = 0
        self._look_again = 0  # time from which the watermark needs a second look
        self._far_in_a_row = 0
        self.late = 0  #: events older than their caller's window: named, not counted
        self.far = 0  #: events more than a day from the watermark: named, not counted
        self.dropped_early = 0  #: generations dropped because of ``max_callers``

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def view(self, caller: Canonical) -> View:
        """What is known of a caller; zeros if nothing is."""
        return View(self._young.get(caller) or self._old.get(caller, 0))

    def count(self, caller: Canonical, number: int, bit: int, event: Event) -> int:  # noqa: C901, PLR0912 - hot
        """Count one event of a caller.

        Args:
            caller: canonical.
            number, bit: of the callee, as ``marks`` gives them.
            event: of any kind.

        Returns:
            Events of the caller in both half windows; 0 if this one was late or far. Negative if the caller's
            cell, network or device changed with it. One too many for its half is not counted in them.
        """
        time = event.time
        if self._watermark <= time < self._look_again:
            self._watermark = time
        elif not self._advance(time):
            self.far += 1
            return 0
        half = time // self._half_ms
        packed = self._young.get(caller)
        if packed is None:
            packed = self._enter(caller, half)
        shift = 0
        head = packed & _HEAD  # the marks and the number of events: small, so cheap to take apart
        ahead = half - (head & _HALF)
        if ahead > 0:
            kept = (packed >> _LOW_BITS & _NOW) << _SIZE + _LOW_BITS if ahead == 1 else 0
            head = (head & _LOW) + ahead
            packed = head + kept
        elif ahead:
            packed, shift = self._back(packed, half)
            if shift < 0:
                self.late += 1
                return 0
            head = packed & _HEAD
        if (packed >> shift + _EVENTS & FIELD if shift else head >> _EVENTS) == FULL:
            self._young[caller] = packed
            return _events(packed)
        low = changed = 0
        add = _EVENT
        kind = type(event)
        if kind is CallEvent:
            phase = event.phase  # type: ignore[union-attr]
            if phase == "attempt":
                add = _EVENT + _ATTEMPT
                if bit >= 0 and not shift:
                    apart = number - (head >> _CALLEE & _DIGITS)
                    if -STEP <= apart <= STEP and apart:
                        add += _SEQUENTIAL
                    low = apart << _CALLEE
            else:
                add += _ended(event) if phase == "ended" else _ANSWERED  # type: ignore[arg-type]
        elif kind is SmsEvent:
            add = _EVENT + _SMS
            if bit >= 0 and not shift and number == head >> _CALLEE & _DIGITS:
                add += _VOICE_THEN_SMS
        if not shift and (event.imei_hash or event.visited_plmn or (kind is not CardEvent and event.cell)):  # type: ignore[union-attr]
            marks, changed = _places(head, event)
            low += marks
            add += changed
        if bit >= 0:
            packed |= _CONTACT[_SKETCH_BITS + bit if shift else bit]
        self._young[caller] = packed = packed + (add << shift if shift else low + add)
        # Mostly there is nothing before, and the events of "now" are known already.
        events = _events(packed) if shift or packed > _NO_BEFORE else (head >> _EVENTS) + 1
        return -events if changed else events

    def _back(self, packed: int, half: int) -> tuple[int, int]:
        """A caller's counts for an event of an earlier half window: ``(counts, shift of the half to count it in)``.
        A negative shift: it is late.
        """
        if half - (packed & _HALF) == -1:
            return packed, _SIZE
        if packed & _HALF <= self._watermark // self._half_ms:
            return packed, -1
        return half, 0  # counted by a clock that proved wrong: begin again

    def _enter(self, caller: Canonical, half: int) -> int:
        if len(self._young) >= self._max:
            self.dropped_early += 1
            self._rotate()
        return self._old.pop(caller, half)

    def _advance(self, time: int) -> bool:
        """Move the watermark. False: the time is far from it, as one bad clock must not empty the tables."""
        if not self._watermark:
            self._watermark = self._rotated_at = time
        if abs(time - self._watermark) > _FAR_MS:
            self._far_in_a_row += 1
            if self._far_in_a_row < _FAR_IN_A_ROW:
                return False
            self._watermark = time
            self._rotate()
        self._far_in_a_row = 0
        if time > self._watermark:
            self._watermark = time
            if time - self._rotated_at >= 2 * self._half_ms:
                self._rotate()
        self._look_again = min(self._watermark + _STEP_MS, self._rotated_at + 2 * self._half_ms)
        return True

    def _rotate(self) -> None:
        self._old, self._young = self._young, {}
        self._rotated_at = self._watermark


def _events(packed: int) -> int:
    return ((packed & _HEAD) >> _EVENTS) + (packed >> _SIZE + _EVENTS & FIELD)


def _ended(event: CallEvent) -> int:
    """What the end of a call adds. Without a talk time it was not answered; without a ring time it tells no more."""
    ring, talk = event.ring_ms, event.talk_ms or 0
    add = _ONE["ended"] + (min((ring or 0) // 1000, _MAX_RING_S) << _RING) + (min(talk // 1000, _MAX_TALK_S) << _TALK)
    if talk:
        add += _ONE["talked"] + (_ONE["short"] if talk < SHORT_MS else 0)
        add += _ONE["silent"] if talk <= SILENT_MS else 0
    elif ring is not None and ring <= ONE_RING_MS:
        add += _ONE["one_ring"]
    return add


def _places(packed: int, event: Event) -> tuple[int, int]:
    """What an event adds to the marks, and to the counters of what changed with it."""
    low = add = 0
    cell = None if type(event) is CardEvent else event.cell  # type: ignore[union-attr]
    for value, at, one in ((event.imei_hash, *_IMEI), (event.visited_plmn, *_PLMN), (cell, *_CELL)):
        if value is None:
            continue
        hashed, before = 1 + crc32(value.encode()) % FIELD, packed >> at & FIELD
        if before != hashed:
            low += hashed - before << at
            if before:
                add += one
    return low, add
