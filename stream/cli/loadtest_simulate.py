"""`lanjie loadtest simulate`, and the folder of a log that it writes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from detectors.model.errors import LanjieError
from detectors.model.events import Event
from loadtest.sim.profile import load
from loadtest.sim.truth import EventTruth, SubjectTruth, read_subjects, read_truth
from loadtest.sim.write import EVENTS, LISTS, PROFILE, SUBJECTS, TRUTH, write
from stream.logs import LogReader
from stream.wire import WireError, decode_event

#: Of a progress bar.
COLUMNS: Final = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
SEED: Final = click.option("--seed", type=click.IntRange(0), help="Instead of the profile's own.")


class LogFolderError(LanjieError):
    """A folder does not hold a simulated log, or cannot take one."""


class LogFolder:
    """A simulated log on disk.

    Attributes:
        lists: the number list that the operator has at the start.
        made_from: the profile, its scale and what came of it.
        name: of the profile.

    Raises:
        LogFolderError: a file is missing, or the last one is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        for name in (EVENTS, TRUTH, SUBJECTS, LISTS, PROFILE):
            if not (path / name).is_file():
                raise LogFolderError(f"{path / name} is not there; expected what `lanjie loadtest simulate` writes")
        self.lists = path / LISTS
        try:
            self.made_from: dict[str, Any] = msgspec.json.decode((path / PROFILE).read_bytes())
            self.name = str(self.made_from["profile"]["name"])
        except (msgspec.DecodeError, LookupError, TypeError):
            raise LogFolderError(f"{path / PROFILE}: not as it was written; simulate it again") from None

    def events(self) -> Iterator[tuple[Event, bytes]]:
        """Events in order, each with its line.

        Raises:
            LogError: the log is damaged.
            LogFolderError: a line is no event.
        """
        for line in LogReader([str(self.path / EVENTS)]):
            try:
                yield decode_event(line.raw), line.raw
            except WireError as error:
                raise LogFolderError(f"{line.where}: {error}") from None

    def truth(self) -> dict[str, EventTruth]:
        """By event id."""
        return read_truth(self.path / TRUTH)

    def subjects(self) -> dict[str, SubjectTruth]:
        """By number."""
        return read_subjects(self.path / SUBJECTS)


def make(profile: str, folder: Path, seed: int | None = None) -> LogFolder:
    """Simulate a profile into a folder.

    Raises:
        LanjieError: the profile cannot be used, the folder cannot be written or holds a log already.
    """
    found = load(profile)
    if (folder / EVENTS).exists():
        raise LogFolderError(f"{folder} already holds a log; name another folder, or remove it")
    found = found if seed is None else msgspec.structs.replace(found, seed=seed)
    with Progress(*COLUMNS, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("simulated", total=None)
        write(found, folder, lambda count: bar.update(task, completed=count))
    return LogFolder(folder)


@click.command()
@click.argument("profile")
@click.option("-o", "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Takes the log.")
@SEED
def simulate(*, profile: str, out: Path, seed: int | None) -> None:
    """Make a log with its truth from a profile.

    PROFILE is the name of a shipped one, or the path of a file. The same profile and seed give the same bytes.
    """
    made = make(profile, out, seed).made_from
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(made["by_kind"].items()))
    click.echo(f"{out}: {made['events']:,} events ({kinds}), {len(made['by_operation'])} operations")
    real = made["full_scale_per_second"]
    click.echo(f"at full scale {real['call_attempts']:,} call attempts/s and {real['sms']:,} SMS/s")
