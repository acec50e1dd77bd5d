"""The rule lock: no rule changes or disappears silently.

``rules.lock`` names for every rule its version and the digest of all the rest of it. Editing a rule without raising
its version, lowering a version, or dropping a rule without a date and a reason is refused: a decision names rule and
version, so that pair must mean one thing for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from detectors.model.errors import RuleError
from detectors.rulepack.pack import RulePack
from detectors.rulepack.schema import Data, Rule, Version

NAME = "rules.lock"
HEADER = "# Written by `lanjie rules lock`. A rule's id, its version and the SHA-256 of all the rest of it.\n"

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class Locked(Data, frozen=True):
    """One rule as it stands."""

    version: Version
    sha256: Digest


class Retired(Data, frozen=True):
    """One rule as it last stood, when it went and why."""

    version: Version
    sha256: Digest
    date: Day
    reason: Annotated[str, Meta(min_length=8)]


class Lock(Data, frozen=True):
    """The file."""

    rules: dict[str, Locked] = msgspec.field(default_factory=dict)
    retired: dict[str, Retired] = msgspec.field(default_factory=dict)


def digest(rule: Rule) -> str:
    """SHA-256 of everything in a rule but its version."""
    content = {name: value for name, value in msgspec.to_builtins(rule).items() if name != "version"}
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def read(data: bytes) -> Lock:
    """The lock file's content.

    Raises:
        RuleError: it is damaged.
    """
    try:
        return msgspec.toml.decode(data, type=Lock)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RuleError(f"{NAME}: {error}; restore it from version control, do not edit it by hand") from None


def problems(pack: RulePack, lock: Lock) -> list[str]:
    """What of the pack disagrees with the lock, each with place and remedy. Nothing: the lock holds."""
    return [text for _, text in _differences(pack, lock)]


def updated(pack: RulePack, lock: Lock, retire: Mapping[str, str], today: str) -> Lock:
    """The lock after the changes that are in order: new rules, raised versions, and the retirements asked for.

    Args:
        retire: rule id -> reason.
        today: ISO date of the retirements.

    Raises:
        RuleError: a change is not in order; the first one is named.
    """
    current = {rule.id: Locked(rule.version, digest(rule)) for rule in pack.rules}
    if unknown := sorted(retire.keys() - (lock.rules.keys() - current.keys())):
        raise RuleError(f"--retire {unknown[0]}: is still in the pack, or never was in {NAME}")
    try:
        gone = {
            name: msgspec.convert(msgspec.to_builtins(lock.rules[name]) | {"date": today, "reason": reason}, Retired)
            for name, reason in retire.items()
        }
    except msgspec.ValidationError as error:
        raise RuleError(f"--retire: {error}; say in a few words why the rule goes") from None
    kept = Lock(rules={name: locked for name, locked in lock.rules.items() if name not in gone}, retired=lock.retired)
    for in_order, text in _differences(pack, kept):
        if not in_order:
            raise RuleError(text)
    return Lock(rules=current, retired=lock.retired | gone)


def _differences(pack: RulePack, lock: Lock) -> Iterator[tuple[bool, str]]:
    """Each with whether entering it into the lock is in order."""
    for rule in pack.rules:
        at = f"{pack.places.get(rule.id, rule.id)}: $.rule[{rule.id}]"
        if rule.id in lock.retired:
            yield False, f"{at}: was retired on {lock.retired[rule.id].date}; give the new rule another id"
        elif (locked := lock.rules.get(rule.id)) is None:
            yield True, f"{at}: is not in {NAME}; run `lanjie rules lock`"
        elif rule.version < locked.version:
            yield False, f"{at}.version: {rule.version} is below {locked.version} in {NAME}; versions only rise"
        elif rule.version > locked.version:
            yield True, f"{at}.version: {rule.version}, but {NAME} has {locked.version}; run `lanjie rules lock`"
        elif digest(rule) != locked.sha256:
            yield False, f"{at}: changed, but is still version {rule.version}; raise it and run `lanjie rules lock`"
    for name in sorted(lock.rules.keys() - {rule.id for rule in pack.rules}):
        yield False, f"{NAME}: $.rules.{name}: the rule is gone; run `lanjie rules lock --retire {name}=REASON`"


def write(lock: Lock) -> bytes:
    """The file, sorted, one rule a line."""
    lines = [HEADER, "[rules]\n"]
    for name, locked in sorted(lock.rules.items()):
        lines.append(f'{name} = {{ version = {locked.version}, sha256 = "{locked.sha256}" }}\n')
    lines.append("\n[retired]\n")
    for name, old in sorted(lock.retired.items()):
        reason = msgspec.json.encode(old.reason).decode()  # a JSON string is a TOML basic string
        lines.append(
            f'{name} = {{ version = {old.version}, sha256 = "{old.sha256}", date = "{old.date}", reason = {reason} }}\n'
        )
    return "".join(lines).encode()
