"""`lanjie appeal`: an appeal that was upheld."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from detectors.lists import ListKind
from detectors.lists.entry import Provenance
from detectors.lists.parse import entry_of
from detectors.model.numbers import mask
from detectors.rulepack import load_rules
from stream.cli.changing import change, reason, who
from stream.cli.rules_changes import OWN_FOLDER, files_in_force
from stream.clock import SystemClock
from stream.settings import Settings
from stream.updates.list_plans import FEED, plan_appeal
from stream.updates.publisher import Put, Store
from stream.updates.rule_plans import version_of
from stream.updates.state import State

TARGET_CHARS: Final = 300  # of the header of a change


@click.command()
@click.argument("subject")
@click.option("--against", required=True, metavar="RULE|feed:NAME", help="What was wrong about the number.")
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True, help="How long it is allowed.")
@OWN_FOLDER
@reason
@who
def appeal(*, settings: Settings, subject: str, against: str, days: int, folder: Path | None, reason: str) -> None:
    """Uphold an appeal: allow a number, and count it against a rule or feed.

    With as many in 30 days as its cap of appeals says, the rule or feed goes into shadow. An allow entry lifts no
    entry of the immutable list.
    """
    try:
        entry = entry_of(subject, Provenance(ListKind.ALLOW, "appeal"))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="SUBJECT") from None
    if entry.prefix or entry.last:
        raise click.BadParameter(
            f"{entry.pattern}: expected one number: an appeal is its owner's", param_hint="SUBJECT"
        )
    now = SystemClock().wall_ms()

    async def plan(state: State, _: Store) -> Sequence[Put]:
        version = ""
        if not against.startswith(FEED):
            version = version_of(load_rules(await files_in_force(settings, state.pack, folder)), against)
        return plan_appeal(state, entry.pattern, against, version=version, now=now, days=days, reason=reason)

    target = f"{against}: {mask(entry.pattern)}"[:TARGET_CHARS]
    change(settings, action="appeal", target=target, reason=reason, plan=plan)
