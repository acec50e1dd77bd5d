"""What to write so that rules come, and go a step on or back. Pure: a function of the state, of the rule packs, and of
what is wished; ``lanjie rules`` reads, shows and writes.

A changed rule takes its predecessor along in ``before.json``: the definition that acts now, and goes on acting wherever
the new one does not. Stages of versions that are no longer in force stay on their topic, so that what the brake once
stopped is stopped still if that version comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, NamedTuple

import msgspec

from detectors.model.errors import RuleError
from detectors.policy.catalogue import BUILT_IN
from detectors.rollout import Cap, Mode
from detectors.rulepack import Composite, RulePack, load_rules
from detectors.rulepack.before import BEFORE, Predecessor, kind_of, write_before
from detectors.rulepack.schema import Rule
from stream.topics import RULES
from stream.updates.publisher import ChangeError, Put
from stream.updates.records import NEVER_STAGED, StageRecord, stage_key
from stream.updates.rule_diff import PolicyChange, RuleChange, policy_changes, rule_changes, symbol_of
from stream.updates.state import Held, State

Key = tuple[str, str]  # rule and version, "" for any
Stages = Mapping[Key, Held[StageRecord]]
ENFORCED: Final = StageRecord("enforce")
_LISTED: Final = 20  # changes of the policy named in one message


class Step(NamedTuple):
    """Where a rule is to be."""

    mode: Mode
    share: float = 0.0

    def __str__(self) -> str:
        return f"canary:{self.share * 100:g}%" if self.mode == "canary" else self.mode

    @property
    def height(self) -> float:
        """Shadow is 0, enforce 1."""
        return {"shadow": 0.0, "canary": self.share, "enforce": 1.0}[self.mode]


SHADOW: Final = Step("shadow")


@dataclass(frozen=True)
class Wishes:
    """How a new pack is to come in force.

    Attributes:
        step: of rules that are new or changed ...
        steps: ... but for these, by id.
        cap: of all of them.
        with_policy: whether what has no stages may change too.
    """

    step: Step = SHADOW
    steps: Mapping[str, Step] = field(default_factory=dict)
    cap: Cap | None = None
    with_policy: bool = False


class Publication(NamedTuple):
    """What comes in force: ``files`` with ``before.json``, stages, and what to say. No files: nothing would change."""

    files: dict[str, bytes]
    pack: RulePack
    stages: list[Put]
    lines: list[str]


def plan_publish(state: State, old: Mapping[str, bytes], new: Mapping[str, bytes], wishes: Wishes) -> Publication:
    """The pack ``new`` in place of ``old``.

    Raises:
        RuleError: a rule changed under its version, or a wish is about a rule that does not change.
        ChangeError: what all rules share would change, unasked.
    """
    before, after = load_rules(old), load_rules(_plain(new))
    if state.pack and _plain(old) == _plain(new):
        said = f"pack {before.version} is in force with these files; stages change with `lanjie rules promote`"
        return Publication({}, before, [], [said])
    changes = rule_changes(before, after)
    shared = policy_changes(before, after)
    _check(changes, shared, after, wishes)
    stages, kept, lines = [], dict(_still_needed(state.stages, before, after, changes)), []
    for change in changes:
        if change.kind == "removed":
            lines.append(f"{change.rule}: gone (was version {change.before})")
            continue
        step = wishes.steps.get(change.rule, wishes.step)
        acting = _acting(state.stages, before, change.rule) if change.kind == "changed" else None
        if acting is not None and step.mode != "enforce":
            kept[change.rule] = acting
        stages.append(stage_put(change.rule, str(change.after), StageRecord(step.mode, step.share, wishes.cap)))
        lines.append(_line(change, step, kept.get(change.rule), wishes.cap))
    _check_predecessors(kept.values(), after)
    files = _plain(new) | ({BEFORE: write_before(kept.values())} if kept else {})
    untouched = len(after.rules) - sum(change.kind != "removed" for change in changes)
    lines += [f"{change}, at once for all" for change in shared[:_LISTED]]
    if before.window_seconds != after.window_seconds:
        lines.append("window_seconds: comes into force on each worker once its windows are filled from the log")
    return Publication(files, load_rules(files), stages, [*lines, f"{untouched} rules as they are"])


def _plain(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Without the predecessors, which nobody writes by hand."""
    return {name: data for name, data in files.items() if name != BEFORE}


def _check(changes: list[RuleChange], shared: list[PolicyChange], after: RulePack, wishes: Wishes) -> None:
    coming = [change for change in changes if change.after is not None]
    if stray := sorted(wishes.steps.keys() - {change.rule for change in coming}):
        raise RuleError(f"--rule-stage {stray[0]}: neither new nor changed; use `lanjie rules promote` or `demote`")
    for change in coming:
        if change.before is not None and change.after is not None and change.after <= change.before:
            at = f"{after.places.get(change.rule, change.rule)}: $.rule[{change.rule}].version"
            raise RuleError(
                f"{at}: {change.after}, but version {change.before} is in force and differs from it; raise it, so that "
                "decisions tell them apart (an old pack comes back with `lanjie rules rollback`)"
            )
    if shared and not wishes.with_policy:
        more = f"; and {len(shared) - _LISTED} more" if len(shared) > _LISTED else ""
        raise ChangeError(
            "this would take effect at once for all, with no stage; if it may, say --with-policy: "
            + "; ".join(map(str, shared[:_LISTED]))
            + more
        )


def _check_predecessors(predecessors: Iterable[Predecessor], after: RulePack) -> None:
    """They act by the policy of the new pack, beside a rule of their own kind."""
    kinds = {rule.id: type(rule) for rule in after.rules}
    for rule, symbol in ((each.rule, each.symbol) for each in predecessors):
        if kinds[rule.id] is not type(rule):
            at = f"{after.places.get(rule.id, rule.id)}: $.rule[{rule.id}].id"
            raise RuleError(f"{at}: version {rule.version} is another kind of rule; give the new one another id")
        group = rule.group if isinstance(rule, Composite) else symbol.group if symbol else ""
        if group not in after.policy.groups:
            raise RuleError(
                f"policy.toml: $.groups.{group}: gone, but version {rule.version} of {rule.id} counts in it and goes "
                "on acting; keep it until the new version is enforced"
            )


def _acting(stages: Stages, pack: RulePack, rule: str) -> Predecessor | None:
    """The definition of a rule that acts where one in shadow does not: its own if it is enforced, else what acts now
    where it does not. None: of a rule in shadow or canary from its first version on.
    """
    found = next(each for each in pack.rules if each.id == rule)
    if step_of(held(stages, rule, str(found.version))).mode == "enforce":
        return Predecessor(kind_of(found), found, symbol_of(pack, found))
    return next((each for each in pack.before if each.rule.id == rule), None)


def _still_needed(
    stages: Stages, before: RulePack, after: RulePack, changes: list[RuleChange]
) -> Iterator[tuple[str, Predecessor]]:
    """The predecessors of rules that do not change and are not enforced yet."""
    unchanged = {rule.id: rule for rule in after.rules} | {change.rule: None for change in changes}
    for each in before.before:
        rule = unchanged.get(each.rule.id)
        if rule is not None and step_of(held(stages, rule.id, str(rule.version))).mode != "enforce":
            yield rule.id, each


def _line(change: RuleChange, step: Step, predecessor: Predecessor | None, cap: Cap | None) -> str:
    where = "" if step.mode == "enforce" else "; elsewhere " if step.mode == "canary" else "; "
    if where and change.kind == "changed":
        where += f"version {predecessor.rule.version} acts" if predecessor else "nothing acts, as none was enforced"
    else:
        where = ""
    detail = f" ({change.detail})" if change.detail else ""
    return f"{change.rule}: {change.kind}, version {change.versions}, {step}{where}; {cap_text(cap)}{detail}"


def plan_step(state: State, pack: RulePack, rule: str, step: Step, *, up: bool) -> tuple[list[Put], str]:
    """A rule or built-in sign one step on (``up``) or back. Its cap stays.

    Raises:
        ChangeError: there is no such rule, or the step goes the other way.
    """
    version = version_of(pack, rule)
    now = value_of(held(state.stages, rule, version)) or ENFORCED
    was = Step(now.stage, now.share)
    if step.height != was.height and (step.height > was.height) != up:
        raise ChangeError(f"{rule}: is in {was}; to {step} it goes with `lanjie rules {'demote' if up else 'promote'}`")
    said = f"{rule}{f' {version}' if version else ''}: {was} -> {step}; {cap_text(now.cap)}"
    after = StageRecord(step.mode, step.share, now.cap)
    return [] if after == now else [stage_put(rule, version, after)], said


def plan_cap(
    state: State, pack: RulePack, rule: str, limits: Mapping[str, float | None] | None
) -> tuple[list[Put], str]:
    """Other limits (fields of ``Cap``) beside those it has, or no cap at all. The stage stays.

    Raises:
        ChangeError: there is no such rule.
    """
    version = version_of(pack, rule)
    now = value_of(held(state.stages, rule, version)) or ENFORCED
    cap = None if limits is None else msgspec.structs.replace(now.cap or Cap(), **limits)
    after = msgspec.structs.replace(now, cap=cap)
    said = f"{rule}: {cap_text(now.cap)} -> {cap_text(cap)}"
    return [] if after == now else [stage_put(rule, version, after)], said


def held(stages: Stages, rule: str, version: str) -> Held[StageRecord] | None:
    """The stage that counts for a version of a rule."""
    return stages.get((rule, version)) or stages.get((rule, ""))


def step_of(found: Held[StageRecord] | None) -> Step:
    """Where a rule is: enforced if nothing is said."""
    return Step(found.value.stage, found.value.share) if found else Step("enforce")


def rule_of(pack: RulePack, rule: str) -> Rule | None:
    """The rule with this id; None for a built-in sign.

    Raises:
        ChangeError: there is neither.
    """
    found = {each.id: each for each in pack.rules}
    if rule not in found and (rule not in BUILT_IN or rule in NEVER_STAGED):
        near = get_close_matches(rule, [*found, *BUILT_IN], 3)
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ChangeError(f"{rule}: no rule of pack {pack.version}, and no built-in sign that has stages{meant}")
    return found.get(rule)


def version_of(pack: RulePack, rule: str) -> str:
    """The version of a rule that a stage is about; "" for a built-in sign.

    Raises:
        ChangeError: there is no such rule.
    """
    found = rule_of(pack, rule)
    return str(found.version) if found else ""


def cap_text(cap: Cap | None) -> str:
    """A cap in words."""
    if cap is None:
        return "no cap"
    parts = [
        f"{cap.per_minute:,} a minute" if cap.per_minute is not None else "",
        f"{cap.share * 100:g} % of events" if cap.share is not None else "",
        f"{cap.appeals:,} upheld appeals" if cap.appeals is not None else "",
    ]
    return f"cap {', '.join(filter(None, parts)) or 'without limits'}"


def stage_put(rule: str, version: str, value: StageRecord | None) -> Put:
    """The record of a stage."""
    return Put(RULES.name, stage_key(rule, version), value)


def value_of(found: Held[StageRecord] | None) -> StageRecord | None:
    """Without who set it."""
    return found.value if found else None
