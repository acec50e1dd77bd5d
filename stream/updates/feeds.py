"""List feeds of others: fetch what is new, and take it whole or not at all.

1. The manifest and its signature; nothing in it is believed before the signature fits.
2. The file, streamed to disk, no more bytes than the signed manifest says, and that no more than the quota allows.
3. Its size and SHA-256; then its rows, by the parser of all lists, and what the trust file says of them.
4. What it is compared with: the content in force. Again when it is written, as that may have changed since.

What of 1 to 4 fails is a ``FeedRefused``; the content in force stays. All downloads of a feed share one deadline.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from detectors.lists import file as snapshot_file
from detectors.model.errors import LanjieError
from stream.updates.feed_files import (
    ENTRY_BYTES,
    SPARE_BYTES,
    SUFFIX,
    FeedRefused,
    Manifest,
    check_bytes,
    read_list,
    verified,
)
from stream.updates.feed_sources import Source, opened
from stream.updates.records import Content, FeedRecord
from stream.updates.trust import FeedTrust

DEADLINE: Final = 600.0  # seconds for all downloads of a feed: 100 MB at 1.4 Mbit/s
MAX_AHEAD_MS: Final = 300_000  # a manifest from the future: clocks differ, but not by more
MANIFEST_BYTES: Final = 64 << 10
SIGNATURE_BYTES: Final = 1 << 10


class Fetched(NamedTuple):
    """New content of a feed, checked.

    Attributes:
        data: a snapshot file (``detectors.lists.file``).
        entries: how many are in it.
        refused: rows that were left out.
        serial: of the manifest.
        made: ms UTC, of the manifest.
        etag: to be given to ``fetch`` the next time, once this content is accepted.
    """

    data: bytes
    entries: int
    refused: int
    serial: int
    made: int
    etag: str

    @property
    def digest(self) -> str:
        """As ``Content`` has it."""
        return hashlib.sha256(self.data).hexdigest()


class Unchanged(NamedTuple):
    """The content in force is the newest. ``etag`` as in ``Fetched``."""

    etag: str


class FeedsError(LanjieError):
    """We could not look at a feed, and that is no fault of the feed."""


async def fetch(
    feed: str, trust: FeedTrust, *, last: Content | None, etag: str | None, now_ms: int, folder: Path
) -> Fetched | Unchanged:
    """What is new in a feed.

    Args:
        last: the content that was accepted last.
        etag: of the last look, if nothing has changed here since: then an unchanged manifest is all that is read.
        folder: for the download; made if it is not there.

    Raises:
        FeedRefused: it cannot be reached or is not taken; nothing has changed.
        FeedsError: the download cannot be written.
    """
    try:
        with _workspace(folder) as work:
            async with opened(trust.source) as source:
                got = await _download(source, _Look(feed, trust, last, etag, now_ms), work)
            if got is None:
                return Unchanged(etag or "")
            fetched = await asyncio.to_thread(_read, got, trust)
    except OSError as error:
        raise FeedsError(f"{folder}: {error.strerror}: the download could not be kept there") from None
    return fetched if is_new(fetched, last, trust) else Unchanged(fetched.etag)


def is_new(fetched: Fetched, last: Content | None, trust: FeedTrust) -> bool:
    """Whether it may take the place of the content in force; False: it is that content.

    Raises:
        FeedRefused: ``outdated``, ``shrunken`` or ``grown``.
    """
    if last is None:
        return True
    serial = _serial(last)
    if fetched.serial == serial and fetched.digest == last.digest:
        return False
    if fetched.serial <= serial:
        raise FeedRefused("outdated", f"$.serial: {fetched.serial}, with other content; expected more than {serial}")
    lost, won = last.count - fetched.entries, fetched.entries - last.count
    if lost > _part(trust.max_shrink, last.count):
        raise FeedRefused("shrunken", _compared(fetched, last, f"to have lost at most {trust.max_shrink:.2%} of them"))
    if won > _part(trust.max_growth, last.count):
        raise FeedRefused("grown", _compared(fetched, last, f"to have grown by at most {trust.max_growth:.2%}"))
    return True


def next_record(before: FeedRecord | None, content: Content, trust: FeedTrust) -> FeedRecord:
    """The record that puts new content in the place of the old.

    A new feed begins as the trust file says. In one that is there only the content changes: an update of an enforced
    feed is enforced, what is tried stays on trial beside what is ``live``, and a cap that a person has set stays.
    """
    if before is None:
        mode, share = trust.first_stage
        return FeedRecord(content, mode, share, cap=trust.cap, stale_after=trust.stale_seconds)
    cap = before.cap or trust.cap
    return msgspec.structs.replace(before, content=content, cap=cap, stale_after=trust.stale_seconds)


class _Look(NamedTuple):
    """The arguments of ``fetch``."""

    feed: str
    trust: FeedTrust
    last: Content | None
    etag: str | None
    now_ms: int


class _Download(NamedTuple):
    """A file, the signed manifest that it must fit, the etag of that, and what messages call the file."""

    path: Path
    manifest: Manifest
    etag: str
    shown: str


async def _download(source: Source, look: _Look, work: Path) -> _Download | None:
    """Manifest and file; None if the manifest is the one that had ``etag`` before."""
    body, signature, where = io.BytesIO(), io.BytesIO(), source.where()
    try:
        async with asyncio.timeout(DEADLINE):
            tag = await source.read("", body, MANIFEST_BYTES, etag=look.etag)
            if tag is None or tag == look.etag:
                return None
            await source.read(SUFFIX, signature, SIGNATURE_BYTES, missing="unsigned")
            manifest = verified(body.getvalue(), signature.getvalue(), look.trust.key, where)
            _check_manifest(manifest, look, where)
            path = work / Path(manifest.file).name
            with await asyncio.to_thread(path.open, "wb") as out:
                await source.read(manifest.file, out, manifest.size)
    except TimeoutError:
        raise FeedRefused("unreachable", f"{where}: the feed was not read within {DEADLINE:g} s") from None
    return _Download(path, manifest, tag, source.where(manifest.file))


def _check_manifest(manifest: Manifest, look: _Look, where: str) -> None:
    """Before anything large is read."""
    feed, trust, last, _, now_ms = look
    if manifest.feed != feed:
        raise FeedRefused("wrong_feed", f"{where}: $.feed: {manifest.feed}; expected {feed}")
    if last and manifest.serial < _serial(last):
        found = f"{manifest.serial}; expected more than {last.serial}, which is in force"
        raise FeedRefused("outdated", f"{where}: $.serial: {found}")
    if manifest.made_ms > now_ms + MAX_AHEAD_MS:
        ahead = (manifest.made_ms - now_ms) // 1000
        raise FeedRefused("outdated", f"{where}: $.made: {ahead:,} s from now; expected a time that has come")
    if manifest.entries > trust.max_entries:
        found = f"{manifest.entries:,}; expected at most {trust.max_entries:,}, its quota"
        raise FeedRefused("quota", f"{where}: $.entries: {found}")
    if manifest.size > (most := trust.max_entries * ENTRY_BYTES + SPARE_BYTES):
        raise FeedRefused("quota", f"{where}: $.size: {manifest.size:,} bytes; expected at most {most:,} for its quota")


def _read(got: _Download, trust: FeedTrust) -> Fetched:
    """The checked file as a snapshot."""
    path, manifest, etag, shown = got
    check_bytes(path, manifest, shown)
    reading = read_list(
        path, manifest.feed, manifest.list, shown=shown, kinds=trust.kinds, max_entries=trust.max_entries
    )
    if reading.refused > _part(trust.max_refused, reading.rows):
        found = (
            f"{reading.refused:,} of {reading.rows:,} rows unusable; expected at most {trust.max_refused:.2%} of them"
        )
        raise FeedRefused("unusable", f"{shown}: {found}; first: {reading.first}")
    count = len(reading.table)
    # Its maker may use what we refuse; but what is missing must be among that.
    if not count <= manifest.entries <= count + reading.refused:
        found = f"{count:,} different entries and {reading.refused:,} unusable rows"
        raise FeedRefused("count", f"{shown}: {found}; expected {manifest.entries:,} entries as in the manifest")
    data = b"".join(snapshot_file.write(reading.table))
    return Fetched(data, count, reading.refused, manifest.serial, manifest.made_ms, etag)


def _serial(last: Content) -> int:
    """As we wrote it; what another way of import calls a version is older than any serial."""
    return int(last.serial) if last.serial.isascii() and last.serial.isdigit() else 0


def _part(share: float, of: int) -> Fraction:
    """Exactly: 0.29 of 100 is 29, which floats do not know."""
    return Fraction(str(share)) * of


def _compared(fetched: Fetched, last: Content, expected: str) -> str:
    return (
        f"serial {fetched.serial}: {fetched.entries:,} entries after {last.count:,}; expected {expected}; if it is "
        "right, raise the limit in the trust file for once"
    )


@contextmanager
def _workspace(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as name:
        yield Path(name)
