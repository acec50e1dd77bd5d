"""Worker processes that are started again whenever they end, as a container runtime would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
import psutil

from stream.clock import Clock
from tests.support.worker import COMMAND

AGAIN_AFTER: Final = 0.5  # seconds from an exit to the next start
PATIENCE: Final = 30.0  # seconds for all to stop at the end


@dataclass(frozen=True)
class Exit:
    """A worker's end. ``told``: the signals that we sent it; ``during``: the faults of the moment."""

    worker: str
    code: int
    lived: float
    told: tuple[str, ...]
    during: tuple[str, ...]


@dataclass
class Slot:
    """A place for a worker: its folder stays when the process in it is another one."""

    name: str
    folder: Path
    wanted: bool = True
    starts: int = 0
    told: tuple[str, ...] = ()
    stopped: bool = False  #: by SIGSTOP
    process: asyncio.subprocess.Process | None = None
    keeper: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.returncode is None

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}-{self.starts}.log"


@dataclass
class Supervisor:
    """Keeps the workers running.

    Attributes:
        environ: of every worker; each has a data folder and a name of its own besides.
        faults: tells which faults are going on.
        exits: all ends, in order.
        peak: MiB, the largest resident set seen of any worker.
    """

    environ: dict[str, str]
    folder: Path
    clock: Clock
    faults: Callable[[], tuple[str, ...]] = tuple
    slots: list[Slot] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    peak: float = 0.0

    def add(self) -> Slot:
        """One more worker."""
        name = f"worker-{len(self.slots)}"
        slot = Slot(name, self.folder / name)
        slot.folder.mkdir(parents=True)
        slot.keeper = asyncio.create_task(self._keep(slot))
        self.slots.append(slot)
        return slot

    async def _keep(self, slot: Slot) -> None:
        while slot.wanted:
            started, slot.told = self.clock.monotonic(), ()
            slot.starts += 1
            with slot.log.open("wb") as log:
                slot.process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-c", COMMAND),
                    env={**self.environ, "LANJIE_DATA_DIR": str(slot.folder), "LANJIE_INSTANCE": slot.name},
                    stdout=log,
                    stderr=log,
                )
            code = await slot.process.wait()
            lived = round(self.clock.monotonic() - started, 1)
            self.exits.append(Exit(slot.name, code, lived, slot.told, self.faults()))
            slot.stopped = False
            await asyncio.sleep(AGAIN_AFTER)

    def alive(self) -> list[Slot]:
        """Those that run, and are not stopped by a fault."""
        return [slot for slot in self.slots if slot.alive and not slot.stopped]

    def send(self, slot: Slot, number: signal.Signals) -> None:
        """A signal to the process of the moment."""
        if slot.process is None or not slot.alive:
            return
        if number in (signal.SIGKILL, signal.SIGTERM):
            slot.told += (number.name,)
        slot.stopped = number is signal.SIGSTOP or (slot.stopped and number is not signal.SIGCONT)
        with contextlib.suppress(ProcessLookupError):
            slot.process.send_signal(number)

    async def say(self) -> str:
        """What the workers say of themselves, and why they are not ready."""
        told = []
        for slot in self.slots:
            if slot.process is None or not slot.alive:
                told.append(f"{slot.name} is down")
                continue
            try:
                url = json.loads((slot.folder / f"worker-{slot.process.pid}.json").read_bytes())["url"]
                async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session:
                    about = await (await session.get(url)).json()
                    reasons = (await (await session.get(f"{url}/ready")).json())["reasons"]
                told.append(f"{slot.name} {about.get('state', '')} {about['partitions']} {reasons}")
            except (OSError, TimeoutError, aiohttp.ClientError) as error:
                told.append(f"{slot.name} does not answer: {type(error).__name__}")
        return "; ".join(told)

    def resident(self) -> dict[str, float]:
        """MiB of each worker."""
        found = {}
        for slot in self.slots:
            if slot.process and slot.alive:
                with contextlib.suppress(psutil.NoSuchProcess):
                    found[slot.name] = round(psutil.Process(slot.process.pid).memory_info().rss / 2**20, 1)
        self.peak = max([self.peak, *found.values()])
        return found

    async def watch(self) -> None:
        """Look at their memory every second, until cancelled."""
        while True:
            self.resident()
            await asyncio.sleep(1)

    async def stop(self) -> None:
        """SIGTERM to all; who does not end in time is killed."""
        for slot in self.slots:
            slot.wanted = False
            self.send(slot, signal.SIGCONT)
            self.send(slot, signal.SIGTERM)
        keepers = [slot.keeper for slot in self.slots if slot.keeper]
        _, late = await asyncio.wait(keepers, timeout=PATIENCE) if keepers else ((), ())
        if late:
            for slot in self.slots:
                self.send(slot, signal.SIGKILL)
                slot.told = ("nothing that it heard",)
            await asyncio.wait(late)
