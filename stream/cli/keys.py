"""`lanjie keys`: the keys with which people sign changes, and operators their feeds."""

from __future__ import annotations

import re
from pathlib import Path

import click

from stream.updates.keys import make_key, public_of, read_private

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def keys() -> None:
    """Keys that sign changes and feeds: make, show."""


@keys.command()
@click.argument("name")
@click.option("-o", "--output", type=_FILE, metavar="FILE", help="The file of the private key.  [default: NAME.key]")
def make(*, name: str, output: Path | None) -> None:
    """Make the key of NAME, and print what the trust file needs.

    For a feed write [feeds.NAME] over the line instead. The private key stays where it is; nobody else needs it.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
        raise click.UsageError(f"{name!r}: expected lower-case letters, digits, dots, dashes and underscores")
    public = make_key(output or Path(f"{name}.key"))
    click.echo(f'[people."{name}"]' if "." in name else f"[people.{name}]")
    click.echo(_line(public))


@keys.command()
@click.argument("file", type=_FILE)
def show(*, file: Path) -> None:
    """Print the public half of the private key in FILE."""
    click.echo(_line(public_of(read_private(file))))


def _line(public: str) -> str:
    return f'key = "{public}"'
