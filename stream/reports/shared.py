"""What was shared between operators: entries on the block and grey lists by source, at both ends of a period.

From the chain of changes, so that it is told for any period; by the broker's clock. Counted is what a feed's newest
content holds, whatever its stage, and what people entered and did not take back.

    list_entries_before   source  list     entries when the period began
    list_entries          source  list     entries when it ended
    list_changes          action           changes of lists in between: one of a million numbers is one
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from detectors.lists import ListKind
from stream.reports.ledger import Figure
from stream.reports.period import Period
from stream.settings import Settings
from stream.topics import CHANGES, LISTS
from stream.topics_admin import list_topics
from stream.updates.asof import history, state_at
from stream.updates.chain import Link
from stream.updates.library import Library
from stream.updates.state import State

MANUAL: Final = "manual"  #: the source of what people entered
SHARED: Final = {"block": ListKind.BLOCK, "grey": ListKind.GREY}
_EVER: Final = 1 << 62


async def list_figures(settings: Settings, period: Period, folder: Path) -> list[Figure]:
    """All of them; none where nobody has ever changed a list.

    Args:
        folder: for the contents of feeds.

    Raises:
        TopicsError, TailError, HistoryError, ContentError: they cannot be read.
    """
    if not await list_topics(settings.kafka, [settings.named(CHANGES)]):
        return []
    links, library = await history(settings), Library(replace(settings, data_dir=folder))
    before = await _entries(state_at(links, (period.since or 0) - 1, settings), library, period.since or 0)
    until = _EVER if period.until is None else period.until
    after = await _entries(state_at(links, until - 1, settings), library, until)
    return [
        *(Figure("", "list_entries_before", *place, n) for place, n in sorted(before.items())),
        *(Figure("", "list_entries", *place, n) for place, n in sorted(after.items())),
        *(Figure("", "list_changes", action, "", n) for action, n in sorted(_changes(links, period).items())),
    ]


async def _entries(state: State, library: Library, at: int) -> Counter[tuple[str, str]]:
    """By source and list. Manual entries that have expired at that time, ms UTC, are left out."""
    found: Counter[tuple[str, str]] = Counter()
    for name, feed in state.feeds.items():
        sizes = (await library.table(feed.value.content)).sizes
        found.update({(name, each): sizes[kind] for each, kind in SHARED.items() if sizes[kind]})
    for entry in (held.value for held in state.entries.values()):
        expired = entry.expires is not None and entry.expires <= at < _EVER
        if entry.op == "add" and entry.list in SHARED and not expired:
            found[entry.feed or MANUAL, entry.list] += 1
    return found


def _changes(links: Iterable[Link], period: Period) -> Counter[str]:
    made = {
        each.written.change.serial: each.written.change.action
        for each in links
        if each.written.topic == LISTS.name and period.has(each.timestamp)
    }
    return Counter(made.values())
