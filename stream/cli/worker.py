"""`lanjie worker` and `lanjie topics`."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import Any

import click

from detectors.model.errors import LanjieError
from stream.hashes import keep_hashes
from stream.settings import Settings, SettingsError, variable
from stream.topics import ALL

_OPTIONS = {
    "bootstrap": "Kafka, host:port[,host:port].",
    "group": "Consumer group.",
    "lists": "Number-list files, as in PATH; grey:FILE names the list.",
    "market": "Whose responses decisions carry: a profile of responses.toml, such as cn.",
    "rules": "Folder of a rule pack of your own.",
    "model": "File of the message score, made by `lanjie train sms`.",
    "metrics_port": "Port of health and metrics; 0 takes a free one.",
    "topic_prefix": "Goes before every topic name.",
}


def option(name: str) -> Callable[[Any], Any]:
    return click.option(f"--{name.replace('_', '-')}", name, help=f"{_OPTIONS[name]} [env: {variable(name)}]")


def settings_of(given: dict[str, str | None]) -> Settings:
    """Options win over the environment; both are read by Settings."""
    import os  # noqa: PLC0415

    environ = {**os.environ, **{variable(name): value for name, value in given.items() if value is not None}}
    try:
        return Settings.from_env(environ)
    except SettingsError as problem:
        raise click.UsageError(str(problem)) from None


@click.command()
@option("bootstrap")
@option("group")
@option("lists")
@option("market")
@option("rules")
@option("model")
@option("metrics_port")
@option("topic_prefix")
def worker(**given: str | None) -> None:
    """Decide the events on Kafka until SIGTERM, which drains and commits."""
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # until the worker listens
    settings = settings_of(given)
    if settings.checkpoint_seconds:
        keep_hashes(settings.checkpoint_folder)
    from stream.app import run_worker  # noqa: PLC0415 - Faust takes half a second that other verbs need not wait for

    sys.exit(run_worker(settings))


@click.group()
def topics() -> None:
    """The pipeline's topics."""


@topics.command()
@option("bootstrap")
@option("topic_prefix")
def create(**given: str | None) -> None:
    """Create those that are missing."""
    from stream.topics_admin import ensure_topics  # noqa: PLC0415

    settings = settings_of(given)
    wanted = [settings.named(topic) for topic in ALL]
    created = _run(lambda: ensure_topics(settings.kafka, wanted, replication=settings.replication))
    for topic in wanted:
        click.echo(f"{'created' if topic.name in created else 'exists':<8} {topic.name}")


@topics.command("list")
@option("bootstrap")
@option("topic_prefix")
def list_(**given: str | None) -> None:
    """Show them, with their partitions; exit 1 if one is missing."""
    from stream.topics_admin import list_topics  # noqa: PLC0415

    settings = settings_of(given)
    wanted = [settings.named(topic) for topic in ALL]
    found = _run(lambda: list_topics(settings.kafka, wanted))
    for topic in wanted:
        click.echo(f"{found.get(topic.name, 'missing')!s:<8} {topic.name}")
    if len(found) < len(wanted):
        sys.exit(1)


def _run(action: Callable[[], Any]) -> Any:
    try:
        return asyncio.run(action())
    except LanjieError as problem:
        raise click.ClickException(str(problem)) from None
