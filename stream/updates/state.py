"""What the two topics say by now: a pure function of their records, the same for every worker and for every moment.

A record is taken only if it is newer than the one it replaces, so that nobody brings an old one, once rightly signed,
back. The brake writes records of its own, which can do no more than put into shadow what has a cap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Generic, NamedTuple, TypeVar, cast

import msgspec

from stream.topics import LISTS, RULES
from stream.updates.records import (
    ANY_VERSION,
    BRAKE,
    LISTS_KINDS,
    RULES_KINDS,
    AppealsRecord,
    Change,
    CheckRecord,
    EntryRecord,
    FeedRecord,
    PackRecord,
    RecordError,
    StageRecord,
    SwitchRecord,
    Value,
    Written,
    check_key,
    decode,
    entry_key,
)

_KINDS: Final = {LISTS.name: LISTS_KINDS, RULES.name: RULES_KINDS}
V = TypeVar("V", bound=Value)
S = TypeVar("S", FeedRecord, StageRecord)
Verify = Callable[[Written], None]  #: raises RecordError for what must not be believed


class Held(NamedTuple, Generic[V]):
    """A value and the change that set it."""

    value: V
    change: Change


class State:
    """Lists and rules as of some moment. ``apply`` is the only way in.

    Args:
        verify: asked about every record before it is taken.
    """

    def __init__(self, verify: Verify | None = None) -> None:
        self._verify = verify
        self._held: dict[str, dict[str, tuple[Written, Value]]] = {k: {} for kinds in _KINDS.values() for k in kinds}
        self._taken_back: dict[str, int] = {}  # key -> time of the change
        self._staged_since: dict[str, int] = {}  # feed -> serial of the change that set its stage
        self.serial = 0  #: of the newest change seen

    def apply(self, written: Written) -> None:
        """Take a record.

        Raises:
            RecordError: it cannot be used; nothing has changed.
        """
        check_key(written.key)
        kind, _, name = written.key.partition("/")
        if kind not in _KINDS.get(written.topic, {}):
            raise RecordError("unknown_key", "key: of another topic")
        value = None if written.value is None else decode(written.key, written.value)
        if isinstance(value, EntryRecord) and written.key != entry_key(value):
            raise RecordError("invalid_field", "key: not that of the entry in its value; expected entry/LIST/NUMBER")
        if self._verify:
            self._verify(written)
        if written.change.time < self.changed(written.key):
            raise RecordError("outdated", "header change: $.time: older than the change that it would replace")
        if (written.change.author == BRAKE) != (kind == "brake"):
            raise RecordError("untrusted", f"key: {BRAKE} may write under brake/, and nobody else there")
        if isinstance(value, FeedRecord) and not ((now := self.feeds.get(name)) and _same_stage(now.value, value)):
            self._staged_since[name] = written.change.serial
        if value is None:
            self._held[kind].pop(name, None)
            self._taken_back[written.key] = written.change.time
        else:
            self._held[kind][name] = written, value
        self.serial = max(self.serial, written.change.serial)

    def changed(self, key: str) -> int:
        """When the record of this key was last changed, ms UTC; -1: never."""
        kind, _, name = key.partition("/")
        before = self._held.get(kind, {}).get(name)
        return before[0].change.time if before else self._taken_back.get(key, -1)

    def records(self) -> Iterator[Written]:
        """Those that are in force: applied to an empty state they give this one, but for what was taken back."""
        for held in self._held.values():
            for written, _ in held.values():
                yield written

    @property
    def taken_back(self) -> dict[str, int]:
        """When keys were taken back, ms UTC."""
        return dict(self._taken_back)

    def restore(self, taken_back: dict[str, int]) -> None:
        """Remember what was taken back."""
        self._taken_back.update(taken_back)

    @property
    def feeds(self) -> dict[str, Held[FeedRecord]]:
        """By name, in the order of names; in shadow what ran away."""
        return {name: self._braked(name, held) for name, held in sorted(self._all("feed", FeedRecord).items())}

    def staged_since(self, feed: str) -> int:
        """The change that set the stage of a feed: new content does not lift what the brake did."""
        return self._staged_since.get(feed, 0)

    @property
    def checks(self) -> dict[str, Held[CheckRecord]]:
        """The last look at each feed's source."""
        return self._all("check", CheckRecord)

    @property
    def entries(self) -> dict[str, Held[EntryRecord]]:
        """What people entered, by ``LIST[@FEED]/PATTERN``."""
        return self._all("entry", EntryRecord)

    @property
    def pack(self) -> Held[PackRecord] | None:
        """The rule pack, once one was published."""
        return self._all("pack", PackRecord).get("")

    @property
    def stages(self) -> dict[tuple[str, str], Held[StageRecord]]:
        """By rule id and version ("" for any); in shadow what ran away."""
        found = {}
        for name, held in self._all("stage", StageRecord).items():
            rule, _, version = name.rpartition("/")
            found[rule, "" if version == ANY_VERSION else version] = self._braked(name, held)
        return found

    @property
    def appeals(self) -> dict[str, Held[AppealsRecord]]:
        """By rule id or ``feed:NAME``."""
        return self._all("appeals", AppealsRecord)

    @property
    def switch(self) -> Held[SwitchRecord] | None:
        """The kill switch, once somebody has used it."""
        return self._all("switch", SwitchRecord).get("enforcement")

    @property
    def enforcement(self) -> bool:
        """Whether anything acts."""
        return self.switch is None or self.switch.value.on

    def _braked(self, name: str, held: Held[S]) -> Held[S]:
        """In shadow, by the brake, if it has a cap and ran away since its record was written."""
        stopped = self._held["brake"].get(name)
        if stopped is None or held.value.cap is None or stopped[0].change.serial < held.change.serial:
            return held
        return Held(msgspec.structs.replace(held.value, stage="shadow", share=0.0), stopped[0].change)

    def _all(self, kind: str, _: type[V]) -> dict[str, Held[V]]:
        return {name: Held(cast(V, value), written.change) for name, (written, value) in self._held[kind].items()}


def _same_stage(before: Value, after: FeedRecord) -> bool:
    return isinstance(before, FeedRecord) and (before.stage, before.share, before.cap) == (
        after.stage,
        after.share,
        after.cap,
    )
