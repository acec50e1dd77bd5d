"""A log through several processes, in the order of the log, with the result of one process.

    process 0   reads all, decides shards 0 2 ..   ── per block: its lines ──┐
    process 1   reads all, decides shards 1 3 ..   ── per block: its lines ──┤  parent: puts them in order, writes
                                                                             └─ at the end: what each has found

Reading a line and looking who it belongs to costs a tenth of deciding it, and needs no queue that could be uneven. The
processes are forked: lists and rules are loaded once, and their memory is shared.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

from detectors.model.errors import LanjieError
from stream.logs import LogReader, rereadable, sizes_of
from stream.replaying.job import Job
from stream.replaying.part import Part, Reject, Told, owned
from stream.replaying.resume import Resume

#: A process may be ahead of the slowest one by as many blocks as its pipe holds.
_FORK: Final = multiprocessing.get_context("fork")


class ReplayError(LanjieError):
    """A process of the replay ended before its work."""


@dataclass
class Ran:
    """What came of it.

    Attributes:
        results: of the jobs.
        events: lines that were decided or rejected.
        cut: what was wrong with the log; "" if it was read to its end.
    """

    results: list[Any] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    events: int = 0
    cut: str = ""


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(
    logs: Sequence[str],
    make: Callable[[], Job],
    *,
    processes: int,
    shards: int,
    write: Callable[[Sequence[bytes]], None] | None = None,
    on_reject: Callable[[Reject], None] | None = None,
    progress: Callable[[int], None] | None = None,
    resume: Resume | None = None,
    on_rest: Callable[[Ran], None] | None = None,
) -> Ran:
    """Decide all of ``logs``.

    Args:
        make: a job, in each process.
        processes: at most; one, if a log can be read only once, as stdin.
        write: takes the output's lines, in the order of the log.
        on_reject: takes each line that is no event, in the order of the log.
        progress: told how many bytes of the logs were read, packed.
        resume: where an earlier run came to; jobs must then be ``Rests``.
        on_rest: told of each resting point: all by then is handed out and can be gone on with.

    Raises:
        LogError: a log cannot be opened.
        ReplayError: a process ended before its work.
    """
    count = max(1, min(processes, shards)) if all(map(rereadable, logs)) else 1
    sizes = sizes_of(logs)
    shares = [_Share(logs, sizes, make, shards, own, n == 0, resume) for n, own in enumerate(owned(shards, count))]
    ran = Ran(events=resume.position if resume else 0)
    if resume and resume.kept:
        ran.rejected.update(resume.kept.rejected)
    with ExitStack() as stack:
        pipes: list[Connection] = []
        parts = [_forked(stack, share, pipes) if count > 1 else _work(share) for share in shares]
        for blocks in _together(parts, ran):
            _put(blocks, ran, write, on_reject)
            if progress:
                progress(blocks[0].read)
            if on_rest and blocks[0].rested:
                on_rest(ran)
    return ran


class _Share(NamedTuple):
    """What one process does."""

    logs: Sequence[str]
    sizes: Mapping[str, int]
    make: Callable[[], Job]
    shards: int
    own: Sequence[int]
    first: bool
    resume: Resume | None


def _work(share: _Share) -> Iterator[Any]:
    """Blocks, then the result."""
    job, resume = share.make(), share.resume
    if resume and resume.kept:
        job.load(resume.at(resume.position), share.own, first=share.first)  # type: ignore[attr-defined]  # it rests
    reader = LogReader(share.logs, share.sizes)
    yield from Part(reader, job, shards=share.shards, own=share.own, resume=resume)
    yield [job.result()]


def _forked(stack: ExitStack, share: _Share, pipes: list[Connection]) -> Iterator[Any]:
    """The same, in a process of its own.

    Args:
        pipes: our ends, of all processes.
    """
    ours, theirs = _FORK.Pipe(duplex=False)
    pipes.append(ours)
    gc.freeze()  # what is shared stays so: a collection would write to every object
    child = _FORK.Process(target=_child, args=(theirs, share, pipes), daemon=True)
    child.start()
    theirs.close()
    stack.callback(child.join)
    stack.callback(child.terminate)
    stack.callback(ours.close)
    return _received(ours, child)


def _child(to: Connection, share: _Share, pipes: list[Connection]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, who ends us
    for pipe in pipes:
        pipe.close()  # or nobody would ever hear that the parent is gone
    try:
        for said in _work(share):
            to.send(said)
    except LanjieError as error:
        to.send(ReplayError(str(error)))
    except BrokenPipeError:
        return  # the parent has had enough
    except Exception:  # noqa: BLE001 - the parent raises it
        to.send(traceback.format_exc())
    to.close()


def _received(pipe: Connection, child: Any) -> Iterator[Any]:
    while True:
        try:
            said = pipe.recv()
        except EOFError:
            child.join()
            raise ReplayError(f"a process of the replay ended with exit code {child.exitcode}") from None
        if isinstance(said, LanjieError):
            raise said
        if isinstance(said, str):
            raise ReplayError(f"a process of the replay failed:\n{said}")
        yield said
        if isinstance(said, list):
            return


def _together(parts: Sequence[Iterator[Any]], ran: Ran) -> Iterator[list[Told]]:
    """The same block of all; at the end their results."""
    while True:
        said = [next(part) for part in parts]
        if isinstance(said[0], list):
            ran.results = [result for (result,) in said]
            return
        yield said


def _put(
    blocks: Sequence[Told],
    ran: Ran,
    write: Callable[[Sequence[bytes]], None] | None,
    on_reject: Callable[[Reject], None] | None,
) -> None:
    first = ran.events
    ran.events, ran.cut = blocks[0].end, blocks[0].cut
    rejects = sorted(reject for block in blocks for reject in block.rejects)
    ran.rejected.update(reject.code for reject in rejects)
    if on_reject:
        for reject in rejects:
            on_reject(reject)
    if write and any(block.lines for block in blocks):
        if len(blocks) == 1:
            write(blocks[0].lines)
            return
        lines: list[bytes] = [b""] * (ran.events - first)
        for block in blocks:
            for position, line in zip(block.positions, block.lines, strict=True):
                lines[position - first] = line
        write([line for line in lines if line])
