"""`lanjie enforcement off, on, status`: the kill switch. Off, every event passes on every worker within seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from detectors.lists.parse import time_of
from stream.cli.changing import change, reason, run, where, who
from stream.clock import iso
from stream.settings import Settings
from stream.topics import RULES
from stream.updates.asof import history, state_at
from stream.updates.publisher import Plan, Put, Store, read_state
from stream.updates.records import SWITCH, SwitchRecord
from stream.updates.state import State
from stream.wire import dump_json


@click.group()
def enforcement() -> None:
    """The kill switch: off, on, status."""


@enforcement.command()
@reason
@who
def off(*, settings: Settings, reason: str) -> None:
    """Let every event pass, at once and everywhere; decisions go on saying what would have been done.

    One person may do it, whatever the trust file wants for other changes. Nothing is forgotten meanwhile.
    """
    change(settings, action="enforcement off", target="enforcement", reason=reason, plan=_plan(on=False))


@enforcement.command()
@reason
@who
def on(*, settings: Settings, reason: str) -> None:
    """Take measures again. It needs as many people as any change."""
    change(settings, action="enforcement on", target="enforcement", reason=reason, plan=_plan(on=True))


@enforcement.command()
@click.option("--at", "moment", metavar="TIME", help="ISO 8601, UTC unless it says otherwise.  [default: now]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@where
def status(*, settings: Settings, moment: str | None, as_json: bool) -> None:
    """Show whether measures are taken, since when, by whom and why."""
    try:
        at = time_of("at", moment or "")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--at") from None
    found = switch_shown(run(_state(settings, at)))
    click.echo(dump_json(found) if as_json else switch_line(found), nl=not as_json)


def switch_shown(state: State) -> dict[str, Any]:
    """The kill switch, for JSON. ``serial`` None: nobody has ever used it."""
    held = state.switch
    who = (
        {"serial": held.change.serial, "time": iso(held.change.time, "milliseconds"), "by": held.change.author,
         "reason": held.change.reason}
        if held
        else dict.fromkeys(("serial", "time", "by", "reason"))
    )  # fmt: skip
    return {"enforcement": "on" if state.enforcement else "off", **who}


def switch_line(found: dict[str, Any]) -> str:
    """The same for a person."""
    said = "enforcement is on" if found["enforcement"] == "on" else "enforcement is OFF, every event passes,"
    if found["serial"] is None:
        return f"{said}: it was never off"
    return f"{said} since {found['time']} by {found['by']} (change {found['serial']}): {found['reason']}"


async def _state(settings: Settings, at: int | None) -> State:
    return await read_state(settings) if at is None else state_at(await history(settings), at, settings)


def _plan(*, on: bool) -> Plan:
    async def plan(state: State, _: Store) -> Sequence[Put]:
        return [] if state.enforcement == on else [Put(RULES.name, SWITCH, SwitchRecord(on))]

    return plan
