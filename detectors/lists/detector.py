"""Signs from number lists."""

from __future__ import annotations

from detectors.contract import Batch
from detectors.lists.entry import ListKind, Provenance
from detectors.lists.index import NumberIndex
from detectors.model.decision import Evidence

_A_CODES = {ListKind.GREY: "LIST_GREY", ListKind.BLOCK: "LIST_BLOCK", ListKind.ALLOW: "LIST_ALLOW"}
_CALLS_BACK = "LIST_BLOCK_CALLEE"


class NumberLists:
    """``LIST_BLOCK``, ``LIST_GREY``, ``LIST_ALLOW`` for the acting number, ``LIST_BLOCK_CALLEE`` where somebody
    calls or writes to a blocked number: a victim who calls back.
    """

    CODES = frozenset({*_A_CODES.values(), _CALLS_BACK})

    def __init__(self, index: NumberIndex) -> None:
        self._index = index

    def inspect(self, batch: Batch) -> None:
        find, version = self._index.find, self._index.version
        for i, (event, a, b) in enumerate(zip(batch.events, batch.a, batch.b, strict=True)):
            found = find(a, event.time)
            if found is not None and found.kind is not ListKind.PROTECTED:
                batch.add(i, _evidence(_A_CODES[found.kind], found, version, found.weight))
            if b and (found := find(b, event.time)) is not None and found.kind is ListKind.BLOCK:
                batch.add(i, _evidence(_CALLS_BACK, found, version, None))


def _evidence(code: str, found: Provenance, version: str, weight: float | None) -> Evidence:
    return Evidence(code, found.source, version, weight=weight, detail=found.reason)
