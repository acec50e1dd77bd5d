"""`lanjie config`: what the settings are, where each comes from, and whether a file of them can be used."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from stream.given import given, in_file
from stream.settings import Settings, SettingsError, known, value_of
from stream.settings_shown import as_json, as_toml, page, rows
from stream.wire import dump_json


@click.group(invoke_without_command=True)
@click.option("--json", "json_", is_flag=True, help="One JSON object, by name.")
@click.option("--toml", is_flag=True, help="A file for --config; what is at its default is commented out.")
@click.pass_context
def config(context: click.Context, *, json_: bool, toml: bool) -> None:
    """Show the settings in force, or check a file of them."""
    if context.invoked_subcommand:
        return
    if json_ and toml:
        raise click.UsageError("--json and --toml exclude each other")
    try:
        found = given(os.environ, known())
        settings = Settings.read(found)
    except SettingsError as problem:
        raise click.UsageError(str(problem)) from None
    if toml:
        click.echo(as_toml(settings, found), nl=False)
    elif json_:
        click.echo(dump_json(as_json(rows(settings, found))), nl=False)
    else:
        for line in page(rows(settings, found)):
            click.echo(line)


@config.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Read FILE as a worker would, without the environment; exit 1 with a line for each value that is wrong."""
    found, problems = in_file(file, known()), 0
    for name, each in found.items():
        try:
            value_of(name, each)
        except SettingsError as problem:
            problems += 1
            click.echo(problem, err=True)
    if problems:
        sys.exit(1)
    Settings.read(found)  # whether they fit together
    click.echo(f"{file}: {len(found)} settings, all can be used")
