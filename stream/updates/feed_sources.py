"""Where the files of a list feed are: on the web or on the disk. Bytes come counted, and never more than agreed."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final, Protocol

import aiohttp
from yarl import URL

from stream.updates.feed_files import SUFFIX, Code, FeedRefused

CONNECT_TIMEOUT: Final = 10.0  # seconds
READ_TIMEOUT: Final = 30.0  # seconds without a byte
MAX_REDIRECTS: Final = 5
_CHUNK: Final = 1 << 16
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_ETAG_CHARS: Final = 200
_GONE: Final = (404, 410)
_OWN_ETAG: Final = "sha256:"  #: of the manifest, where the server gives none
_LOOPBACK: Final = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")


class Source(Protocol):
    """Where a feed is. ``name``: "" the manifest, ``SUFFIX`` its signature, or a file as the manifest names it."""

    def where(self, name: str = "") -> str:
        """What messages call it."""

    async def read(
        self, name: str, out: IO[bytes], limit: int, *, etag: str | None = None, missing: Code = "unreachable"
    ) -> str | None:
        """Write it to ``out``, ``limit`` bytes at most. Returns its etag; None if it has ``etag``.

        Raises:
            FeedRefused: it cannot be had, or is larger; ``missing`` is the code if it is not there.
        """


class _Out:
    """Bytes on their way out, counted and hashed."""

    def __init__(self, out: IO[bytes], limit: int, where: str) -> None:
        self._out, self._left, self._limit, self._where = out, limit, limit, where
        self._hash = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            raise FeedRefused("corrupt", f"{self._where}: more than {self._limit:,} bytes; expected at most these")
        self._hash.update(chunk)
        self._out.write(chunk)

    @property
    def etag(self) -> str:
        return _OWN_ETAG + self._hash.hexdigest()


class _Disk:
    def __init__(self, manifest: Path) -> None:
        self._manifest = manifest

    def where(self, name: str = "") -> str:
        return str(self._path(name))

    def _path(self, name: str) -> Path:
        if name in ("", SUFFIX):
            return self._manifest.with_name(self._manifest.name + name)
        return self._manifest.parent / name

    async def read(
        self,
        name: str,
        out: IO[bytes],
        limit: int,
        *,
        etag: str | None = None,  # noqa: ARG002 - a small file is read again, and its own etag compared
        missing: Code = "unreachable",
    ) -> str | None:
        return await asyncio.to_thread(self._copy, self._path(name), _Out(out, limit, self.where(name)), missing)

    def _copy(self, path: Path, out: _Out, missing: Code) -> str:
        try:
            if not path.is_file():
                raise FeedRefused(missing, f"{path}: not there; expected a file")
            opened = path.open("rb")
        except OSError as error:
            raise FeedRefused("unreachable", f"{path}: {error.strerror}") from None
        with opened:
            while chunk := opened.read(_CHUNK):
                out.write(chunk)
        return out.etag


class _Web:
    """https, or http on this machine."""

    def __init__(self, session: aiohttp.ClientSession, manifest: URL) -> None:
        self._session, self._manifest = session, manifest

    def where(self, name: str = "") -> str:
        return _plain(self._url(name))

    def _url(self, name: str) -> URL:
        """All have the query of the manifest, which may be what lets us in; so messages do not show it."""
        if name in ("", SUFFIX):
            return self._manifest.with_path(self._manifest.raw_path + name, encoded=True, keep_query=True)
        return self._manifest.join(URL(name)).with_query(self._manifest.query)

    async def read(
        self, name: str, out: IO[bytes], limit: int, *, etag: str | None = None, missing: Code = "unreachable"
    ) -> str | None:
        url, where = self._url(name), self.where(name)
        asked = {"If-None-Match": etag} if etag and not etag.startswith(_OWN_ETAG) else {}
        try:
            for _ in range(MAX_REDIRECTS + 1):
                async with self._session.get(url, allow_redirects=False, headers=asked) as answer:
                    if answer.status in _REDIRECTS:
                        url = self._next(url, answer.headers.get("Location", ""))
                        continue
                    return await self._take(answer, _Out(out, limit, where), where, missing, conditional=bool(asked))
        except (aiohttp.ClientError, ConnectionError) as error:
            raise FeedRefused("unreachable", f"{where}: {_cause(error)}") from None
        raise FeedRefused("unreachable", f"{where}: more than {MAX_REDIRECTS} redirects")

    async def _take(
        self, answer: aiohttp.ClientResponse, out: _Out, where: str, missing: Code, *, conditional: bool
    ) -> str | None:
        if answer.status == 304 and conditional:
            return None
        if answer.status != 200:
            code = missing if answer.status in _GONE else "unreachable"
            raise FeedRefused(code, f"{where}: the server answers {answer.status}; expected 200")
        async for chunk in answer.content.iter_chunked(_CHUNK):
            out.write(chunk)
        tag = answer.headers.get("ETag", "")
        return tag if 0 < len(tag) <= _ETAG_CHARS else out.etag

    def _next(self, url: URL, location: str) -> URL:
        try:
            target = url.join(URL(location))
        except ValueError:
            target = URL()
        if not may_follow(self._manifest, target):
            raise FeedRefused("unreachable", f"{_plain(url)}: redirects to {_plain(target)}; expected https")
        return target


def may_follow(source: URL, target: URL) -> bool:
    """Whether a redirect is followed: where ``may_fetch`` lets us go, but never away from https."""
    return may_fetch(target) and (target.scheme == "https" or source.scheme == "http")


def _plain(url: URL) -> str:
    """Without what may be secret."""
    return str(url.with_query(None).with_fragment(None).with_user(None)) if url.host else str(url.path)


def _cause(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not one that this machine trusts"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.strerror:
        return f"cannot connect: {error.os_error.strerror}"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection broke off before the end; it is tried again the next time"
    return type(error).__name__


@asynccontextmanager
async def opened(source: str) -> AsyncIterator[Source]:
    if not may_fetch(source):
        yield _Disk(Path(source))
        return
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT)
    # What is signed are the bytes of the file, not what a server's compression makes of them.
    headers = {"Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(
        timeout=timeout, headers=headers, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield _Web(session, URL(source))


def may_fetch(url: str | URL) -> bool:
    """Whether we go there: https; http only on this machine, where nobody is in between."""
    try:
        parsed = URL(url)
    except ValueError:
        return False
    if not parsed.host or parsed.user or parsed.password:
        return False
    return parsed.scheme == "https" or (parsed.scheme == "http" and bool(_LOOPBACK.fullmatch(parsed.host)))
