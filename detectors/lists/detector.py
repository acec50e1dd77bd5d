"""Signs from number lists."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from detectors.contract import Batch, Detector, NearMiss
from detectors.lists.entry import ListKind
from detectors.lists.index import NumberIndex
from detectors.lists.table import Match
from detectors.model.decision import Evidence
from detectors.normalise.extract import Token

_A_CODES = {
    ListKind.GREY: "LIST_GREY",
    ListKind.BLOCK: "LIST_BLOCK",
    ListKind.ALLOW: "LIST_ALLOW",
    ListKind.IMMUTABLE: "LIST_IMMUTABLE",
}
_CALLS_BACK = "LIST_BLOCK_CALLEE"
_NAMED = "LIST_IN_TEXT"
_BLOCKED = (ListKind.BLOCK, ListKind.IMMUTABLE)
_AGAINST = (*_BLOCKED, ListKind.GREY)
Views = tuple[Evidence | None, Evidence | None]


class NumberLists(Detector):
    """``LIST_BLOCK``, ``LIST_IMMUTABLE``, ``LIST_GREY``, ``LIST_ALLOW`` for the acting number, ``LIST_BLOCK_CALLEE``
    where somebody calls or writes to a blocked number (a victim who calls back), ``LIST_IN_TEXT`` where a message names
    a listed link, number, messenger id or card.
    """

    name = "lists"
    CODES = frozenset({*_A_CODES.values(), _CALLS_BACK, _NAMED})

    def __init__(self, index: NumberIndex) -> None:
        self._index = index

    def inspect(self, batch: Batch) -> None:
        a = len(batch.a)
        for at in self._index.touched(batch.a + batch.b, batch.keys):
            i, acting = (at, True) if at < a else (at - a, False)
            _leave(batch, i, *self._number(batch, i, acting=acting))
        for i, tokens in batch.tokens:
            for token in tokens:
                _leave(batch, i, *self._named(batch, i, token))

    def acting(self, batch: Batch, i: int) -> list[Evidence]:
        """What acts about one event."""
        found = [self._number(batch, i, acting=acting)[0] for acting in (True, False)]
        found += [self._named(batch, i, token)[0] for n, tokens in batch.tokens if n == i for token in tokens]
        return [evidence for evidence in found if evidence is not None]

    def _number(self, batch: Batch, i: int, *, acting: bool) -> Views:
        """The acting number, or the other one: as it counts now, and as it would if all was enforced."""
        a = batch.a[i]
        if not (number := a if acting else batch.b[i]):
            return None, None
        now, then = self._index.views(number, batch.events[i].time, a)
        evidence = self._evidence(now, acting=acting)
        return evidence, evidence if now == then else self._evidence(then, acting=acting)

    def _named(self, batch: Batch, i: int, token: Token) -> Views:
        """What a message names, a link, a number to call, a messenger id, a card to pay to: its first listed form."""
        found: list[Evidence | None] = [None, None]
        for key in token.look_up():
            for n, match in enumerate(self._index.views(key, batch.events[i].time, batch.a[i])):
                if found[n] is None and match is not None and match.provenance.kind in _AGAINST:
                    found[n] = self._from(match, _NAMED, span=token.span, detail=token.kind)
        return found[0], found[1]

    def near(self, batch: Batch) -> Iterator[NearMiss]:
        """Entries over the number that are not in force at the time of the event."""
        time = batch.events[0].time
        for match in self._index.explain(batch.a[0]):
            p = match.provenance
            code = _A_CODES.get(p.kind)
            if code and not p.in_force(time):
                day = datetime.fromtimestamp((p.added if time < p.added else p.expires or 0) / 1000, UTC).date()
                yield NearMiss(code, *self._source(match), f"{'from' if time < p.added else 'until'} {day}")

    def _evidence(self, match: Match | None, *, acting: bool) -> Evidence | None:
        """What an entry over the acting number says, or one over the other number."""
        if match is None:
            return None
        found = match.provenance
        if acting and found.kind is not ListKind.PROTECTED:
            return self._from(match, _A_CODES[found.kind], weight=found.weight, detail=found.reason)
        if not acting and found.kind in _BLOCKED:
            return self._from(match, _CALLS_BACK, detail=found.reason)
        return None

    def _from(self, match: Match, code: str, **more: Any) -> Evidence:
        """With who says so, and which version of it: a feed and its serial, or a source and that of all lists."""
        feed = "" if match.older else match.feed
        return Evidence(code, *self._source(match), feed=feed, **more)

    def _source(self, match: Match) -> tuple[str, str]:
        return (match.feed, match.serial) if match.feed else (match.provenance.source, self._index.version)


def _leave(batch: Batch, i: int, now: Evidence | None, then: Evidence | None) -> None:
    if now is not None:
        batch.add(i, now)
    if now != then:
        batch.hold(i, then, now)
