"""`lanjie dev kafka up | down | status`: a broker for this working copy."""

from __future__ import annotations

from pathlib import Path

import click

from detectors.model.errors import LanjieError
from stream.cli.broker_process import Status
from stream.cli.kafka_local import DEFAULT_HOME, LocalKafka, MockKafka, free_port

NOT_RUNNING = 3  # as systemctl and LSB have it

_home = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_HOME,
    show_default=True,
    help="Folder for data, logs and the state file.",
)


@click.group()
def dev() -> None:
    """Things a developer needs around the pipeline."""


@dev.group()
def kafka() -> None:
    """A real Kafka without Docker, on this machine only."""


@kafka.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Default: 9092, or the next free one.")
@click.option("--mock", is_flag=True, help="librdkafka's in-memory broker instead: no Java, no files, small.")
@_home
def up(port: int | None, mock: bool, home: Path) -> None:
    """Start it; returns when it answers. Fine if it already runs."""
    if mock and port is not None:
        raise click.UsageError("--mock takes a free port by itself; leave --port out")
    broker = MockKafka(home) if mock else LocalKafka(home, port or free_port(9092))
    try:
        bootstrap = broker.up()
    except LanjieError as problem:
        raise click.ClickException(str(problem)) from None
    if not broker.started:
        click.echo("already running")
    elif mock:
        click.echo("IN-MEMORY broker, not Kafka: 4 partitions per topic, about 5 MB kept per partition", err=True)
    _show(broker.status())
    if port is not None and not bootstrap.endswith(f":{port}"):
        raise click.ClickException(f"it runs on {bootstrap}, not on port {port}: stop it first (lanjie dev kafka down)")


@kafka.command()
@_home
def down(home: Path) -> None:
    """Stop it. The data stays."""
    for broker in (LocalKafka(home), MockKafka(home)):
        running = broker.status()
        broker.down()
        if running is not None:
            click.echo(f"stopped {running.version} at {running.bootstrap}")


@kafka.command()
@_home
@click.pass_context
def status(context: click.Context, home: Path) -> None:
    """Exit 0 if it runs, 3 if not."""
    running = [found for broker in (LocalKafka(home), MockKafka(home)) if (found := broker.status())]
    for each in running:
        _show(each)
    if not running:
        click.echo("not running (lanjie dev kafka up starts it)")
        context.exit(NOT_RUNNING)


def _show(running: Status | None) -> None:
    if running is not None:
        for label, value in (
            ("bootstrap", running.bootstrap), ("version", running.version), ("pid", running.pid), ("log", running.log),
        ):  # fmt: skip
            click.echo(f"{label:<10} {value}")
