"""Entries that would do harm: a pattern over half a country, the operator's own numbers, an emergency number.

Public feeds have all of these. What is refused is told with its line; the rest of the file is used.
"""

from __future__ import annotations

from collections.abc import Sequence

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from detectors.lists.entry import Entry, ListKind
from detectors.lists.protected import CORE
from detectors.lists.table import place
from detectors.model.numbers import mask
from detectors.normalise import key as k

MAX_SHARE = 0.001  #: of the numbers of a country: +86170* is just that, +8617* ten times as much
_AGAINST = (ListKind.GREY, ListKind.BLOCK, ListKind.IMMUTABLE)


def country_digits(number: str) -> int:
    """How many digits the country code of a canonical number has (ITU-T E.164 list); 0 for national codes."""
    if not number.startswith("+"):
        return 0
    return next((n for n in (1, 2, 3) if int(number[1 : 1 + n] or 0) in COUNTRY_CODE_TO_REGION_CODE), 0)


def share(entry: Entry) -> float:
    """The part of the numbering plan of its country that a prefix or range covers: a digit more, a tenth of it."""
    first, last = k.digits_of(entry.number), k.digits_of(entry.last)
    country = country_digits(entry.number)
    if entry.prefix:
        return float(10.0 ** -(len(first) - country))
    return (int(last) - int(first) + 1) / 10.0 ** (len(first) - country)


class Sieve:
    """Refuses entries.

    Args:
        max_share: of the numbering plan of a country, for one prefix or range.
        own: the operator's own numbers and prefixes, which no list it imports may hold against it.
    """

    def __init__(self, max_share: float = MAX_SHARE, own: Sequence[Entry] = ()) -> None:
        self._max_share = max_share
        self._own = [(_bounds(entry), entry.pattern) for entry in own]

    def check(self, entry: Entry) -> None:
        """Let it pass.

        Raises:
            ValueError: it must not be on a list; what and why.
        """
        covers = entry.prefix or entry.last
        if covers and (part := share(entry)) > self._max_share:
            raise ValueError(
                f"$.number: {entry.pattern!r} covers {part:.2%} of the numbering plan, more than the "
                f"{self._max_share:.2%} allowed; list narrower patterns, or raise --max-share"
            )
        if entry.provenance.kind not in _AGAINST:
            return
        if not covers and entry.number in CORE:
            raise ValueError(f"$.number: {entry.number} is an emergency or public service number; it is never blocked")
        if not self._own or not k.digits_of(entry.number):
            return
        low, high = _bounds(entry)
        for (own_low, own_high), pattern in self._own:
            if low < own_high and own_low < high:
                shown = entry.pattern if covers else mask(entry.number)
                raise ValueError(f"$.number: {shown} is in the operator's own range {pattern}; it lists itself")


def _bounds(entry: Entry) -> tuple[int, int]:
    at = place(entry)
    if isinstance(at, tuple):
        return at
    value = k.key(entry.number)
    return value, value + 1
