"""Whom to believe: a TOML file of the people who may change lists and rules, and of the feeds that are taken.

approvals = 1                   how many different people must sign a change; 2 is maker and checker
[people.zhang]
key = "ed25519:..."             base64 of the 32 public bytes; `lanjie keys make zhang` prints it
[feeds.operator-b]              see ``FeedTrust``
key = "ed25519:..."
source = "https://operator-b.example/lists/manifest.json"
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeVar, cast

import msgspec
from msgspec import Meta, Struct

from detectors.rollout import Cap, Mode
from detectors.rulepack import place
from stream.topics import LISTS, RULES
from stream.updates.feed_sources import may_fetch
from stream.updates.keys import Author, TrustError, fits, public_key
from stream.updates.records import (
    BRAKE,
    OFF,
    SWITCH,
    ListName,
    Name,
    RecordError,
    Written,
    decode,
    signed_bytes,
)

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_STAGE: Final = r"^(shadow|enforce|canary:(0?\.[0-9]*[1-9][0-9]*))\Z"

T = TypeVar("T")
Share = Annotated[float, Meta(ge=0, le=1)]


class Person(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may change lists and rules."""

    key: str


class FeedTrust(Struct, frozen=True, forbid_unknown_fields=True):
    """What is taken from the maker of a list feed. What goes beyond is refused whole.

    Attributes:
        key: its manifests are signed with.
        source: of its manifest: https, http on this machine, or an absolute path.
        kinds: lists that its entries may be on.
        max_entries: rows in it.
        max_shrink: share of the entries of the content in force that new content may have lost.
        max_growth: share by which it may have grown.
        max_refused: share of lines that may be unusable.
        stale_after: age of the content when somebody should look: a number and s, m, h or d.
        stage: of the feed when it is first imported: shadow, enforce, or ``canary:0.05`` with its share.
        cap_per_minute: see ``detectors.rollout.Cap``.
        cap_share: the same.
    """

    key: str
    source: str
    kinds: Annotated[tuple[ListName, ...], Meta(min_length=1)] = ("block", "grey")
    max_entries: Annotated[int, Meta(ge=1, le=100_000_000)] = 3_000_000
    max_shrink: Share = 0.2
    max_growth: Annotated[float, Meta(ge=0, le=1000)] = 1.0
    max_refused: Share = 0.01
    stale_after: Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,6}[smhd]\Z")] = "26h"
    stage: Annotated[str, Meta(pattern=_STAGE)] = "shadow"
    cap_per_minute: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    cap_share: Annotated[float, Meta(gt=0, le=1)] | None = None

    @property
    def stale_seconds(self) -> int:
        """``stale_after``."""
        return int(self.stale_after[:-1]) * _SECONDS[self.stale_after[-1]]

    @property
    def first_stage(self) -> tuple[Mode, float]:
        """``stage`` as mode and share."""
        mode, _, share = self.stage.partition(":")
        return cast(Mode, mode), float(share or 0)

    @property
    def cap(self) -> Cap | None:
        """Both caps, if there is one."""
        return Cap(self.cap_per_minute, self.cap_share) if self.cap_per_minute or self.cap_share else None


@dataclass(frozen=True, slots=True)
class Trust:
    """The trust file.

    Attributes:
        approvals: how many different people must have signed a change.
        people: by name. If there are none, nothing is verified: who changed what is only said, not proved.
        feeds: by name.
        where: the file, for messages.
    """

    approvals: int
    people: dict[str, Person]
    feeds: dict[str, FeedTrust]
    where: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """The file.

        Raises:
            TrustError: it cannot be read or used; where, and what was expected.
        """
        try:
            return cls.parse(path.read_text("utf-8"), str(path))
        except OSError as error:
            raise TrustError(f"{path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise TrustError(f"{path}: not UTF-8; expected TOML") from None

    @classmethod
    def parse(cls, toml: str, where: str) -> Self:
        """The text of the file; ``where`` is its name.

        Raises:
            TrustError: it cannot be used; where, and what was expected.
        """
        source = _Toml(toml, where)
        top = source.top()
        people = {name: source.item("people", name, value, Person) for name, value in top.people.items()}
        feeds = {name: source.item("feeds", name, value, FeedTrust) for name, value in top.feeds.items()}
        for group, name, field, problem in (*_people_problems(people), *_feed_problems(feeds)):
            raise source.error(group, name, field, problem)
        if top.approvals > max(1, len(people)):
            found = f"{top.approvals}; expected no more than there are people ({len(people)}), or nothing could change"
            raise TrustError(f"{place.of_error(where, toml, '`$.approvals`')}: $.approvals: {found}")
        return cls(top.approvals, people, feeds, where)

    def verify(self, written: Written) -> None:
        """Let a record pass that enough known people have signed, its author among them.

        The brake's records have no signature (``State`` lets it demote, no more), nor have looks at a feed's source:
        a machine that may only look has no key. To turn enforcement off its author's signature is enough.

        Raises:
            RecordError: ``untrusted``.
        """
        change = written.change
        if not self.people or is_look(written.topic, written.key) or change.author == BRAKE:
            return
        signers = self.signers(written)
        where = "header change: $.signatures"
        if change.author not in signers:
            raise RecordError("untrusted", f"{where}: none of its author's that fits; expected that of a known person")
        needed = 1 if is_emergency(written.topic, written.key, written.value) else self.approvals
        if len(signers) < needed:
            raise RecordError("untrusted", f"{where}: {len(signers)} fit; expected {needed} of known people")

    def signers(self, written: Written) -> frozenset[str]:
        """The known people whose signatures of a record fit."""
        said = signed_bytes(written.topic, written.key, written.value, written.change)
        return frozenset(
            name
            for name, signature in written.change.signatures.items()
            if name in self.people and fits(self.people[name].key, signature, said)
        )

    def may_sign(self, author: Author) -> None:
        """Let an author pass whose records ``verify`` would take.

        Raises:
            TrustError: it is not among the people, or its key is another or missing.
        """
        if not self.people:
            return
        if (person := self.people.get(author.name)) is None:
            names = ", ".join(self.people)
            raise TrustError(f"{self.where}: $.people: {author.name} is not among them ({names}); say who with --as")
        if author.public is None:
            raise TrustError(f"{self.where}: changes must be signed; name {author.name}'s key file with --key")
        if author.public != person.key:
            raise TrustError(f"{self.where}: $.people.{author.name}.key: the key file is not that of {author.name}")


def is_look(topic: str, key: str) -> bool:
    """Whether a record only says how a look at a feed's source ended: it needs no signature and no approval."""
    return topic == LISTS.name and key.startswith("check/")


def is_emergency(topic: str, key: str, value: bytes | None) -> bool:
    """Whether a record turns enforcement off: one person may do that alone. Turning it on is a change like others."""
    with suppress(RecordError):
        return (topic, key) == (RULES.name, SWITCH) and value is not None and decode(key, value) == OFF
    return False


Problem = tuple[str, str, str, str]  # group, name, field, what is wrong


def _people_problems(people: Mapping[str, Person]) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, person in people.items():
        if name == BRAKE:
            yield "people", name, "key", "that name is the brake's own; choose another"
        yield from _key_problem("people", name, person.key)
        if (other := owners.setdefault(person.key, name)) != name:
            yield "people", name, "key", f"is {other}'s; two people never share one, or one could approve alone"


def _feed_problems(feeds: Mapping[str, FeedTrust]) -> Iterator[Problem]:
    for name, feed in feeds.items():
        yield from _key_problem("feeds", name, feed.key)
        if not may_fetch(feed.source) and not Path(feed.source).is_absolute():
            expected = "https://HOST/..., http:// on this machine, or an absolute path; no user name in it"
            yield "feeds", name, "source", f"cannot be used; expected {expected}"


def _key_problem(group: str, name: str, key: str) -> Iterator[Problem]:
    try:
        public_key(key)
    except ValueError as error:
        yield group, name, "key", str(error)


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    approvals: Annotated[int, Meta(ge=1, le=16)] = 1
    people: dict[Name, dict[str, Any]] = {}
    feeds: dict[Name, dict[str, Any]] = {}


class _Toml:
    """The text, to say where in it something is. People and feeds are read one by one, as the reader names none."""

    def __init__(self, text: str, where: str) -> None:
        self._text, self._where = text, where

    def top(self) -> _File:
        try:
            return msgspec.toml.decode(self._text, type=_File)
        except msgspec.DecodeError as error:
            raise TrustError(f"{place.of_error(self._where, self._text, str(error))}: {error}") from None

    def item(self, group: str, name: str, value: dict[str, Any], kind: type[T]) -> T:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            problem, _, path = str(error).partition(" - at `$.")
            field = path.removesuffix("`")
            if unknown := re.search(r"(?:unknown|required) field `([^`]*)`", problem):
                field = unknown[1]
            raise self.error(group, name, field, problem) from None

    def error(self, group: str, name: str, field: str, problem: str) -> TrustError:
        return TrustError(f"{self._where}{self._line(group, name, field)}: $.{group}.{name}.{field}: {problem}")

    def _line(self, group: str, name: str, field: str) -> str:
        """``:12`` of the field, else of the head of its table; "" if it is written in another way."""
        lines = self._text.splitlines()
        head = re.compile(rf'\s*\[\s*{group}\s*\.\s*(["\']?){re.escape(name)}\1\s*\]')
        own = re.compile(rf"\s*{re.escape(field.partition('[')[0])}\s*=")
        at = next((n for n, line in enumerate(lines, 1) if head.match(line)), 0)
        end = next((n for n in range(at, len(lines)) if lines[n].lstrip().startswith("[")), len(lines))
        inside = next((n + 1 for n in range(at, end) if own.match(lines[n])), at)
        return f":{inside}" if at else ""
