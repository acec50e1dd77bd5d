"""The rule packs that were in force, and what to write so that one comes back as it was. Pure, as ``rule_plans``.

With the stages of its rules as they were at its end it decides as it did, bit by bit, but for what the brake stopped
since: that a pack comes back is no reason to arm what ran away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from detectors.rulepack import RulePack
from stream.topics import RULES
from stream.updates import chain
from stream.updates.chain import Link
from stream.updates.publisher import ChangeError, Put
from stream.updates.records import ANY_VERSION, PackRecord, RecordError, StageRecord
from stream.updates.rule_plans import Key, Stages, Step, cap_text, stage_put, value_of
from stream.updates.state import Held, State

OWN: Final = "own"  #: in place of a version: no published pack, but the workers' own


@dataclass(frozen=True)
class Period:
    """A time in which a pack was in force.

    Attributes:
        pack: None: the workers' own.
        stages: at its end.
        braked: rules that the brake put into shadow since, and nobody armed again.
    """

    pack: Held[PackRecord] | None
    stages: Stages
    braked: set[Key] = field(default_factory=set)

    @property
    def version(self) -> str:
        """Of the pack."""
        return self.pack.value.version if self.pack else OWN


def periods(links: Iterable[Link], state: State) -> list[Period]:
    """The times before that of the pack in force, the oldest first.

    Args:
        state: an empty one, which knows whom to trust.
    """
    found: list[Period] = []
    made = (each.written for each in links if each.written.topic != chain.PROPOSALS)
    for _, group in groupby(made, key=lambda written: written.change.serial):
        records = list(group)
        if any(written.key == "pack" for written in records):
            found.append(Period(state.pack, state.stages))
        for written in records:
            try:
                state.apply(written)
            except RecordError:
                continue
            if written.topic == RULES.name and written.key.startswith(("stage/", "brake/")):
                key = _key(written.key)
                value, by_brake = value_of(state.stages.get(key)), written.key.startswith("brake/")
                for each in found:
                    if by_brake:
                        each.braked.add(key)
                    elif value is None or value.stage != "shadow":
                        each.braked.discard(key)
    return found


def find_period(past: list[Period], state: State, version: str | None) -> Period:
    """The last time of another pack, or of the one with this version.

    Raises:
        ChangeError: there is none.
    """
    now = state.pack.value.content.digest if state.pack else None
    if version is not None and version == (state.pack.value.version if state.pack else OWN):
        raise ChangeError(f"--to {version}: is in force")
    others = [each for each in past if (each.pack.value.content.digest if each.pack else None) != now]
    found = [each for each in others if version in (None, each.version)]
    if not found:
        known = ", ".join(dict.fromkeys(each.version for each in others)) or "none"
        wanted = f"--to {version}" if version else "rollback"
        raise ChangeError(f"{wanted}: no such pack was in force before; known are: {known}")
    return found[-1]


def plan_rollback(state: State, period: Period, pack: RulePack, *, rearm: bool) -> tuple[list[Put], list[str]]:
    """The pack of a period again, and the stages of its rules as they were at its end. Those of built-in signs, which
    are no part of a pack, stay as they are now.

    Args:
        pack: that of the period.
        rearm: also what the brake stopped since.
    """
    puts = [Put(RULES.name, "pack", period.pack.value if period.pack else None)]
    lines = [f"pack {state.pack.value.version if state.pack else OWN} -> {period.version}"]
    for rule in pack.rules:
        for key in ((rule.id, str(rule.version)), (rule.id, "")):
            then, now = value_of(period.stages.get(key)), value_of(state.stages.get(key))
            if then == now:
                continue
            if key in period.braked and not rearm:
                lines.append(f"{rule.id} {rule.version}: stays in shadow, where the brake put it; --rearm lets it act")
                continue
            puts.append(stage_put(*key, then))
            lines.append(f"{rule.id} {rule.version}: {_told(now)} -> {_told(then)}")
    return puts, lines


def _key(key: str) -> Key:
    _, rule, version = key.split("/")
    return rule, "" if version == ANY_VERSION else version


def _told(value: StageRecord | None) -> str:
    return f"{Step(value.stage, value.share)} ({cap_text(value.cap)})" if value else "enforce (nothing said)"
