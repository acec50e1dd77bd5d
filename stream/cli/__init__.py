"""The command line: one verb per question that an operator asks.

Verbs are imported when they are called: Faust, aiokafka and the number library take most of a second, and ``--help``
needs none of them. What a user can get wrong is a ``LanjieError``: one line on stderr and exit 1, never a traceback.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, NamedTuple

import click

from detectors.model.errors import LanjieError
from stream.given import CONFIG


class Verb(NamedTuple):
    """Where a command is, and its first line of help (a test compares it with the command's own)."""

    place: str
    help: str


VERBS: Final = {
    "demo": Verb("stream.cli.demo:demo", "Show the whole pipeline at work, and measure it."),
    "worker": Verb("stream.cli.worker:worker", "Decide the events on Kafka until SIGTERM, which drains and commits."),
    "cards": Verb("stream.cli.cards:cards", "SIM cards: count those of each identity and sales agent."),
    "topics": Verb("stream.cli.worker:topics", "The pipeline's topics."),
    "publish": Verb("stream.cli.publish:publish", "Put event logs on Kafka, on a schedule."),
    "loadtest": Verb(
        "stream.cli.loadtest:loadtest",
        "Simulated traffic with known truth: make it, drive it through the pipeline, measure.",
    ),
    "replay": Verb("stream.cli.replay:replay", "Decide event logs again, as a worker does."),
    "backtest": Verb("stream.cli.backtest:backtest", "Tell what a change of rules or lists does to a log."),
    "report": Verb(
        "stream.cli.report:report", "Count what was done in a period: calls, SMS, cards, warnings, list entries."
    ),
    "export": Verb(
        "stream.cli.export:export", "Write decisions as a table, one row each, for Parquet readers or DuckDB."
    ),
    "lists": Verb("stream.cli.lists:lists", "Number lists: build, check, and change them while events flow."),
    "rules": Verb("stream.cli.rules:rules", "The rule pack: lint, publish, promote, roll back."),
    "enforcement": Verb("stream.cli.enforcement:enforcement", "The kill switch: off, on, status."),
    "train": Verb("stream.cli.train:train", "Fit models from labelled data."),
    "explain": Verb("stream.cli.explain:explain", "Show why an event is decided as it is."),
    "changes": Verb("stream.cli.changes:changes", "Changes of lists and rules: log, verify, approve."),
    "appeal": Verb(
        "stream.cli.appeal:appeal", "Uphold an appeal: allow a number, and count it against a rule or feed."
    ),
    "dlq": Verb("stream.cli.dlq:dlq", "Dead letters: list, show, re-drive."),
    "feeds": Verb("stream.cli.feeds:feeds", "List feeds of other operators: sign, pull, status."),
    "keys": Verb("stream.cli.keys:keys", "Keys that sign changes and feeds: make, show."),
    "config": Verb("stream.cli.config:config", "Show the settings in force, or check a file of them."),
    "dev": Verb("stream.cli.dev:dev", "Things a developer needs around the pipeline."),
}


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Set while a command runs, also for the processes that it starts."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _use(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.find_root().with_resource(_variable(CONFIG, value))


_CONFIG: Final = click.Option(
    ["--config"], metavar="FILE", expose_value=False, callback=_use, help=f"TOML file of settings. [env: {CONFIG}]"
)


def _configurable(command: click.Command | None) -> click.Command | None:
    """Give ``--config`` to a verb and to its own verbs, also to those that it imports when they are called."""
    if command is not None and _CONFIG not in command.params:
        command.params.append(_CONFIG)
        if isinstance(command, click.Group):
            found = command.get_command
            command.get_command = lambda ctx, cmd_name: _configurable(found(ctx, cmd_name))  # type: ignore[method-assign]
    return command


class LazyGroup(click.Group):
    """A group whose commands are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """In the order of VERBS."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import it."""
        if (verb := VERBS.get(cmd_name)) is None:
            return None
        module, _, name = verb.place.partition(":")
        return _configurable(getattr(importlib.import_module(module), name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run; a mistake of the user's is told in one line."""
        try:
            return super().invoke(ctx)
        except LanjieError as problem:
            raise click.ClickException(str(problem)) from None


def _version() -> str:
    try:
        return version("lanjie")
    except PackageNotFoundError:
        return "unknown (not installed)"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="lanjie")
@click.pass_context
def main(context: click.Context) -> None:
    """lanjie (拦截): intercept fraud calls and SMS. Kafka in, explained decisions out."""
    if context.invoked_subcommand not in ("worker", "cards"):  # what a command cannot do it says itself, in one line
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
