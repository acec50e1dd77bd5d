"""In the demo's second half a number is put on the block list: how soon is that in force?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from detectors.model.errors import LanjieError
from stream.clock import SystemClock
from stream.settings import Settings
from stream.topics import LISTS
from stream.updates.keys import Author
from stream.updates.publisher import Put, Store, make_change
from stream.updates.records import EntryRecord, entry_key
from stream.updates.state import State
from stream.updates.workers import wait_until_applied

log = logging.getLogger(__name__)

#: Of a region that is not in the plan: no log has it.
NUMBER: Final = "+8610000000001"
WITHIN: Final = 30.0  # seconds


async def list_a_number(settings: Settings) -> float | None:
    """Seconds from the wish to its being in force on the worker; None if it never was."""
    clock = SystemClock()
    value = EntryRecord(NUMBER, "block", reason="listed while the demo ran", source="demo")

    async def plan(_: State, __: Store) -> Sequence[Put]:
        return [Put(LISTS.name, entry_key(value), value)]

    started = clock.monotonic()
    try:
        receipt = await make_change(
            settings, Author("demo"), action="lists add", target="block", reason="demo", plan=plan, clock=clock
        )
        applied = await wait_until_applied(settings, receipt.serial, within=WITHIN)
    except LanjieError as error:
        log.warning("%s", error)
        return None
    return clock.monotonic() - started if applied.workers and not applied.missing else None
