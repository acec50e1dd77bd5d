"""Lists and rules as they were at each moment of a log: what the pipeline's topics say, on the files that are given.

A change counts from when the last of its records was on its topic, by the broker's clock; live workers had it in force
a fraction of a second later. The brake does not act in a replay: what it stopped is among the changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from detectors.engine import Engine, Snapshot
from detectors.keywords import Automaton
from detectors.model.errors import LanjieError, RuleError
from detectors.rollout import Rollout
from stream.replaying.decide import Decide
from stream.rule_files import read_pack
from stream.settings import Settings
from stream.updates import chain
from stream.updates.asof import history, state_at
from stream.updates.build import index_of, rollout_of
from stream.updates.chain import Link
from stream.updates.library import Library
from stream.updates.state import State

_FILES: Final = "files"
#: Versions that are held ready for events that come out of order.
KNOWN: Final = 8


class Timeline:
    """All versions of a pipeline's lists and rules.

    Args:
        links: the chain of changes.
        files: what is in force where no change says otherwise.
    """

    def __init__(self, settings: Settings, links: Sequence[Link], files: Snapshot) -> None:
        self._settings, self._files = settings, files
        self._base = files.lists.layers if len(files.lists) else ()  # as workers without list files have none
        self._links = [link for link in links if link.written.topic != chain.PROPOSALS]
        self._library = Library(settings)
        self._automata: dict[str, Automaton] = {_FILES: files.automaton}
        self.moments = _moments(self._links)

    @classmethod
    async def read(cls, settings: Settings, files: Snapshot) -> Timeline:
        """From the topics.

        Raises:
            HistoryError: the chain is broken.
            TailError, TopicsError: it cannot be read.
        """
        return cls(settings, await history(settings), files)

    async def at(self, moment: int) -> Snapshot:
        """In force at a moment, ms UTC.

        Raises:
            LanjieError: its content cannot be had, or is of another build.
        """
        state = state_at(self._links, moment, self._settings)
        automaton = await self._automaton(state)
        index = await index_of(state, self._library, self._base)
        known = rollout_of(state, {rule.id: str(rule.version) for rule in automaton.pack.rules})
        stages = Rollout(known.rules, index.rollout.feeds, enforcement=known.enforcement)
        return Snapshot.of(automaton, index, self._files.model, stages)

    async def _automaton(self, state: State) -> Automaton:
        if state.pack is None:
            return self._automata[_FILES]
        content = state.pack.value.content
        if content.digest not in self._automata:
            self._automata[content.digest] = Automaton(read_pack(await self._library.pack(content)))
        return self._automata[content.digest]


class DecideAsItWas(Decide):
    """Decides each event by what was in force at its time."""

    def __init__(self, engine: Engine, timeline: Timeline, *, output: bool) -> None:
        super().__init__(engine, output=output)
        self._timeline = timeline
        self._known: dict[int | None, Snapshot] = {None: engine.snapshot}
        self.moments = timeline.moments

    def move(self, moment: int | None) -> None:
        """As ``Moves``.

        Raises:
            LanjieError: what was in force then cannot be had, or counts over windows of another length.
        """
        if moment not in self._known:
            if len(self._known) >= KNOWN:
                self._known.pop(next(iter(self._known.keys() - {None})))
            self._known[moment] = asyncio.run(self._timeline.at(moment or 0))
        if not self._engine.memories:  # nothing is counted yet: windows may be of any length
            self._engine.adopt({}, self._known[moment])
            return
        try:
            self._engine.swap(self._known[moment])
        except RuleError as error:
            raise LanjieError(f"rules in force from {moment} ms UTC on: {error}") from None


def _moments(links: Sequence[Link]) -> list[int]:
    """When each change was complete, ascending."""
    last: dict[int, int] = {}
    for link in links:
        serial = link.written.change.serial
        last[serial] = max(link.timestamp, last.get(serial, 0))
    return sorted(set(last.values()))
