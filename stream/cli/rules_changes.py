"""`lanjie rules publish, rollback, promote, demote, cap`: rules that change while events flow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from detectors.keywords import Automaton
from detectors.policy import Policy
from detectors.rollout import Cap
from detectors.rulepack import RulePack, load_rules
from stream.cli.changing import change, reason, run, stage_of, who
from stream.cli.rules import FOLDER, FOLDER_TYPE, in_order
from stream.clock import SystemClock
from stream.rule_files import pack_files
from stream.settings import Settings
from stream.topics import RULES
from stream.updates.asof import history, state_at
from stream.updates.library import Library, bundle, unbundle
from stream.updates.publisher import Plan, Put, Store, read_state
from stream.updates.records import PackRecord
from stream.updates.rule_past import OWN, find_period, periods, plan_rollback
from stream.updates.rule_plans import Publication, Step, Wishes, plan_cap, plan_publish, plan_step
from stream.updates.state import Held, State

#: What a new rule may do unless told otherwise: few enough that a mistake is noticed before it is a disaster.
PER_MINUTE, SHARE = 1000, 0.02


class _StepType(click.ParamType):
    name = "stage"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Step:  # noqa: ARG002
        return value if isinstance(value, Step) else Step(*stage_of(value))


class _RuleStepType(click.ParamType):
    name = "id=stage"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Step]:
        rule, sign, stage = value.partition("=")
        if not rule or not sign:
            self.fail(f"{value!r}; expected the id of a rule and its stage, such as TEXT_LOAN=canary:5%", param, ctx)
        return rule, Step(*stage_of(stage))


STEP = _StepType()
_OWN = "The pack in force while none is published.  [default: LANJIE_RULES, or the shipped one]"
BASE = click.option("--base", type=FOLDER_TYPE, help=_OWN)
OWN_FOLDER = click.option("--rules", "folder", type=FOLDER_TYPE, help=_OWN)  # where no new pack is named
_LIMITS = {
    "per_minute": click.option("--per-minute", type=click.IntRange(1, 10_000_000), help="Measures within 60 s."),
    "share": click.option("--share", type=click.FloatRange(0, 1, min_open=True), help="Of the events of 60 s."),
    "appeals": click.option("--appeals", type=click.IntRange(1, 1_000_000), help="Upheld against it in 30 days."),
}


@click.command()
@FOLDER
@BASE
@click.option("--stage", type=STEP, default="shadow", show_default=True, help="shadow, canary:5% or enforce.")
@click.option("--rule-stage", "stages", type=_RuleStepType(), multiple=True, help="Another stage for one of them.")
@click.option("--cap-per-minute", type=click.IntRange(1, 10_000_000), default=PER_MINUTE, show_default=True)
@click.option("--cap-share", type=click.FloatRange(0, 1, min_open=True), default=SHARE, show_default=True)
@click.option("--cap-appeals", type=click.IntRange(1, 1_000_000), help="Upheld appeals in 30 days.")
@click.option("--no-cap", is_flag=True, help="They may do whatever they do.")
@click.option("--with-policy", is_flag=True, help="What has no stages may change too: ladder, keywords, ...")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@reason
@who
def publish(
    *,
    settings: Settings,
    reason: str,
    folder: Path | None,
    base: Path | None,
    stage: Step,
    stages: tuple[tuple[str, Step], ...],
    cap_per_minute: int,
    cap_share: float,
    cap_appeals: int | None,
    no_cap: bool,
    with_policy: bool,
    dry_run: bool,
) -> None:
    """Put a rule pack in force: what is new or changed in a stage of its own, the rest as it is.

    A changed rule needs a higher version. Until it is enforced, the version before it acts wherever it does not.
    """
    in_order(folder)
    files, shown = pack_files(folder), _Shown()
    cap = None if no_cap else Cap(cap_per_minute, cap_share, cap_appeals)
    wishes = Wishes(stage, dict(stages), cap, with_policy)

    async def publication(state: State) -> Publication:
        found = plan_publish(state, await files_in_force(settings, state.pack, base), files, wishes)
        if found.files:
            unbundle(bundle(found.files))  # as every worker will; with the predecessors in it
            Automaton(found.pack), Policy(found.pack)
        shown(found.lines)
        return found

    async def plan(state: State, store: Store) -> Sequence[Put]:
        found = await publication(state)
        if not found.files:
            return []
        version, now = found.pack.version, SystemClock().wall_ms()
        content = await store.put(bundle(found.files), count=len(found.pack.rules), serial=version, made=now)
        return [Put(RULES.name, "pack", PackRecord(content, version)), *found.stages]

    if dry_run:
        run(_with_state(settings, publication))
    else:
        change(settings, action="publish", target="rules", reason=reason, plan=plan)


@click.command()
@click.option("--to", "version", metavar="VERSION", help=f"A pack that was in force; {OWN}: none.  [default: the last]")
@click.option("--rearm", is_flag=True, help="Rules that the brake stopped since act again too.")
@OWN_FOLDER
@reason
@who
def rollback(*, settings: Settings, reason: str, folder: Path | None, version: str | None, rearm: bool) -> None:
    """Put the pack in force that was before, or VERSION, with the stages that its rules had then."""
    shown = _Shown()

    async def plan(state: State, _: Store) -> Sequence[Put]:
        past = periods(await history(settings), state_at([], 0, settings))
        period = find_period(past, state, version)
        pack = load_rules(await files_in_force(settings, period.pack, folder))
        puts, lines = plan_rollback(state, period, pack, rearm=rearm)
        shown(lines)
        return puts

    change(settings, action="rollback", target="rules", reason=reason, plan=plan)


@click.command()
@click.argument("rule", metavar="ID")
@click.option("--to", "step", type=STEP, default="enforce", show_default=True, help="canary:5% or enforce.")
@OWN_FOLDER
@reason
@who
def promote(*, settings: Settings, reason: str, rule: str, step: Step, folder: Path | None) -> None:
    """Let a rule, composite or built-in sign act on more subjects; also one that the brake has stopped."""
    plan = _plan(settings, folder, lambda state, pack: plan_step(state, pack, rule, step, up=True))
    change(settings, action="promote", target=rule, reason=reason, plan=plan)


@click.command()
@click.argument("rule", metavar="ID")
@click.option("--to", "step", type=STEP, default="shadow", show_default=True, help="shadow or canary:5%.")
@OWN_FOLDER
@reason
@who
def demote(*, settings: Settings, reason: str, rule: str, step: Step, folder: Path | None) -> None:
    """Let a rule, composite or built-in sign act on fewer subjects, or none."""
    plan = _plan(settings, folder, lambda state, pack: plan_step(state, pack, rule, step, up=False))
    change(settings, action="demote", target=rule, reason=reason, plan=plan)


@click.command()
@click.argument("rule", metavar="ID")
@_LIMITS["per_minute"]
@_LIMITS["share"]
@_LIMITS["appeals"]
@click.option("--none", "no_cap", is_flag=True, help="No cap at all.")
@OWN_FOLDER
@reason
@who
def cap(
    *, settings: Settings, reason: str, rule: str, folder: Path | None, no_cap: bool, **limits: float | None
) -> None:
    """Say how much a rule may do before the brake puts it into shadow. Limits that are not named stay."""
    named = {name: value for name, value in limits.items() if value is not None}
    if no_cap == bool(named):
        raise click.UsageError(f"name limits ({', '.join('--' + name.replace('_', '-') for name in limits)}) or --none")
    wanted = None if no_cap else named
    plan = _plan(settings, folder, lambda state, pack: plan_cap(state, pack, rule, wanted))
    change(settings, action="cap", target=rule, reason=reason, plan=plan)


async def files_in_force(settings: Settings, pack: Held[PackRecord] | None, base: Path | None) -> dict[str, bytes]:
    """The files of a published pack; where there is none, of the folder that workers are taken to have.

    Raises:
        ContentError, TailError: it cannot be fetched.
        RuleError: it is no pack, or cannot be read.
    """
    if pack is not None:
        return pack_files(await Library(settings).pack(pack.value.content))
    return pack_files(base or settings.rules)


class _Shown:
    """Says what is about to be done, once: a change that comes in between makes us plan again."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def __call__(self, lines: list[str]) -> None:
        if lines != self._lines:
            click.echo("\n".join(lines))
        self._lines = lines


def _plan(settings: Settings, folder: Path | None, one: Callable[[State, RulePack], tuple[list[Put], str]]) -> Plan:
    """The plan that ``one`` makes of the state and the pack in force, said in its line."""
    shown = _Shown()

    async def plan(state: State, _: Store) -> Sequence[Put]:
        puts, line = one(state, load_rules(await files_in_force(settings, state.pack, folder)))
        shown([line])
        return puts

    return plan


async def _with_state(settings: Settings, work: Callable[[State], Any]) -> None:
    await work(await read_state(settings))
