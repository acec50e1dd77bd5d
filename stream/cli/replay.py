"""`lanjie replay`: the worker's engine over event logs, or over a time range of the topics.

The same logs, lists and rules give the same bytes, in however many processes: nothing of the machine or the clock is in
a decision. Windows use event time, so logs are best given in the order of their events; what is late is counted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, Final

import click
from prometheus_client import CollectorRegistry
from rich.console import Console

from detectors.engine import Engine, Snapshot
from stream.cli.changing import where
from stream.cli.moments import Moment
from stream.cli.replay_shown import Rejects, bar, show
from stream.clock import SystemClock
from stream.hashes import keep_hashes
from stream.logs import STDIN, LogError, expanded, rereadable, sizes_of
from stream.metrics import Metrics
from stream.replaying.decide import Decide, joined
from stream.replaying.dump import dump
from stream.replaying.resume import EVERY, Resume, ResumeError, digest_of_files, refuse_others
from stream.replaying.run import Ran, processors, run_jobs
from stream.replaying.tally import digest_of, report
from stream.replaying.timeline import DecideAsItWas, Timeline
from stream.settings import ListFile, Settings
from stream.sources import load_snapshot
from stream.topics import PARTITIONS
from stream.wire import dump_json

AS_IT_WAS: Final = "as it was"  #: in place of one version; every decision names its own
BATCH: Final = 500  # as a worker's chunk: the same batch-first engine path


@click.command()
@click.argument("logs", nargs=-1, metavar="[LOG]...")
@click.option("--from", "since", type=Moment(), help="Without LOG: events on the input topics from then on.")
@click.option("--to", "until", type=Moment(), help="And before then.  [default: now]")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), help="Decisions, one JSON object a line; - for stdout."
)
@click.option(
    "--lists", multiple=True, metavar="[KIND:]PATH", help="A number list; KIND is block, grey, allow or protected."
)
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False),
    help="Takes the lines that are no event, as they are.  [default: OUTPUT.rejects]",
)
@click.option("--market", help="Decisions carry this market's responses: a profile of responses.toml, such as cn.")
@click.option(
    "--rules", type=click.Path(file_okay=False, exists=True, path_type=Path), help="Folder of a rule pack of your own."
)
@click.option("--model", type=click.Path(dir_okay=False, path_type=Path), help="A model file of the message score.")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=processors,
    help="The result does not depend on it.  [default: all]",
)
@click.option(
    "--partitions",
    type=click.IntRange(min=1),
    default=PARTITIONS,
    show_default=True,
    help="Of the input topics of the workers to be compared with: callers of one partition are counted together.",
)
@click.option("--as-of", type=Moment(), help="By the pipeline's lists and rules as they were then.")
@click.option("--as-it-was", is_flag=True, help="Each event by the lists and rules of its own time.")
@click.option(
    "--resume",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for resting points: a run that was stopped goes on there when it is called again.",
)
@click.option(
    "--rest-every", type=click.IntRange(min=1), default=EVERY, show_default=True, help="Events, with --resume."
)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Takes the summary.")
@where
def replay(
    *,
    settings: Settings,
    logs: tuple[str, ...],
    since: int | None,
    until: int | None,
    output: str | None,
    lists: tuple[str, ...],
    rejects: str | None,
    market: str | None,
    rules: Path | None,
    model: Path | None,
    processes: int,
    partitions: int,
    as_of: int | None,
    as_it_was: bool,
    resume: Path | None,
    rest_every: int,
    json_file: Path | None,
) -> None:
    """Decide event logs again, as a worker does.

    LOG is JSON lines, plain, gzip or zstd, or a folder of such; - is stdin. Bad lines are reported and do not change
    the exit code.

    With --from the events come from the topics of a pipeline, in the order in which its workers decided them. Lists and
    rules are those of the files, or of the pipeline at a time (--as-of, --as-it-was), which its changes are laid on.
    """
    for wrong, text in (
        (bool(logs) == (since is not None), "say which events: LOG..., or --from TIME for those on the topics"),
        (until is not None and since is None, "--to goes with --from"),
        (as_of is not None and as_it_was, "--as-of and --as-it-was exclude each other"),
    ):
        if wrong:
            raise click.UsageError(text)
    logs = expanded(logs)
    sizes_of(logs)  # they are there: before anything is written
    if resume and (since is not None or not all(map(rereadable, logs)) or output == STDIN):
        raise click.UsageError("--resume needs LOG... that are files, and an output that is one")
    rejects = _rejects(logs, output, rejects, json_file, model, *(file.path for file in list_files(lists)))
    if resume:
        refuse_others(resume)
        keep_hashes(resume)
    if json_file:
        with sink(str(json_file), 0):
            pass  # it can be written: or all would be decided first
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    metrics, clock = Metrics(CollectorRegistry()), SystemClock()
    snapshot = load_snapshot(list_files(lists), metrics=metrics, clock=clock, rules=rules, model=model)
    make, snapshot = _maker(settings, snapshot, market, as_of=as_of, as_it_was=as_it_was, output=output is not None)
    with ExitStack() as stack:
        if since is not None:
            logs, partitions = _fetched(settings, since, clock.wall_ms() if until is None else until, stack)
        resting = None
        if resume:
            what = {"lists": snapshot.lists_version, "rules": snapshot.rules_version, "market": market or ""}
            what |= {"partitions": str(partitions), AS_IT_WAS: str(as_it_was), "outputs": f"{output} {rejects}"}
            what |= {"logs": digest_of_files(logs), "model": digest_of_files([str(model)] if model else [])}
            resting = Resume(resume, what | {"callers": str(settings.max_callers)}, rest_every)
        started = clock.monotonic()
        files = _Files(stack, resting, output=output, rejects=rejects)
        ran = run_jobs(
            logs,
            make,
            processes=processes,
            shards=partitions,
            write=files.write if output else None,
            on_reject=lambda each: files.bad.add(each.where, each.raw, each.code, each.text),
            progress=bar(logs, stack),
            resume=resting,
            on_rest=files.rest,
        )
    if rejects and not ran.rejected and Path(rejects).is_file():
        Path(rejects).unlink()  # an empty file would look like a finding
    tally, digests = joined(ran.results)
    summary = report(
        tally,
        ran.rejected,
        digest=digest_of(digests.items()),
        seconds=clock.monotonic() - started,
        lists=AS_IT_WAS if as_it_was else snapshot.lists_version,
        rules=AS_IT_WAS if as_it_was else snapshot.rules_version,
    )
    if json_file:
        json_file.write_bytes(dump_json(summary))
    show(Console(stderr=output == STDIN), summary)
    if ran.cut:
        raise LogError(ran.cut)  # what came before is decided, written and summed up
    if resting:
        resting.done()


def _rejects(
    logs: Sequence[str], output: str | None, given: str | None, json_file: Path | None, *inputs: Path | None
) -> str | None:
    """Where bad lines go; what is written is no input, and no two of it are the same."""
    rejects = given or (f"{output}.rejects" if output and output not in (STDIN, os.devnull) else None)
    summary = str(json_file) if json_file else None
    refuse_overwriting([*logs, *(str(path) for path in inputs if path)], output, rejects, summary)
    written = [Path(path).resolve() for path in (output, rejects, summary) if path and path not in (STDIN, os.devnull)]
    if len(set(written)) < len(written):
        raise click.UsageError("--output, --rejects and --json: two of them are the same file")
    if STDIN in (rejects, summary):
        raise click.UsageError("--rejects and --json: expected a file, not -")
    return rejects


def _maker(
    settings: Settings, files: Snapshot, market: str | None, *, as_of: int | None, as_it_was: bool, output: bool
) -> tuple[Callable[[], Decide], Snapshot]:
    """What makes the job, and what it begins with."""
    start, timeline = files, None
    if as_it_was or as_of is not None:
        timeline = asyncio.run(Timeline.read(settings, files))
        start = files if as_of is None else asyncio.run(timeline.at(as_of))

    def make() -> Decide:
        # No caps: what the brake does goes by all the traffic of a moment, and is recorded as a change.
        engine = Engine(start, market=market, max_callers=settings.max_callers, capped=False)
        if timeline and as_it_was:
            return DecideAsItWas(engine, timeline, output=output)
        return Decide(engine, output=output)

    return make, start


def _fetched(settings: Settings, since: int, until: int, stack: ExitStack) -> tuple[tuple[str, ...], int]:
    """The events of a time range as a log, and the number of partitions."""
    if until <= since:
        raise click.UsageError("--to is not after --from")
    path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lanjie-"))) / "topics"
    found = asyncio.run(dump(settings, since, until, path))
    for count, what in (
        (found.tombstones, "records without a value are left out"),
        (found.elsewhere, "events were in another partition than their acting number says; they are decided in that"),
    ):
        if count:
            click.echo(f"{count:,} {what}", err=True)
    return (str(path),), found.partitions


class _Files:
    """Where decisions and bad lines go; what an earlier run wrote after its last resting point is cut off."""

    def __init__(self, stack: ExitStack, resume: Resume | None, *, output: str | None, rejects: str | None) -> None:
        sizes = resume.kept.sizes if resume and resume.kept else {}
        self._resume = resume
        self._files = {
            name: stack.enter_context(sink(path, sizes.get(name, 0)))
            for name, path in (("output", output), ("rejects", rejects))
            if path
        }
        self.bad = Rejects(self._files.get("rejects"))

    def write(self, lines: Sequence[bytes]) -> None:
        """Decisions."""
        self._files["output"].write(b"\n".join(lines) + b"\n")

    def rest(self, ran: Ran) -> None:
        """All so far is to be found again."""
        if self._resume:
            for file in self._files.values():
                file.flush()
                os.fsync(file.fileno())
            sizes = {name: file.tell() for name, file in self._files.items()}
            self._resume.keep(ran.events, sizes, ran.rejected)


def list_files(texts: Iterable[str]) -> tuple[ListFile, ...]:
    """``KIND:PATH`` options, read as LANJIE_LISTS is."""
    return tuple(file for text in texts for file in Settings.of({"lists": text}).lists)


def refuse_overwriting(logs: Iterable[str], *outputs: str | None) -> None:
    """An output that is an input too would destroy it.

    Raises:
        click.UsageError: one is.
    """
    inputs = {Path(log).resolve() for log in logs if log != STDIN}
    for output in outputs:
        if output and output != STDIN and Path(output).resolve() in inputs:
            raise click.UsageError(f"{output} is also an input: it would be overwritten")


def sink(path: str, size: int) -> Any:
    """A file to be written from some size on."""
    if path == STDIN:
        return nullcontext(sys.stdout.buffer)
    try:
        if not size:
            return Path(path).open("wb")
        file = Path(path).open("r+b")  # noqa: SIM115 - who called closes it
        if file.seek(0, os.SEEK_END) < size:
            raise ResumeError(f"{path}: has less than was written when the replay rested; delete the --resume folder")
        file.truncate(size)
        file.seek(size)
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from None
    return file
