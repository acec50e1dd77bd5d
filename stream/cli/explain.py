"""`lanjie explain`: why an event is decided as it is, for the analyst who must defend or correct it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import click
import msgspec
from prometheus_client import CollectorRegistry
from rich.console import Console

from detectors.engine import Engine
from detectors.explain import explain as explained
from detectors.model.errors import LanjieError
from detectors.model.events import Event
from stream.cli.explain_view import LANGUAGES, show
from stream.cli.replay import BATCH, list_files
from stream.clock import SystemClock
from stream.logs import STDIN, LogReader
from stream.metrics import Metrics
from stream.sources import load_snapshot
from stream.wire import WireError, decode_event, dump_json

LARGEST: Final = 1 << 20  # bytes of an event file: an event is a few hundred


class EventFileError(LanjieError):
    """The file holds no event to explain."""


@click.command()
@click.argument("event", metavar="EVENT.json", type=click.Path(allow_dash=True, dir_okay=False))
@click.option(
    "--lists", multiple=True, metavar="[KIND:]PATH", help="A number list; KIND is block, grey, allow or protected."
)
@click.option(
    "--log", "logs", multiple=True, metavar="LOG", help="Events before it, so that windows are as they were then."
)
@click.option("--market", help="Show what a gateway answers there: a profile of responses.toml, such as cn.")
@click.option(
    "--rules", type=click.Path(file_okay=False, exists=True, path_type=Path), help="Folder of a rule pack of your own."
)
@click.option("--model", type=click.Path(dir_okay=False, path_type=Path), help="A model file of the message score.")
@click.option("--lang", type=click.Choice(list(LANGUAGES)), default="both", show_default=True, help="Of the sentences.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the page.")
def explain(
    *,
    event: str,
    lists: tuple[str, ...],
    logs: tuple[str, ...],
    market: str | None,
    rules: Path | None,
    model: Path | None,
    lang: str,
    as_json: bool,
) -> None:
    """Show why an event is decided as it is.

    EVENT.json holds one event as it is on the topic, on one line or many; - is stdin. Shown are what fired and where in
    the text, how the score came about, what nearly fired, and what would change the outcome.
    """
    subject, text = _event(event)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    metrics = Metrics(CollectorRegistry())
    snapshot = load_snapshot(list_files(lists), metrics=metrics, clock=SystemClock(), rules=rules, model=model)
    engine = Engine(snapshot, market=market)
    for batch in _batches(logs, until=subject):
        engine.decide(batch)
    found = explained(engine, subject)
    if as_json:
        sys.stdout.buffer.write(dump_json(msgspec.to_builtins(found)))
    else:
        show(Console(highlight=False, soft_wrap=True), found, subject, text, lang)


def _event(path: str) -> tuple[Event, str]:
    data = (sys.stdin.buffer if path == STDIN else _open(path)).read(LARGEST + 1)
    if len(data) > LARGEST:
        raise EventFileError(f"{path}: longer than {LARGEST:,} bytes; expected one event, see `lanjie replay` for logs")
    try:
        event = decode_event(data.strip())
    except WireError as error:
        raise EventFileError(f"{path}: {error}") from None
    return event, getattr(event, "text", "")


def _open(path: str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise EventFileError(f"{path}: {error.strerror}") from None


def _batches(logs: tuple[str, ...], until: Event) -> Iterator[list[Event]]:
    """The events of the logs up to the one to explain, and not that one."""
    batch: list[Event] = []
    for line in LogReader(logs) if logs else ():
        try:
            event = decode_event(line.raw)
        except WireError:
            continue  # `lanjie replay` reports them
        if event.id == until.id:
            break
        batch.append(event)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch
