"""``/healthy`` (restart me if not), ``/ready`` (send me traffic if so), ``/metrics`` and an index.

Served from the worker's own loop: that it answers at all shows that the loop is alive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from stream.log_level import level_now
from stream.wire import dump_json

_PLACES: Final = ("/healthy", "/ready", "/metrics")


class Probe(Protocol):
    """What the worker knows about itself."""

    def sick(self) -> list[str]:
        """Reasons to restart the worker."""

    def unready(self) -> list[str]:
        """Reasons to wait."""

    def about(self) -> dict[str, Any]:
        """For the index."""


class HealthServer:
    """The HTTP server; ``start`` returns the address."""

    def __init__(self, probe: Probe, registry: CollectorRegistry, *, host: str, port: int) -> None:
        self._host, self._port = host, port
        app = web.Application()
        app.add_routes(
            [
                web.get("/", _json(lambda: {**probe.about(), "log_level": level_now(), "see": _PLACES})),
                web.get("/healthy", _check("healthy", probe.sick)),
                web.get("/ready", _check("ready", probe.unready)),
                web.get("/metrics", _metrics(registry)),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    async def start(self) -> str:
        """Listen. Returns the URL, with the port that was taken.

        Raises:
            OSError: the address is in use.
        """
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        port = self._runner.addresses[0][1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()


_Handler = Callable[[web.Request], Any]


def _json(body: Callable[[], dict[str, Any]]) -> _Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=dump_json(body()), content_type="application/json")

    return handle


def _check(name: str, reasons: Callable[[], list[str]]) -> _Handler:
    async def handle(_: web.Request) -> web.Response:
        found = reasons()
        return web.Response(
            status=503 if found else 200,
            body=dump_json({name: not found, "reasons": found}),
            content_type="application/json",
        )

    return handle


def _metrics(registry: CollectorRegistry) -> _Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return handle
