"""What a profile may say about an operation, read strictly: a key that nobody knows is a mistake, not a comment."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct

from detectors.model.errors import LanjieError
from detectors.model.numbers import mask

#: Characters. An event id is the name, a dash and a count, and must not exceed 64.
MAX_NAME: Final = 40
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1, le=10_000)]
Minutes = Annotated[float, Meta(ge=1, le=60 * 24 * 365)]
Factor = Annotated[float, Meta(gt=0, le=1000)]
Adaptation = Literal["none", "slow_down", "rotate", "rewrite"]

T = TypeVar("T", bound="Common")
_AT: Final = re.compile(r" - at `\$\.?([^`]*)`$")
_UNKNOWN: Final = re.compile(r"unknown field `([^`]*)`")


class OperationError(LanjieError):
    """Settings of an operation that cannot be used."""


class Common(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every operation can be told.

    Attributes:
        numbers: cards that it acts with at the same time.
        intensity: factor on the rates of ``rates.py``.
        adapt: how it evades: ``slow_down``, ``rotate``, ``rewrite``; ``none`` or nothing if it does not.
        start_after_minutes: from the start of the world to its own.
        ceiling_10min, ceiling_day: with ``slow_down``, calls and messages of one number in any 10 minutes, any 24
            hours: the most that it has learned, from the numbers that it lost, to be safe.
        rotate_after: with ``rotate``, openings until a number is thrown away.
        same_handset: with ``rotate``, whether the next card goes into the same handset or into a new one.
        rewrite_share: with ``rewrite``, share of the characters it has another way to write that it writes so.
    """

    numbers: Count = 4
    intensity: Factor = 1.0
    adapt: tuple[Adaptation, ...] | Literal["none"] = ()
    start_after_minutes: Annotated[float, Meta(ge=0, le=60 * 24 * 365)] = 0.0
    ceiling_10min: Count = 5
    ceiling_day: Count = 40
    rotate_after: Count = 15
    same_handset: bool = True
    rewrite_share: Annotated[float, Meta(gt=0, le=1)] = 0.3

    def begins(self, start: int) -> int:
        """When the operation does, in a world that begins at ``start``; ms UTC."""
        return start + int(self.start_after_minutes * 60_000)

    @property
    def ways(self) -> frozenset[str]:
        """Of evading, without ``none``."""
        given = (self.adapt,) if isinstance(self.adapt, str) else self.adapt
        return frozenset(given) - {"none"}


def read(name: str, table: dict[str, Any], kind: type[T], *, writes: bool = True) -> T:
    """The settings in the table ``$.operations.<name>``.

    Args:
        writes: whether the pattern sends text of its own, so that there is something to rewrite.

    Raises:
        OperationError: a key is unknown or its value cannot be used.
    """
    place = f"$.operations.{name}"
    if not 0 < len(name) <= MAX_NAME:
        raise OperationError(f"{place[:80]}: a name has 1 to {MAX_NAME} characters; choose another")
    try:
        settings = msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise _told(place, table, kind, str(error)) from None
    if "rewrite" in settings.ways and not writes:
        raise OperationError(f"{place}.adapt: this pattern sends no text to rewrite; take rewrite out")
    return settings


def _told(place: str, table: dict[str, Any], kind: type[Common], error: str) -> OperationError:
    if unknown := _UNKNOWN.search(error):
        known = ", ".join(sorted(kind.__struct_fields__))
        return OperationError(f"{place}.{unknown[1]}: unknown key; expected one of {known}")
    path = found[1] if (found := _AT.search(error)) else ""
    told = _AT.sub("", error)
    if path.startswith("adapt"):
        return OperationError(
            f"{place}.{path}: not a way to adapt; expected a list of {', '.join(get_args(Adaptation))}"
        )
    value = table.get(path)
    got = f", got {mask(str(value))}" if isinstance(value, (int, float, str)) else ""
    return OperationError(f"{place}.{path}: {told}{got}")
