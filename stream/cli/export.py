"""`lanjie export`: decisions for analysts, as Parquet or a DuckDB file."""

from __future__ import annotations

from pathlib import Path

import click

from stream.cli.changing import run
from stream.cli.report import Told, check_outputs, period_of, read_log, read_topic, settings_of, sources
from stream.logs import LogReader
from stream.reports.export import FORMS, Export, Subject, pseudonyms
from stream.reports.intake import Intake
from stream.reports.store import workplace

CLEAR = "--i-may-see-numbers"


@click.command()
@sources
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help=f"{' or '.join(FORMS)}."
)
@click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Key of the pseudonyms that stand for numbers in the column `subject`; without one there is no such column.",
)
@click.option(
    CLEAR,
    "clear",
    is_flag=True,
    help="The numbers themselves instead: you are allowed to have them. The file is yours only.",
)
def export(
    *,
    files: tuple[str, ...],
    since: str | None,
    until: str | None,
    zone: str,
    bootstrap: str | None,
    topic_prefix: str | None,
    output: Path,
    key_file: Path | None,
    clear: bool,
) -> None:
    """Write decisions as a table, one row each, for Parquet readers or DuckDB.

    DECISIONS are JSON lines as `lanjie replay -o` writes them, plain or packed; - is stdin. Without any they are read
    from the topic. Bad lines are reported and do not change the exit code. An event that was decided again has a row
    for each: take the first by event_id. Needs the extra `reports`.
    """
    if output.suffix not in FORMS:
        raise click.BadParameter(
            f"{output}: expected a name that ends with {' or '.join(FORMS)}", param_hint="--output"
        )
    if key_file and clear:
        raise click.UsageError(f"--key-file and {CLEAR}: expected one of them")
    period = period_of(since, until, zone)
    check_outputs([*files, *([str(key_file)] if key_file else [])], output)
    settings = settings_of(bootstrap=bootstrap, topic_prefix=topic_prefix)
    subject: Subject | None = str if clear else pseudonyms(key_file) if key_file else None
    intake = Intake(period, Told())
    logs = LogReader(files)
    with workplace() as folder:
        made = Export(folder, subject)
        failure = read_log(intake.decisions(logs), made.add)
        if not files:
            run(read_topic(settings, intake, made.add, period.since))
        rows = made.write(output, private=clear)
    click.echo(f"{output}: {rows:,} decisions; {intake.refused:,} lines refused, {intake.outside:,} outside the period")
    if failure:
        raise failure
