"""Lists and rules as of any moment, from the chain of changes: what compaction drops is all there."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from contextlib import suppress

from detectors.model.errors import LanjieError
from stream.settings import Settings
from stream.topics import CHANGES
from stream.topics_admin import ensure_topics
from stream.updates import chain
from stream.updates.chain import Link
from stream.updates.records import RecordError
from stream.updates.state import State, Verify
from stream.updates.trust import Trust

log = logging.getLogger(__name__)


class HistoryError(LanjieError):
    """The chain of changes does not hold."""


async def history(settings: Settings) -> list[Link]:
    """Every change ever made, in order, proposals included.

    Raises:
        HistoryError: the chain is broken.
        TailError: it cannot be read.
    """
    topic = settings.topic_prefix + CHANGES.name
    await ensure_topics(settings.kafka, [settings.named(CHANGES)], replication=settings.replication)
    found = []
    for each in chain.verify(await chain.read_all(settings.kafka, topic)):
        if not isinstance(each, Link):
            raise HistoryError(f"{topic} offset {each.offset}: {each.problem}; see `lanjie changes verify`")
        found.append(each)
    return found


def state_at(links: Iterable[Link], at: int, settings: Settings) -> State:
    """The state at a moment, ms UTC by the broker's clock."""
    trust = Trust.read(settings.trust) if settings.trust else None
    state = State(trust.verify if trust else None)
    for each in links:
        if each.timestamp > at:
            break
        if each.written.topic == chain.PROPOSALS:
            continue
        try:
            state.apply(each.written)
        except RecordError as error:
            log.warning("change %d: %s", each.written.change.serial, error)
    return state


async def heal(settings: Settings, state: State, keys: Collection[str], verify: Verify | None) -> None:
    """Where the newest record of a key cannot be used, compaction may have taken away the good one before it: it is on
    the chain.

    Raises:
        TailError: that cannot be read.
    """
    topic = settings.topic_prefix + CHANGES.name
    known = State(verify)
    for record in await chain.read_all(settings.kafka, topic) if keys else ():
        with suppress(RecordError):
            found = chain.parse(record).written
            if found.key in keys and found.topic != chain.PROPOSALS:
                known.apply(found)
    for written in known.records():
        if written.change.time > state.changed(written.key):
            state.apply(written)
