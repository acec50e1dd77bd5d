"""`lanjie cards`: what no single SIM card tells, live and for logs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import click

from stream.cli.replay import refuse_overwriting, sink
from stream.cli.worker import option, settings_of
from stream.logs import STDIN, LogReader, expanded, sizes_of


@click.group()
def cards() -> None:
    """SIM cards: count those of each identity and sales agent."""


@cards.command()
@option("bootstrap")
@option("group")
@option("metrics_port")
@option("topic_prefix")
def watch(**given: str | None) -> None:
    """Count the cards on Kafka until SIGTERM, and tell the workers.

    A card is told from three of its identity within 30 days, or five of its agent within an hour. One process is enough
    for an operator; a second one tells the same. Without one, card events are decided by what they say themselves.
    """
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # until the process listens
    settings = settings_of(given)
    from stream.cards.service import run_watch  # noqa: PLC0415 - Kafka's library takes a moment that others need not wait

    sys.exit(run_watch(settings))


@cards.command()
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False), help="Takes the log, plain; - for stdout."
)
def count(logs: tuple[str, ...], output: str) -> None:
    """Put the counts into event logs, as `watch` does on Kafka, for `lanjie replay`.

    LOG is JSON lines, plain, gzip or zstd, or a folder of such alone; - is stdin. Lines stay as they are, in their
    order, but for blank ones. A card is told from three of its identity within 30 days, or five of its agent within an
    hour.
    """
    from stream.cards.log import with_counts  # noqa: PLC0415

    logs = expanded(logs)
    sizes_of(logs)  # they are there: before anything is written
    refuse_overwriting(logs, output)
    seen = told = 0

    def lines() -> Iterator[bytes]:
        nonlocal seen
        for line in LogReader(logs):
            seen += 1
            yield line.raw

    with ExitStack() as stack:
        to = stack.enter_context(sink(output, 0))
        for line in with_counts(lines()):
            told += 1
            to.write(line + b"\n")
    click.echo(f"{seen:,} lines, {told - seen:,} counts put in", err=output == STDIN)
