"""`lanjie loadtest`: traffic with known truth, through the pipeline. The verbs stand in modules of their own."""

from __future__ import annotations

import importlib
from typing import Final

import click

_MODULES: Final = {
    "run": "stream.cli.loadtest_run",
    "simulate": "stream.cli.loadtest_simulate",
    "bench": "stream.cli.loadtest_bench",
}


class _Group(click.Group):
    """Imports a verb when it is called, or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """In the order of use."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import it."""
        if (module := _MODULES.get(cmd_name)) is None:
            return None
        command: click.Command = getattr(importlib.import_module(module), cmd_name)
        return command


@click.group(cls=_Group)
def loadtest() -> None:
    """Simulated traffic with known truth: make it, drive it through the pipeline, measure."""
