"""Number lists and rules from disk to the engine's snapshot. Bad lines are counted and the rest is used."""

from __future__ import annotations

import gzip
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final, cast

import zstandard

from detectors.engine import Snapshot
from detectors.lists import NumberIndex, parse_lines
from detectors.lists.entry import Entry
from detectors.model.errors import NumberListError
from detectors.rulepack import load_rules
from stream.clock import Clock
from stream.metrics import Metrics
from stream.settings import ListFile

log = logging.getLogger(__name__)

FORMATS: Final = (".csv", ".jsonl", ".txt")
LOGGED_ERRORS: Final = 10  # per file; all are counted


class SourceError(NumberListError):
    """A list file cannot be read at all. The worker does not start without a list that it was told to use."""


def load_snapshot(lists: Sequence[ListFile], *, metrics: Metrics, clock: Clock) -> Snapshot:
    """Read, parse and compile everything; seconds for millions of numbers, so keep it off the event loop.

    Raises:
        SourceError: a file cannot be read.
        RuleError: the rules cannot be used.
    """
    started = clock.monotonic()
    snapshot = Snapshot.build(load_rules(), NumberIndex(_entries(lists, metrics)))
    report(snapshot, metrics, seconds=clock.monotonic() - started, now=clock.wall_ms() / 1000)
    return snapshot


def report(snapshot: Snapshot, metrics: Metrics, *, seconds: float, now: float) -> None:
    """Show in the metrics what is in force."""
    for name, size in snapshot.list_sizes.items():
        metrics.list_entries.labels(name).set(size)
    metrics.rules.set(snapshot.rule_count)
    metrics.versions.info({"lists": snapshot.lists_version, "rules": snapshot.rules_version})
    metrics.build_seconds.set(seconds)
    metrics.lists_loaded.set(now)
    metrics.rules_loaded.set(now)
    log.info(
        "lists %s and rules %s in force: %s numbers, %d rules, built in %.1f s",
        snapshot.lists_version,
        snapshot.rules_version,
        sum(snapshot.list_sizes.values()),
        snapshot.rule_count,
        seconds,
    )


def _entries(lists: Sequence[ListFile], metrics: Metrics) -> Iterator[Entry]:
    for file in lists:
        errors = 0
        with open_text(file.path) as lines:
            for found in parse_lines(lines, kind=file.kind, source=file.path.name, where=str(file.path)):
                if isinstance(found, Entry):
                    yield found
                    continue
                errors += 1
                if errors <= LOGGED_ERRORS:
                    log.warning("%s", found)
        if errors:
            metrics.list_errors.inc(errors)
            log.warning("%s: %d lines could not be used", file.path, errors)


def open_text(path: Path) -> IO[str]:
    """A list file as lines of text, unpacked by its suffix.

    Raises:
        SourceError: no such file, or a suffix that we do not know.
    """
    suffixes = path.suffixes
    packed = suffixes[-1] if suffixes and suffixes[-1] in _UNPACK else ""
    plain = path.with_suffix("").suffix if packed else path.suffix
    if plain not in FORMATS:
        raise SourceError(f"{path}: expected {', '.join(FORMATS)}, each also with {' or '.join(_UNPACK)} after it")
    try:
        raw: IO[bytes] = path.open("rb")
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; correct LANJIE_LISTS") from None
    return io.TextIOWrapper(_UNPACK[packed](raw) if packed else raw, encoding="utf-8-sig", errors="replace")


def _gzip(raw: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(fileobj=raw))


def _zstd(raw: IO[bytes]) -> IO[bytes]:
    return zstandard.ZstdDecompressor().stream_reader(raw)


_UNPACK: Final[dict[str, Callable[[IO[bytes]], IO[bytes]]]] = {".gz": _gzip, ".zst": _zstd}
