"""The texts of a batch, normalised together: 0.5 us a message where one by one costs 2.5.

    texts       免費 領!            加 Q Q
    raw         免費 領!\\n加 Q Q\\n               one array of code points
    folded      免费领\\nqq\\n...                  through one table: 0 is dropped, what becomes more than one character
                                               sends its text through ``normalise`` first
    haystack    the same in UTF-8 as latin-1   what the automaton reads, all messages in one go

No normalised text holds a line feed, so it parts them: no match crosses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detectors.normalise.extract import DOTS, LETTERS, NAMES, NUMERALS, RUN
from detectors.normalise.text import fold, normalise

_END = ord("\n")
_CODES = 0x110000
_UNKNOWN, _LONGER = 0xFFFFFFFF, 0xFFFFFFFE
_table = np.full(_CODES, _UNKNOWN, dtype=np.uint32)  # 4 MiB; fills itself on first sight of a character
_WRITTEN_DOT = " dot "
_DOT, _LETTER, _SPACE, _COLON, _SLASH = 1, 2, 4, 8, 16

Codes = NDArray[np.uint32]


def _flags(sets: dict[int, str]) -> NDArray[np.uint8]:
    table = np.zeros(_CODES, dtype=np.uint8)
    for bit, chars in sets.items():
        table[[ord(c) for c in chars]] |= bit
    return table


_NOTHING = np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint32)
_SIGNS = _flags({_DOT: DOTS, _LETTER: LETTERS, _SPACE: " ", _COLON: ":：", _SLASH: "/／"})
_IS_NUMERAL = _flags({1: NUMERALS})
_FIRST, _SECOND = 1, 2
_NAME_PARTS = _flags({_FIRST: "".join(name[0] for name in NAMES), _SECOND: "".join(name[1] for name in NAMES)})


class Texts:
    """Some messages in their matching form.

    Attributes:
        normalised: of each text, as ``normalise`` makes it.
        folded: all of them, a line feed after each.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        if not texts:
            self._raw, self._raw_ends, self._codes, self.folded, self.normalised = *_NOTHING, "", []
            return
        self._raw, self._raw_ends = _joined(texts)
        codes, longer = _folded(self._raw, self._raw_ends)
        if longer:
            # What normalise makes stays as it is, so the texts can go through the table again.
            texts = [normalise(text) if i in longer else text for i, text in enumerate(texts)]
            codes, _ = _folded(*_joined(texts))
        self._codes = codes[codes != 0]
        self.folded = self._codes.tobytes().decode("utf-32-le")
        self.normalised = self.folded.split("\n")[:-1]

    @cached_property
    def haystack(self) -> tuple[str, list[int]]:
        """All texts for the automaton, and where each ends in it."""
        data = self.folded.encode()
        return data.decode("latin-1"), np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == _END).tolist()

    def with_tokens(self) -> list[int]:
        """Which texts may hold a link, a number or an id: the cheap looks of ``extract``, at all at once."""
        if not self._texts:
            return []
        found = {*self._numbers(), *self._hosts(), *self._names()}
        return sorted(found)

    def _numbers(self) -> list[int]:
        counts = np.cumsum(_IS_NUMERAL[self._codes], dtype=np.int32)
        runs = np.flatnonzero(counts[RUN:] - counts[:-RUN] == RUN) + RUN
        if counts.size >= RUN and counts[RUN - 1] == RUN:
            runs = np.append(runs, RUN - 1)
        return self._owners(runs)

    def _hosts(self) -> list[int]:
        signs = _SIGNS[self._raw]
        dot, letter, space, colon, slash = (signs & bit != 0 for bit in (_DOT, _LETTER, _SPACE, _COLON, _SLASH))
        near = dot[:-2] & (letter[1:-1] | space[1:-1] & letter[2:]) | colon[:-2] & slash[1:-1]
        found: list[int] = np.unique(np.searchsorted(self._raw_ends, np.flatnonzero(near))).tolist()
        if _WRITTEN_DOT in "\n".join(self._texts):  # hardly ever
            found += [i for i, text in enumerate(self._texts) if _WRITTEN_DOT in text]
        return found

    def _names(self) -> list[int]:
        parts = _NAME_PARTS[self._codes]
        maybe = np.flatnonzero(parts[:-1] & _FIRST & (parts[1:] >> 1)).tolist()
        return self._owners(np.array([at for at in maybe if self.folded.startswith(NAMES, at)], dtype=np.int64))

    def _owners(self, positions: NDArray[np.int64]) -> list[int]:
        """The texts that hold these places of ``folded``."""
        owners: list[int] = np.unique(np.searchsorted(self._ends, positions)).tolist()
        return owners

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.flatnonzero(self._codes == _END)


def _joined(texts: Sequence[str]) -> tuple[Codes, NDArray[np.int64]]:
    """The code points of all texts, one more after each, and where these ends are."""
    ends = np.cumsum(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) + 1) - 1
    raw = ("\n".join(texts) + "\n").encode("utf-32-le", "surrogatepass")
    return np.frombuffer(raw, dtype=np.uint32), ends


def _folded(raw: Codes, ends: NDArray[np.int64]) -> tuple[Codes, set[int]]:
    """Through the table, ends as line feeds; and the texts that hold what becomes more than one character."""
    codes = _table[raw]
    if (unknown := np.unique(raw[codes == _UNKNOWN])).size:
        for code in unknown.tolist():
            char = fold(code)
            _table[code] = 0 if not char else ord(char) if len(char) == 1 else _LONGER
        codes = _table[raw]
    codes[ends] = _END
    longer = np.flatnonzero(codes == _LONGER)
    return codes, set(np.searchsorted(ends, longer).tolist())
