"""A web server for tests, with the faults that servers have."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass
class Web:
    """Serves the files of a folder on 127.0.0.1.

    Attributes:
        etags: whether files have one, and an If-None-Match is honoured.
        redirects: path -> Location.
        statuses: path -> status that is answered with nothing else.
        cut: paths whose connection breaks off in mid-body.
        asked: ``(path, status)`` of all answers, in order.
    """

    folder: Path
    url: str = ""
    etags: bool = True
    redirects: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        response = await self._answer(request)
        self.asked.append((request.path, response.status))
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if location := self.redirects.get(request.path):
            return web.Response(status=302, headers={"Location": location})
        path = self.folder / request.path.lstrip("/")
        if (status := self.statuses.get(request.path)) or not path.is_file():
            return web.Response(status=status or 404)
        body = path.read_bytes()
        if request.path in self.cut:
            return await _broken(request, body)
        headers = {"ETag": f'"{sha256(body).hexdigest()[:16]}"'} if self.etags else {}
        if headers and request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers)


async def _broken(request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    assert request.transport is not None
    request.transport.close()
    return response


@asynccontextmanager
async def serving(folder: Path, tls: ssl.SSLContext | None = None) -> AsyncIterator[Web]:
    """The server, on a free port."""
    served = Web(folder)
    app = web.Application()
    app.router.add_get("/{path:.*}", served.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        served.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        yield served
    finally:
        await runner.cleanup()


def self_signed(folder: Path) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 that nobody has reason to trust."""
    key, name = Ed25519PrivateKey.generate(), x509.Name([])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=True)
        .sign(key, None)
    )
    private = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    (folder / "tls.pem").write_bytes(private + built.public_bytes(pem.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem")
    return context
