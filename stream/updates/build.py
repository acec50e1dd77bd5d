"""State to what the engine needs: layers of number tables, and stages."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from detectors.lists import ListKind, NumberIndex
from detectors.lists.build import Builder, Removal, Removals
from detectors.lists.entry import Provenance
from detectors.lists.index import Layer
from detectors.lists.parse import entry_of
from detectors.lists.table import place
from detectors.model.errors import LanjieError
from detectors.rollout import Rollout, Stage
from stream.updates.aside import aside
from stream.updates.library import Library
from stream.updates.records import EntryRecord, FeedRecord, stage_of
from stream.updates.state import State

log = logging.getLogger(__name__)


Problems = list[str]


class Kept(NamedTuple):
    """A feed as it was last put in force."""

    layers: list[Layer]
    stage: Stage


async def index_of(
    state: State,
    library: Library,
    base: Sequence[Layer] = (),
    *,
    last: dict[str, Kept] | None = None,
    problems: Problems | None = None,
) -> NumberIndex:
    """The number lists: the files, on them the feeds in the order of their names, on top what people entered.

    Args:
        last: each feed as it was, kept up here; what stays in force, content and stage, if new content cannot be had.
        problems: takes what could not be had; without it that raises.

    Raises:
        ContentError, TailError: the content of a feed cannot be fetched.
        NumberListError: it is no table.
    """
    kept = {} if last is None else last
    stages = rollout_of(state).feeds
    for gone in kept.keys() - state.feeds.keys():
        del kept[gone]
    for name, held in state.feeds.items():
        try:
            kept[name] = Kept(await _feed(name, held.value, library), stages[name])
        except LanjieError as error:
            if problems is None:
                raise
            problems.append(f"feed {name}: {error}")
            if name in kept and stages[name].mode == "shadow" and held.value.live is None:
                kept[name] = Kept(kept[name].layers, stages[name])  # whatever its content, it is not to act
    layers = [*base, *(layer for name in state.feeds for layer in (kept[name].layers if name in kept else ()))]
    entries = [held.value for held in state.entries.values()]
    if entries or not layers:
        layers.append(await aside(manual_layer, entries))
    return NumberIndex(layers=layers, rollout=Rollout({}, {name: each.stage for name, each in kept.items()}))


async def _feed(name: str, feed: FeedRecord, library: Library) -> list[Layer]:
    layers = []
    if feed.live:
        layers.append(Layer(await library.table(feed.live), feed=name, serial=feed.live.serial))
    table = await library.table(feed.content)
    return [*layers, Layer(table, feed=name, serial=feed.content.serial, staged=feed.live is not None)]


def manual_layer(records: Iterable[EntryRecord]) -> Layer:
    """What people entered, as the topmost layer: their entries, and what they took off the feeds."""
    builder, removed = Builder(), Removals()
    for record in records:
        kind = ListKind[record.list.upper()]
        try:
            entry = entry_of(record.number, _provenance(record, kind))
        except ValueError as error:  # as State takes any text; the command that wrote it has checked
            log.warning("entry on the %s list: %s", record.list, error)
            continue
        if record.op == "suppress":
            removal = Removal(kind, feed=record.feed)
            removed[place(entry)] = (*removed.get(place(entry), ()), removal)
        else:
            builder.add(entry)
    return Layer(builder.build(), removed)


def _provenance(record: EntryRecord, kind: ListKind) -> Provenance:
    return Provenance(kind, record.source, record.reason, record.weight, record.added, record.expires)


def rollout_of(state: State, versions: Mapping[str, str] = MappingProxyType({})) -> Rollout:
    """The stages of feeds and rules, and whether anything acts.

    Args:
        versions: of the rules in the pack in force, by id. A stage that is about another version says nothing.
    """
    stages = state.stages
    rules = {}
    for rule in {rule for rule, _ in stages}:
        version = versions.get(rule, "")
        if (held := stages.get((rule, version))) is None:
            version, held = "", stages.get((rule, ""))
        if held is not None:
            rules[rule] = stage_of(held.value, held.change.serial, version)
    feeds = {name: stage_of(held.value, state.staged_since(name)) for name, held in state.feeds.items()}
    return Rollout(rules, feeds, enforcement=state.enforcement)
