"""Maker and checker: a change that waits on the chain until as many people as the trust file wants have signed it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, NamedTuple, Self

import msgspec
from aiokafka.structs import ConsumerRecord as Record
from msgspec import Meta, Struct

from stream.updates import chain
from stream.updates.records import Change, RecordError, Written


class _Proposed(Struct, frozen=True):
    """The value of a proposal: records as they will be written, each with its signatures so far."""

    records: Annotated[tuple[Written, ...], Meta(min_length=1)]


class _Settled(Struct, frozen=True):
    """The value of what ends one."""

    proposal: int
    how: str


class Proposal(NamedTuple):
    """What waits."""

    serial: int
    records: tuple[Written, ...]

    @property
    def signers(self) -> frozenset[str]:
        """Who has signed all of it."""
        return frozenset.intersection(*(frozenset(record.change.signatures) for record in self.records))

    def settled(self, author: str, serial: int, how: str) -> Written:
        """The record that ends it: ``how`` is approved or rejected."""
        change = self.records[0].change
        said = Change(serial, author, f"changes {how}", str(self.serial), "", change.time)
        return Written(chain.PROPOSALS, f"settled/{self.serial}", msgspec.json.encode(_Settled(self.serial, how)), said)

    @classmethod
    def find(cls, records: Iterable[Record], serial: int) -> Self | None:
        """The one with this number, if it waits."""
        return next((each for each in cls.waiting(records) if each.serial == serial), None)

    @classmethod
    def waiting(cls, records: Iterable[Record]) -> list[Self]:
        """All that wait, given the records of the chain, the oldest first."""
        found: dict[int, Self] = {}
        for record in records:
            try:
                written = chain.parse(record).written
            except RecordError:
                continue
            if written.topic != chain.PROPOSALS or written.value is None:
                continue
            try:
                if written.key.startswith("settled/"):
                    found.pop(msgspec.json.decode(written.value, type=_Settled).proposal, None)
                else:
                    inner = msgspec.json.decode(written.value, type=_Proposed).records
                    found[inner[0].change.serial] = cls(inner[0].change.serial, inner)
            except (msgspec.MsgspecError, UnicodeDecodeError):  # somebody else wrote it
                continue
        return list(found.values())


def proposed(records: Iterable[Written], serial: int) -> Written:
    """The record that makes others wait. ``serial``: of this record; the proposal keeps the one it began with."""
    inner = tuple(records)
    first = inner[0].change
    change = msgspec.structs.replace(first, serial=serial, signatures={})
    return Written(chain.PROPOSALS, f"proposed/{first.serial}", msgspec.json.encode(_Proposed(inner)), change)
