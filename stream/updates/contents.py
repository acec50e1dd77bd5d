"""Blobs on ``contents.v1``: zstd-compressed, in parts of half a MiB, found again by the offset of the first."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Final

import zstandard

from stream.kafka import Kafka
from stream.updates.aside import aside
from stream.updates.records import Content
from stream.updates.tail import Tail, TailError

PART_BYTES: Final = 512 << 10  # the broker's limit for a batch is 1 MiB
MAX_REQUEST_BYTES: Final = 1 << 20
MAX_BYTES: Final = 1 << 30  # of one blob, unpacked: 100 million numbers
_LEVEL: Final = 3
FETCH_TIMEOUT: Final = 60.0  # seconds


class ContentError(TailError):
    """A blob is not there, or not what its record says."""


def pack(data: bytes) -> tuple[str, list[bytes]]:
    """Digest and parts."""
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(data)
    parts = [packed[at : at + PART_BYTES] for at in range(0, len(packed), PART_BYTES)]
    return hashlib.sha256(data).hexdigest(), parts


def unpack(content: Content, parts: list[bytes], where: str) -> bytes:
    """The blob.

    Raises:
        ContentError: it is not what its record says.
    """
    if content.size > MAX_BYTES:
        raise ContentError(f"{where}: {content.size:,} bytes; expected at most {MAX_BYTES:,}")
    packed, data = b"".join(parts), b""
    try:
        if zstandard.frame_content_size(packed) == content.size:  # else it could unpack to anything
            data = zstandard.ZstdDecompressor().decompress(packed, max_output_size=content.size)
    except zstandard.ZstdError:
        data = b""
    if hashlib.sha256(data).hexdigest() != content.digest:
        raise ContentError(f"{where}: damaged (SHA-256 differs from that in its record)")
    return data


def part_key(digest: str, n: int) -> bytes:
    """The key of part ``n``."""
    return f"{digest}/{n}".encode()


async def fetch(kafka: Kafka, topic: str, content: Content) -> bytes:
    """Read a blob.

    Raises:
        ContentError: it is not there, or not what its record says.
        TailError: the topic cannot be read.
    """
    where = f"{topic} from offset {content.offset}"
    if content.parts > content.size // PART_BYTES + 2:
        raise ContentError(
            f"{where}: {content.parts:,} parts for {content.size:,} bytes; expected one for each half MiB"
        )
    parts: list[bytes] = []
    async with Tail(kafka, {topic: content.offset}) as tail:
        _, end = (await tail.span())[topic]  # a record is committed together with its blob: no use in waiting for more
        try:
            async with asyncio.timeout(FETCH_TIMEOUT):
                while len(parts) < content.parts and (await tail.positions())[topic] < end:
                    for record in await tail.more(1.0):
                        if record.key == part_key(content.digest, len(parts)):
                            parts.append(record.value or b"")
        except TimeoutError:
            raise ContentError(f"{where}: not read within {FETCH_TIMEOUT:g} s") from None
    if len(parts) < content.parts:
        raise ContentError(f"{where}: {len(parts)} of {content.parts} parts are there")
    return await aside(unpack, content, parts, where)
