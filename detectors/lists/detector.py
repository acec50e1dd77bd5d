"""Signs from number lists."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from detectors.contract import Batch, NearMiss
from detectors.lists.entry import ListKind, Provenance
from detectors.lists.index import NumberIndex
from detectors.model.decision import Evidence

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
            found = self._index.find(a[i] if acting else b[i], events[i].time)
            if found is None:
                continue
            if acting and found.kind is not ListKind.PROTECTED:
                batch.add(i, self._evidence(_A_CODES[found.kind], found, found.weight))
            elif not acting and found.kind in _BLOCKED:
                batch.add(i, self._evidence(_CALLS_BACK, found, None))

        self._inspect_tokens(batch)

    def _inspect_tokens(self, batch: Batch) -> None:
        """What a message names: a link, a number to call, a messenger id, a card to pay to."""
        for i, tokens in batch.tokens:
            for token in tokens:
                for key in token.look_up():
                    found = self._index.find(key, batch.events[i].time)
                    if found is not None and found.kind in _AGAINST:
                        batch.add(i, Evidence(_NAMED, found.source, self._index.version, token.span, detail=token.kind))
                        break

    def near(self, batch: Batch) -> Iterator[NearMiss]:
        """Entries over the number that are not in force at the time of the event."""
        time = batch.events[0].time
        for match in self._index.explain(batch.a[0]):
            p = match.provenance
            code = _A_CODES.get(p.kind)
            if code and not p.in_force(time):
                day = datetime.fromtimestamp((p.added if time < p.added else p.expires or 0) / 1000, UTC).date()
                yield NearMiss(code, p.source, self._index.version, f"{'from' if time < p.added else 'until'} {day}")

    def _evidence(self, code: str, found: Provenance, weight: float | None) -> Evidence:
        return Evidence(code, found.source, self._index.version, weight=weight, detail=found.reason)
