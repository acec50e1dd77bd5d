"""What a list feed consists of: a list file, and a manifest of it that its maker signed.

    manifest.json       {"format":"lanjie-feed/1","feed":"operator-b","serial":17,"made":"2026-11-25T08:00:00Z",
                         "file":"list.csv.zst","size":123,"sha256":"...","entries":528000,"list":"block"}
    manifest.json.sig   base64 of the Ed25519 signature over ``lanjie-feed-v1``, a line feed, and the manifest's bytes
    list.csv.zst        whatever `lanjie lists build` reads, or what it writes; beside the manifest or below it

``entries`` counts different entries, ``list`` is that of rows that name none. A feed is whole: what is in the file is
on the list, all else is not; ``op`` has no place in it.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Final, Literal, NamedTuple, cast, get_args

import msgspec
import zstandard
from msgspec import Meta, Struct

from detectors.lists import Entry, Gone, ListKind, Sieve
from detectors.lists.build import Builder
from detectors.lists.parse import entry_of
from detectors.lists.table import Table
from detectors.model.errors import LanjieError, NumberListError
from detectors.model.numbers import mask
from stream.number_files import is_snapshot, open_table, read_file
from stream.settings import ListFile
from stream.updates.keys import Author, fits
from stream.updates.records import Digest, ListName, Name
from stream.whole_file import write_whole

FORMAT: Final = "lanjie-feed/1"
DOMAIN: Final = b"lanjie-feed-v1\n"  #: a signature over a manifest is one over nothing else
SUFFIX: Final = ".sig"
#: Of a list, unpacked, for each entry of the quota: a CSV row has 15 to 150, a JSON object up to 300.
ENTRY_BYTES: Final = 400
SPARE_BYTES: Final = 1 << 20  # a header, comments
ALL_KINDS: Final[tuple[ListName, ...]] = get_args(ListName)
_FILE: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*\Z"
_CHUNK: Final = 1 << 20
_DIGITS: Final = re.compile(r"\+?\d{7,}")
_PACKERS: Final[dict[bytes, Callable[[IO[bytes]], IO[bytes]]]] = {
    b"\x1f\x8b": lambda file: cast(IO[bytes], gzip.GzipFile(fileobj=file)),
    b"\x28\xb5\x2f\xfd": lambda file: zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True),
    b"\xfd7zXZ\x00": lambda file: cast(IO[bytes], lzma.LZMAFile(file)),  # noqa: SIM115 - the caller closes what it reads
}
#: What reading a table raises that somebody made by hand: its digest holds, but its arrays are nonsense.
_NONSENSE: Final = (
    msgspec.MsgspecError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


Code = Literal[
    "unreachable", "unsigned", "bad_signature", "wrong_feed", "outdated", "corrupt", "unusable", "kind", "quota",
    "shrunken", "grown", "count",
]  # fmt: skip
Report = Callable[[NumberListError], None]


class FeedRefused(LanjieError):  # noqa: N818 - what happened to the feed; nothing went wrong here
    """A feed is not taken, not even in part; the content in force stays.

    Attributes:
        code: ``unreachable``; ``unsigned``, ``bad_signature``; ``wrong_feed``; ``outdated`` (its serial, or made in
            the future); ``corrupt`` (size, digest); ``unusable`` (what it says); ``kind`` (of list), ``quota``,
            ``shrunken``, ``grown``, ``count`` (of entries). Closed: it may label a metric.
    """

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code: Code = code


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """See above. ``file`` is relative to the manifest's place and never leads out of it."""

    format: Literal["lanjie-feed/1"]
    feed: Name
    serial: Annotated[int, Meta(ge=1, le=1 << 53)]
    made: Annotated[datetime, Meta(tz=True)]
    file: Annotated[str, Meta(pattern=_FILE, max_length=200)]
    size: Annotated[int, Meta(ge=1, le=1 << 40)]
    sha256: Digest
    entries: Annotated[int, Meta(ge=1, le=1 << 40)]
    list: ListName = "block"

    @property
    def made_ms(self) -> int:
        """``made``, ms UTC."""
        return int(self.made.timestamp() * 1000)


class Reading(NamedTuple):
    """What a list file says, how many rows it has, and how many of them were refused."""

    table: Table
    rows: int
    refused: int
    first: str  #: why the first was


def verified(manifest: bytes, signature: bytes, key: str, where: str) -> Manifest:
    """The manifest, once it is known who signed it.

    Raises:
        FeedRefused: nobody whom we know did, or it is no manifest.
    """
    if not fits(key, signature.decode("latin-1").removesuffix("\n"), DOMAIN + manifest):
        raise FeedRefused("bad_signature", f"{where}{SUFFIX}: not made over this manifest with the key of the feed")
    try:
        return msgspec.json.decode(manifest, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FeedRefused("unusable", f"{where}: {error}; expected a manifest of format {FORMAT}") from None


def check_bytes(path: Path, manifest: Manifest, shown: str) -> None:
    """Let a file pass that is what its manifest says.

    Raises:
        FeedRefused: ``corrupt``.
    """
    if (size := path.stat().st_size) != manifest.size:
        raise FeedRefused("corrupt", f"{shown}: {size:,} bytes; expected {manifest.size:,} as in the manifest")
    if (digest := _sha256(path)) != manifest.sha256:
        raise FeedRefused("corrupt", f"{shown}: SHA-256 {digest[:16]}...; expected {manifest.sha256[:16]}...")


def read_list(
    path: Path,
    feed: str,
    kind: ListName,
    *,
    shown: str,
    kinds: Sequence[ListName] = ALL_KINDS,
    max_entries: int | None = None,
    report: Report | None = None,
) -> Reading:
    """The entries of a feed's file.

    Args:
        feed: source of the entries that name none.
        kind: list of the same.
        shown: what messages call the file.
        kinds: lists on which entries may be.
        max_entries: rows that are read.
        report: told of each row that is refused.

    Raises:
        FeedRefused: it must not be used at all.
    """
    if max_entries is not None:
        _check_unpacked(path, max_entries * ENTRY_BYTES + SPARE_BYTES, shown)
    builder, rows = Builder(), _Rows(max_entries, shown, report)
    allowed = {_kind(name) for name in kinds}
    try:
        for found in rows.counted(_entries(path, feed, kind, rows.refuse)):
            if isinstance(found, Gone):
                raise FeedRefused("unusable", f"{shown}: has op=remove; expected none, as a feed is always whole")
            if found.provenance.kind not in allowed:
                listed = found.provenance.kind.name.lower()
                raise FeedRefused("kind", f"{shown}: an entry is on the {listed} list; expected {', '.join(kinds)}")
            builder.add(found)
    except NumberListError as error:
        raise FeedRefused("unusable", rows.text(path, error)) from None
    if not rows.used:
        raise FeedRefused("unusable", f"{shown}: 0 of {rows.refused:,} rows usable; first: {rows.first}")
    return Reading(builder.build(), rows.used + rows.refused, rows.refused, rows.first)


def sign(
    file: Path, manifest: Path, author: Author, *, serial: int, kind: ListName, now_ms: int, report: Report
) -> Manifest:
    """Write the manifest of a list file and its signature; ``author`` has the name and the key of the feed.

    Raises:
        FeedRefused: the file has no usable row, or one that no feed may have.
        TrustError: there is no key.
        LanjieError: a file cannot be read or written, or does not lie with the manifest.
    """
    try:
        place = file.resolve().relative_to(manifest.parent.resolve()).as_posix()
    except ValueError:
        raise LanjieError(
            f"{file}: expected beside {manifest} or below it, as the feed is fetched from there"
        ) from None
    if not re.match(_FILE, place):
        raise LanjieError(f"{place!r}: expected a name of letters, digits, dots, dashes and underscores")
    reading = read_list(file, author.name, kind, shown=str(file), report=report)
    made = datetime.fromtimestamp(now_ms // 1000, UTC)
    size, digest = file.stat().st_size, _sha256(file)
    said = Manifest(FORMAT, author.name, serial, made, place, size, digest, len(reading.table), kind)
    data = msgspec.json.encode(said) + b"\n"
    signature = author.sign(DOMAIN + data).encode() + b"\n"
    try:
        write_whole(manifest.with_name(manifest.name + SUFFIX), [signature])
        write_whole(manifest, [data])
    except OSError as error:
        raise LanjieError(f"{manifest}: {error.strerror}") from None
    return said


class _Rows:
    """Counts rows, and keeps what may be said of them."""

    def __init__(self, limit: int | None, shown: str, report: Report | None) -> None:
        self.used, self.refused, self.first = 0, 0, ""
        self._limit, self._shown, self._report = limit, shown, report

    def counted(self, found: Iterable[Entry | Gone]) -> Iterator[Entry | Gone]:
        for each in found:
            self.used += 1
            self._check()
            yield each

    def refuse(self, path: Path, error: NumberListError) -> None:
        self.refused += 1
        self.first = self.first or self.text(path, error)
        if self._report:
            self._report(error)
        self._check()

    def _check(self) -> None:
        if self._limit is not None and (self.used > self._limit or self.refused > self._limit):
            raise FeedRefused("quota", f"{self._shown}: more than {self._limit:,} rows; expected at most these")

    def text(self, path: Path, error: Exception) -> str:
        """What is wrong, under the name that the reader knows, and with no number in clear."""
        text = str(error).replace(str(path), "\0")
        return _DIGITS.sub(lambda found: mask(found[0]), text).replace("\0", self._shown)


def _entries(
    path: Path, feed: str, kind: ListName, refuse: Callable[[Path, NumberListError], None]
) -> Iterator[Entry | Gone]:
    if not is_snapshot(path):
        yield from read_file(ListFile(path, _kind(kind)), refuse, source=feed)
        return
    sieve = Sieve()
    try:
        for entry in open_table(path).entries():
            if problem := _problem(entry, sieve):
                refuse(path, NumberListError(f"{path}: {problem}"))
            else:
                yield entry
    except _NONSENSE:
        raise NumberListError(f"{path}: no number snapshot, though it begins as one; build it again") from None


def _problem(entry: Entry, sieve: Sieve) -> str:
    """Why an entry of a table must not be used. Its maker is another: it gets what the rows of a text get."""
    weight = entry.provenance.weight
    if weight is not None and not 0 <= weight <= 200:
        return "$.weight: expected a number from 0 to 200"
    try:
        sieve.check(entry)
        if entry_of(entry.pattern, entry.provenance) != entry:
            return "$.number: not written as canonical numbers are"
    except ValueError as error:
        return str(error)
    return ""


def _check_unpacked(path: Path, limit: int, shown: str) -> None:
    """A small file may unpack to one that fills the memory: look before it is read. What is damaged is told then."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
            file.seek(0)
            opener = next((opener for magic, opener in _PACKERS.items() if head.startswith(magic)), None)
            unpacked, size = opener(file) if opener else file, 0
            while block := unpacked.read(_CHUNK):
                size += len(block)
                if size > limit:
                    raise FeedRefused("quota", f"{shown}: unpacks to more than {limit:,} bytes, too much for its quota")
    except (EOFError, zstandard.ZstdError, lzma.LZMAError, OSError):
        return


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kind(name: str) -> ListKind:
    return ListKind[name.upper()]
