"""`lanjie rules show, status, history, diff`: what is in force, since when, by whom and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from detectors.lists.parse import time_of
from detectors.policy.catalogue import BUILT_IN
from detectors.rollout import Cap
from detectors.rulepack import RulePack, load_rules
from stream.cli.changing import run, where
from stream.cli.enforcement import switch_line, switch_shown
from stream.cli.rules import FOLDER
from stream.cli.rules_changes import BASE, OWN_FOLDER, files_in_force
from stream.clock import iso
from stream.rule_files import read_pack
from stream.settings import Settings
from stream.topics import RULES
from stream.updates.asof import history as chain_of_changes
from stream.updates.asof import state_at
from stream.updates.chain import Link
from stream.updates.publisher import read_state
from stream.updates.records import BRAKE, Change, PackRecord, StageRecord, SwitchRecord, decode
from stream.updates.rule_diff import policy_changes, rule_changes, symbol_of
from stream.updates.rule_plans import cap_text, held, rule_of, step_of, version_of
from stream.updates.state import Held, State
from stream.wire import dump_json

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_SHOWN_RECORDS: Final = 3
_COLUMNS: Final = ("rule", "version", "stage", "cap", "since", "by", "reason")


@click.command()
@click.argument("rule", metavar="ID")
@click.option("--at", "moment", metavar="TIME", help="ISO 8601, UTC unless it says otherwise.  [default: now]")
@_JSON
@OWN_FOLDER
@where
def show(*, settings: Settings, rule: str, moment: str | None, folder: Path | None, as_json: bool) -> None:
    """Show a rule, composite or built-in sign: its definition, weight, stage and cap, who set them and why."""
    try:
        at = time_of("at", moment or "")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--at") from None
    state, pack = run(_in_force(settings, folder, at))
    found = rule_shown(state, pack, rule)
    click.echo(dump_json(found) if as_json else "\n".join(_page(found)), nl=not as_json)


@click.command()
@_JSON
@OWN_FOLDER
@where
def status(*, settings: Settings, folder: Path | None, as_json: bool) -> None:
    """Show the pack in force, whether anything acts, and the rules that have a stage."""
    state, pack = run(_in_force(settings, folder, None))
    rules = list(stages_shown(state, pack))
    if as_json:
        shown = {"pack": _pack_shown(state, pack), "rules": rules, "enforcement": switch_shown(state)}
        click.echo(dump_json(shown), nl=False)
        return
    click.echo(_pack_line(_pack_shown(state, pack)))
    if state.switch:
        click.echo(switch_line(switch_shown(state)))
    rows = [{**each, "by": f"{each['by']} (ran away)" if each["by"] == BRAKE else each["by"]} for each in rules]
    click.echo("\n".join(_table(rows)) if rules else "no rule has a stage: all are enforced")


@click.command()
@click.argument("rule", metavar="[ID]", required=False)
@_JSON
@where
def history(*, settings: Settings, rule: str | None, as_json: bool) -> None:
    """List the changes of rules, or of one rule, the oldest first."""
    found = list(changes_shown(run(chain_of_changes(settings)), rule))
    if as_json:
        click.echo(dump_json({"changes": found}), nl=False)
        return
    for each in found:
        records = each["records"]
        more = f", and {len(records) - _SHOWN_RECORDS} more" if len(records) > _SHOWN_RECORDS else ""
        said = ", ".join(record["says"] for record in records[:_SHOWN_RECORDS]) + more
        click.echo(f"{each['serial']}  {each['time']}  {each['by']}  {each['action']}: {said}: {each['reason']}")
    if not found:
        click.echo(f"no change of {rule or 'rules'} was ever made")


@click.command()
@FOLDER
@BASE
@_JSON
@where
def diff(*, settings: Settings, folder: Path | None, base: Path | None, as_json: bool) -> None:
    """Compare a rule pack with the one in force."""
    new = read_pack(folder)
    _, pack = run(_in_force(settings, base, None))
    rules, shared = rule_changes(pack, new), policy_changes(pack, new)
    if as_json:
        listed = [dict(zip(change._fields, change, strict=True)) for change in rules]
        policy = [dict(zip(change._fields, change, strict=True)) for change in shared]
        click.echo(dump_json({"from": pack.version, "to": new.version, "rules": listed, "policy": policy}), nl=False)
        return
    click.echo(f"{pack.version} -> {new.version}")
    for change in rules:
        click.echo(
            f"{change.rule}: {change.kind}, version {change.versions}" + f": {change.detail}" * bool(change.detail)
        )
    for each in shared:
        click.echo(str(each))
    if not rules and not shared:
        click.echo("no difference that decides anything")


async def _in_force(settings: Settings, folder: Path | None, at: int | None) -> tuple[State, RulePack]:
    state = await read_state(settings) if at is None else state_at(await chain_of_changes(settings), at, settings)
    return state, load_rules(await files_in_force(settings, state.pack, folder))


def rule_shown(state: State, pack: RulePack, name: str) -> dict[str, Any]:
    """All there is to say about a rule or built-in sign, for JSON.

    Raises:
        ChangeError: there is none of this name.
    """
    rule, version = rule_of(pack, name), version_of(pack, name)
    symbol = symbol_of(pack, rule) if rule else pack.policy.symbols.get(name)
    predecessor = next((each for each in pack.before if each.rule.id == name), None)
    appeals = state.appeals.get(name)
    return {
        "rule": name,
        "version": version or None,
        "definition": msgspec.to_builtins(rule) if rule else dict(zip(("zh", "en"), BUILT_IN[name], strict=True)),
        "symbol": msgspec.to_builtins(symbol) if symbol else None,
        "stage": _stage_shown(name, version, held(state.stages, name, version)),
        "before": msgspec.to_builtins(predecessor) if predecessor else None,
        "appeals": len(appeals.value.times) if appeals else 0,
        "pack": _pack_shown(state, pack),
    }


def stages_shown(state: State, pack: RulePack) -> Iterator[dict[str, Any]]:
    """The rules and built-in signs that have a stage, for JSON."""
    stages = state.stages
    for name, version in [*((rule.id, str(rule.version)) for rule in pack.rules), *((code, "") for code in BUILT_IN)]:
        if (found := held(stages, name, version)) is not None:
            yield _stage_shown(name, version, found)


def changes_shown(links: Iterable[Link], rule: str | None) -> Iterator[dict[str, Any]]:
    """The changes that have come in force, for JSON; with ``rule`` those that name it."""
    wanted = (each for each in links if each.written.topic == RULES.name)
    for serial, group in groupby(wanted, key=lambda each: each.written.change.serial):
        records = [each for each in group if rule is None or each.written.key.split("/")[1:2] == [rule]]
        if records:
            change = records[0].written.change
            says = [{"key": each.written.key, "says": _says(each)} for each in records]
            yield {"serial": serial, "action": change.action, **_who(change, records[0].timestamp), "records": says}


def _says(link: Link) -> str:
    key, value = link.written.key, link.written.value
    what = key.removeprefix("stage/").replace("/", " ").removesuffix(" -")
    match decode(key, value) if value is not None else None:
        case PackRecord(version=version):
            return f"pack {version}"
        case SwitchRecord(on=on):
            return f"enforcement {'on' if on else 'off'}"
        case StageRecord() as record:
            return f"{what} {step_of(Held(record, link.written.change))}"
        case None:
            return f"{what} taken back"
        case _:
            return what


def _stage_shown(name: str, version: str, found: Held[StageRecord] | None) -> dict[str, Any]:
    cap = found.value.cap if found else None
    shown = {"rule": name, "version": version or None, "stage": str(step_of(found)), "cap": msgspec.to_builtins(cap)}
    return shown | (_who(found.change, found.change.time) if found else dict.fromkeys(("time", "by", "reason")))


def _pack_shown(state: State, pack: RulePack) -> dict[str, Any]:
    """``serial`` None: no pack is published, workers have their own."""
    change = state.pack.change if state.pack else None
    who = _who(change, change.time) if change else dict.fromkeys(("time", "by", "reason"))
    return {"version": pack.version, "serial": change.serial if change else None, **who}


def _who(change: Change, ms: int) -> dict[str, Any]:
    return {"time": iso(ms, "milliseconds"), "by": change.author, "reason": change.reason}


def _pack_line(pack: dict[str, Any]) -> str:
    if pack["serial"] is None:
        return f"no pack is published; workers have their own, such as {pack['version']}"
    return f"pack {pack['version']} since {pack['time']} by {pack['by']} (change {pack['serial']}): {pack['reason']}"


def _page(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['rule']}" + f" version {found['version']}" * bool(found["version"])
    for name, value in (found["definition"] | (found["symbol"] or {})).items():
        if name not in ("id", "version"):
            yield f"  {name}: {_plain(value)}"
    stage, before = found["stage"], found["before"]
    since = f", since {stage['time']} by {stage['by']}: {stage['reason']}" if stage["time"] else ""
    yield f"  stage: {stage['stage']}, {_cap(stage['cap'])}{since}"
    if before and stage["stage"] != "enforce":
        yield f"  where it does not act, version {before['rule']['version']} does"
    yield f"  upheld appeals: {found['appeals']}"
    yield f"  {_pack_line(found['pack'])}"


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " & ".join(
            f"({' | '.join(map(str, each))})" if isinstance(each, list | tuple) else str(each) for each in value
        )
    return str(value)


def _cap(cap: dict[str, Any] | None) -> str:
    return cap_text(Cap(**cap) if cap else None)


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = [list(_COLUMNS)]
    for row in rows:
        shown = {**row, "cap": _cap(row["cap"]).removeprefix("cap "), "since": row["time"]}
        lines.append([str(shown[name] or "-") for name in _COLUMNS])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
