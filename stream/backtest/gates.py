"""What a change may do at most: the exit status of a back-test in CI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple


class Limits(NamedTuple):
    """None: no such limit.

    Attributes:
        new_blocks, released: subscribers, at most.
        precision: of what is acted on after the change, at least. Compared with it is the lower end of the 95 %
            interval: few labels prove little, so they do not pass.
    """

    new_blocks: int | None = None
    released: int | None = None
    precision: float | None = None


class Gate(NamedTuple):
    """A limit, and whether it holds."""

    name: str
    limit: float
    found: float | None
    passed: bool
    said: str


_SUBSCRIBERS: Final = {"max-new-blocks": "newly_blocked", "max-released": "released"}


def gates(figures: Mapping[str, Any], limits: Limits) -> list[Gate]:
    """All limits that were set."""
    found = []
    for (name, kind), limit in zip(_SUBSCRIBERS.items(), (limits.new_blocks, limits.released), strict=True):
        if limit is not None:
            count = figures["changed_subscribers"][kind]
            said = f"{count:,} subscribers {kind.replace('_', ' ')}; at most {limit:,}"
            found.append(Gate(name, limit, count, count <= limit, said))
    if limits.precision is not None:
        found.append(_precision(figures["labels"]["after"]["precision"], limits.precision))
    return found


def _precision(share: Mapping[str, Any] | None, limit: float) -> Gate:
    if share is None:
        said = f"no labelled event is acted on, so there is no precision; at least {limit:g}"
        return Gate("min-precision", limit, None, passed=False, said=said)
    said = (
        f"precision {share['value']:.4f} (95 %: {share['low']:.4f} to {share['high']:.4f}) over {share['of']:,} "
        f"labelled events acted on; the lower end at least {limit:g}"
    )
    return Gate("min-precision", limit, share["low"], share["low"] >= limit, said)
