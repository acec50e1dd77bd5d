"""`lanjie train`: fit models from data of your own. No weights are shipped."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from msgspec import structs
from rich.console import Console

from detectors.score import ScoreModel
from stream.cli.replay import refuse_overwriting
from stream.clock import SystemClock
from stream.labelled import LabelledError, read_labelled
from stream.model_files import write_model
from stream.training import LABELS, POSITIVE, fit
from stream.training_report import pages, report
from stream.wire import dump_json

SHOWN: Final = 20  # bad rows on stderr; all are counted
_WIDTH: Final = 180


@click.group()
def train() -> None:
    """Fit models from labelled data."""


@train.command()
@click.argument(
    "files", nargs=-1, required=True, metavar="LABELLED...", type=click.Path(dir_okay=False, path_type=Path)
)
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The model file to write.")
@click.option(
    "--positive", default=",".join(POSITIVE), show_default=True, help="Labels that count as positive, parted by commas."
)
@click.option("--licence", default="", help="Of the data, in your words; it stays with the model.")
@click.option(
    "--max-false-alarms",
    type=click.FloatRange(0, 1),
    default=0.001,
    show_default=True,
    help="Share of the ham, and of all negatives, that may be told.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the folds.")
@click.option("--folds", type=click.IntRange(2, 50), default=5, show_default=True, help="Of the cross-validation.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the page.")
def sms(
    *,
    files: tuple[Path, ...],
    out: Path,
    positive: str,
    licence: str,
    max_false_alarms: float,
    seed: int,
    folds: int,
    as_json: bool,
) -> None:
    """Fit the message score: a linear classifier over hashed character n-grams.

    LABELLED is JSON lines {"text", "label", "class"?} or CSV text,label, plain or packed; its name is the source.
    Labels other than the positive ones are ad, ham and other. Needs the extra `train`.
    """
    refuse_overwriting(map(str, files), str(out))
    if not out.parent.is_dir():
        raise click.UsageError(f"--out {out}: there is no folder {out.parent}")
    clock, told = SystemClock(), _Told()
    started = clock.monotonic()
    chosen = frozenset(part.strip() for part in positive.split(",") if part.strip())
    rows = read_labelled(files, LABELS | chosen, told.bad)
    fitted = fit(
        rows,
        positive=chosen,
        folds=folds,
        seed=seed,
        max_false_alarms=max_false_alarms,
        licence=licence,
        created=datetime.fromtimestamp(clock.wall_ms() / 1000, UTC).isoformat(timespec="seconds"),
        told=told.step,
    )
    figures = report(rows, fitted)
    model = fitted.model
    model = ScoreModel(model.weights, model.parameters, structs.replace(model.made, report=figures))
    size = write_model(model, out)
    figures |= {"refused": told.refused, "model": model.version, "licence": licence, "bytes": size}
    _print(figures, model, out, as_json=as_json, seconds=clock.monotonic() - started)


class _Told:
    """What is going on, on stderr."""

    def __init__(self) -> None:
        self.refused = 0

    def bad(self, error: LabelledError) -> None:
        """Of a row that cannot be used."""
        self.refused += 1
        if self.refused <= SHOWN:
            click.echo(str(error), err=True)
        elif self.refused == SHOWN + 1:
            click.echo("... more refused rows are counted but not shown", err=True)

    def step(self, name: str) -> None:
        """Of a step, if somebody is looking."""
        if sys.stderr.isatty():
            click.echo(f"> {name}", err=True)


def _print(figures: dict[str, Any], model: ScoreModel, out: Path, *, as_json: bool, seconds: float) -> None:
    if as_json:
        click.echo(dump_json(figures), nl=False)
    else:
        console = Console(width=_WIDTH, highlight=False)
        for table in pages(figures):
            console.print(table)
        click.echo(
            f"{figures['rows']:,} rows ({figures['positive']:,} positive), {figures['refused']:,} refused; "
            f"{figures['clusters']:,} clusters of near-duplicates, the largest of {figures['largest_cluster']:,}"
        )
        click.echo(f"{out}: {figures['bytes']:,} bytes, version {model.version}, {seconds:.0f} s")
        click.echo(f"told from p = {model.parameters.threshold:.4f}; use it with LANJIE_MODEL={out} or --model {out}")
    if not model.made.licence:
        click.echo("licence of the data: not stated (--licence); do not pass this model on", err=True)
