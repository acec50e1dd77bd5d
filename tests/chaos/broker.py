"""The broker of a chaos run: our own, with a second listener that leads through a proxy, and ways to break it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Final

from stream.cli.kafka_local import Listener, LocalKafka, free_port
from tests.support.tcp_proxy import TcpProxy

#: Ports below those that outgoing connections get, so that the broker finds its own free again; two runs at a time
#: begin their search at different ones.
_FROM: Final = 20_000 + os.getpid() % 9_000


class ChaosBroker:
    """A real broker with a proxy before it.

    Attributes:
        direct: address for those who must see the truth: publisher, monitor, checks.
        proxied: address for the workers.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self.direct = self.proxied = ""
        self.proxy = TcpProxy(free_port(_FROM + 200))
        self._hard = True
        self._lock = asyncio.Lock()

    async def up(self) -> None:
        """Start both."""
        proxied = await self.proxy.start()
        through = Listener("PROXIED", self.proxy.target, advertised=proxied)
        self._kafka = LocalKafka(self._home, free_port(_FROM), die_with_parent=True, listeners=[through])
        self.direct = await asyncio.to_thread(self._kafka.up)
        self.proxied = f"127.0.0.1:{proxied}"

    async def down(self) -> None:
        """Stop both."""
        await self.proxy.stop()
        await asyncio.to_thread(self._kafka.down)

    async def restart(self, pause: float) -> str:
        """Stop it, in turn by kill -9 and as an operator would, wait, and start it again with its data and ports."""
        async with self._lock:
            hard, self._hard = self._hard, not self._hard
            running = self._kafka.status()
            if hard and running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(running.pid, signal.SIGKILL)
            await asyncio.to_thread(self._kafka.down)
            await asyncio.sleep(pause)
            await asyncio.to_thread(self._kafka.up)
            return "kill -9" if hard else "restart"

    async def create_topics(self, environ: dict[str, str]) -> None:
        """All topics, as an operator would."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stream.cli", "topics", "create"),
            env={**environ, "LANJIE_BOOTSTRAP": self.direct},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"topics create: {said.decode()}")
