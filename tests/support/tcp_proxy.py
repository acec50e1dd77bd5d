"""A TCP proxy on 127.0.0.1 with the faults that networks have: cut, refused, slow, and black holes.

    client ──► proxy port ──► target port

Faults hold for all connections, those that exist and those to come. What was read and not yet forwarded when a fault
began is forwarded when it ends, as TCP would by sending again; only ``cut`` loses it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PIECE = 64 << 10  # bytes read at once


class TcpProxy:
    """Forwards connections to ``target`` on this machine.

    Attributes:
        port: where it listens; known after ``start``.
        delay: seconds that each piece of data waits before it goes on, in both directions.
        bytes_per_second: of each connection and direction; 0 for no limit.
        connections: accepted so far.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self.target, self.port = target, port
        self.delay, self.bytes_per_second, self.connections = 0.0, 0, 0
        self._refusing = 0
        self._holes = 0
        self._flows = asyncio.Event()
        self._flows.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=PIECE)
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    async def stop(self) -> None:
        """Cut everything and stop listening."""
        if self._server:
            self._server.close()
        self._refusing += 1
        self._flows.set()
        self.delay, self.bytes_per_second = 0.0, 0
        self.cut_now()
        if self._tasks:  # not cancelled: asyncio would log that as a mistake
            await asyncio.wait(self._tasks, timeout=2)

    def cut_now(self) -> int:
        """Reset all connections; returns how many ends there were."""
        ends = list(self._open)
        for writer in ends:
            writer.transport.abort()
        return len(ends)

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Cut all connections and reset every new one."""
        self._refusing += 1
        self.cut_now()
        try:
            yield
        finally:
            self._refusing -= 1

    @asynccontextmanager
    async def slow(self, delay: float, bytes_per_second: int) -> AsyncIterator[None]:
        """Hold up every piece of data."""
        before = self.delay, self.bytes_per_second
        self.delay, self.bytes_per_second = delay, bytes_per_second
        try:
            yield
        finally:
            self.delay, self.bytes_per_second = before

    @asynccontextmanager
    async def blackhole(self) -> AsyncIterator[None]:
        """Accept everything, forward nothing."""
        self._holes += 1
        self._flows.clear()
        try:
            yield
        finally:
            self._holes -= 1
            if not self._holes:
                self._flows.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            await self._join(reader, writer)
        finally:
            self._open.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await self._flows.wait()
            if self._refusing:
                return
            there, back = await asyncio.open_connection("127.0.0.1", self.target, limit=PIECE)
            self._open.add(back)
            pumps = [asyncio.create_task(self._pump(reader, back)), asyncio.create_task(self._pump(there, writer))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                self._open.discard(back)
                back.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, until either end closes. A half-closed connection is closed: Kafka has none."""
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE):
                await self._flows.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                if self.bytes_per_second:
                    await asyncio.sleep(len(data) / self.bytes_per_second)
                writer.write(data)
                await writer.drain()
