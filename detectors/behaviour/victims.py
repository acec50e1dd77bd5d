"""The victim's side: who was contacted by risky callers of late, so that a warning can be sent in time."""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

from detectors.behaviour.novelty import DAY_MS
from detectors.model.decision import Evidence
from detectors.model.numbers import Canonical

CONTACTED, CALLS_BACK = "VICTIM_CONTACTED", "VICTIM_CALLS_BACK"
CODES = frozenset({CONTACTED, CALLS_BACK})
CONTACTS = 2  #: different risky callers within a day that make a victim to be warned
_KEPT = 8  # newest contacts of one callee


class VictimWatch:
    """Remembers risky contacts by callee, for a day of event time, in two generations of bounded size."""

    def __init__(self, span_ms: int = DAY_MS, max_callees: int = 200_000) -> None:
        self._span, self._max = span_ms, max_callees
        self._young: dict[Canonical, tuple[tuple[int, int], ...]] = {}
        self._old: dict[Canonical, tuple[tuple[int, int], ...]] = {}
        self._turned = 0
        self.watching = False  #: whether anything was ever noted

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def note(self, callee: Canonical, caller: Canonical, time: int) -> None:
        """An event of ``caller`` to ``callee`` was found risky."""
        if not callee or not caller:
            return
        if len(self._young) >= self._max or time - self._turned >= self._span:
            self._young, self._old, self._turned = {}, self._young, max(time, self._turned)
        self.watching = True
        hashed = crc32(caller.encode())
        others = tuple(each for each in self._contacts(callee) if each[0] != hashed)
        self._old.pop(callee, None)
        self._young[callee] = ((hashed, time), *others)[:_KEPT]

    def contacted(self, number: Canonical) -> bool:
        """Whether a risky caller may have contacted this number. If not, ``signs`` has none where nothing else is
        suspicious.
        """
        return number in self._young or number in self._old

    def signs(self, a: Canonical, b: Canonical, time: int, *, suspicious: bool) -> Iterator[Evidence]:
        """What an event from ``a`` to ``b`` means for a victim. ``suspicious``: other signs speak against it."""
        if b and self.contacted(a) and self.was_contacted_by(a, b, time):
            yield Evidence(CALLS_BACK, CALLS_BACK, "1")
        if suspicious and self.contacted(b) and (n := self.risky_callers(b, time)) >= CONTACTS:
            yield Evidence(CONTACTED, CONTACTED, "1", detail=f"risky_callers={n}")

    def risky_callers(self, callee: Canonical, time: int) -> int:
        """Different risky callers that contacted this number in the day up to ``time``."""
        return sum(0 <= time - at < self._span for _, at in self._contacts(callee))

    def was_contacted_by(self, number: Canonical, other: Canonical, time: int) -> bool:
        """Whether ``other`` was a risky caller of this number in the day up to ``time``."""
        hashed = crc32(other.encode())
        return any(each == hashed and 0 <= time - at < self._span for each, at in self._contacts(number))

    def _contacts(self, callee: Canonical) -> tuple[tuple[int, int], ...]:
        return self._young.get(callee) or self._old.get(callee, ())
