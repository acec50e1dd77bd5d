"""Signs from number lists."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from detectors.contract import Batch, NearMiss
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


class NumberLists:
    """``LIST_BLOCK``, ``LIST_IMMUTABLE``, ``LIST_GREY``, ``LIST_ALLOW`` for the acting number, ``LIST_BLOCK_CALLEE``
    where somebody calls or writes to a blocked number (a victim who calls back), ``LIST_IN_TEXT`` where a message names
    a listed link, number, messenger id or card.
    """

    CODES = frozenset({*_A_CODES.values(), _CALLS_BACK, _NAMED})

    def __init__(self, index: NumberIndex) -> None:
        self._index = index

    def inspect(self, batch: Batch) -> None:
        events, a, b = batch.events, batch.a, batch.b
        for at in self._index.touched(a + b, batch.keys):
            i, acting = (at, True) if at < len(a) else (at - len(a), False)
            now, then = self._index.views(a[i] if acting else b[i], events[i].time, a[i])
            evidence = self._evidence(now, acting)
            if evidence is not None:
                batch.add(i, evidence)
            if now != then:
                batch.hold(i, self._evidence(then, acting), evidence)
        self._inspect_tokens(batch)

    def _inspect_tokens(self, batch: Batch) -> None:
        """What a message names: a link, a number to call, a messenger id, a card to pay to."""
        for i, tokens in batch.tokens:
            for token in tokens:
                now, then = self._named(batch, i, token)
                if now is not None:
                    batch.add(i, now)
                if now != then:
                    batch.hold(i, then, now)

    def _named(self, batch: Batch, i: int, token: Token) -> tuple[Evidence | None, Evidence | None]:
        """The first listed form of a token: as it counts now, and as it would if all was enforced."""
        found: list[Evidence | None] = [None, None]
        for key in token.look_up():
            for n, match in enumerate(self._index.views(key, batch.events[i].time, batch.a[i])):
                if found[n] is None and match is not None and match.provenance.kind in _AGAINST:
                    rule, version = self._from(match)
                    found[n] = Evidence(_NAMED, rule, version, token.span, detail=token.kind, feed=match.feed)
        return found[0], found[1]

    def near(self, batch: Batch) -> Iterator[NearMiss]:
        """Entries over the number that are not in force at the time of the event."""
        time = batch.events[0].time
        for match in self._index.explain(batch.a[0]):
            p = match.provenance
            code = _A_CODES.get(p.kind)
            if code and not p.in_force(time):
                day = datetime.fromtimestamp((p.added if time < p.added else p.expires or 0) / 1000, UTC).date()
                yield NearMiss(code, *self._from(match), f"{'from' if time < p.added else 'until'} {day}")

    def _evidence(self, match: Match | None, acting: bool) -> Evidence | None:
        """What an entry over the acting number says, or one over the other number."""
        if match is None:
            return None
        found, (rule, version) = match.provenance, self._from(match)
        if acting and found.kind is not ListKind.PROTECTED:
            code, weight = _A_CODES[found.kind], found.weight
        elif not acting and found.kind in _BLOCKED:
            code, weight = _CALLS_BACK, None
        else:
            return None
        return Evidence(code, rule, version, weight=weight, detail=found.reason, feed=match.feed)

    def _from(self, match: Match) -> tuple[str, str]:
        """Who says so, and which version of it: a feed and its serial, or a source and the version of all lists."""
        return (match.feed, match.serial) if match.feed else (match.provenance.source, self._index.version)
