"""A broker as a process of its own: started once, found again by a state file, never outliving whom it should not."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from detectors.model.errors import LanjieError
from stream.kafka import Kafka

T = TypeVar("T")

STOP_TIMEOUT_S: Final = 20.0  # a clean stop takes 0.5 s; after this SIGKILL
POLL_S: Final = 0.05


class KafkaUnavailable(LanjieError):  # noqa: N818 - a state of the machine, not a mistake
    """No broker can be had here: what is missing, and the one line that installs it."""


class KafkaFailed(KafkaUnavailable):
    """Nothing is missing, and still the broker did not start."""


class Status(msgspec.Struct, frozen=True):
    """A running broker; the content of the state file."""

    pid: int
    bootstrap: str
    version: str
    log: str


class BrokerProcess(ABC):
    """A broker process with a state file. Subclasses say how to prepare and start it."""

    name: str

    def __init__(self, home: Path, *, die_with_parent: bool = False) -> None:
        self.home, self.die_with_parent, self.started = home.resolve(), die_with_parent, False
        self._state = self.home / f"{self.name}.json"
        self._console = self.home / "logs" / f"{self.name}-console.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    def up(self, timeout: float = 60) -> str:
        """Start unless running; returns once the broker has answered a metadata request."""
        self._console.parent.mkdir(parents=True, exist_ok=True)
        with lock(self.home / ".lock"):
            running = self.status()
            if running is None:
                running = self._launch(timeout)
                self.started = True
                self._state.write_bytes(msgspec.json.encode(running))
        if not ready(Kafka.plain(running.bootstrap), timeout, lambda: self._alive(running.pid)):
            what = f"did not answer within {timeout:g} s" if self._alive(running.pid) else "ended while starting"
            self.down()
            said = tail(self._console, Path(running.log))
            raise KafkaFailed(f"the broker {what}; end of {running.log}:\n{said}")
        return running.bootstrap

    def down(self) -> None:
        """SIGTERM, wait, SIGKILL. Does nothing if it does not run."""
        running = self.status()
        if running is not None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(running.pid, number)
                if self._gone(running.pid):
                    break
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.communicate()
            self._watchdog = None
        self._state.unlink(missing_ok=True)
        self.started = False

    def status(self) -> Status | None:
        """The running broker. A state file whose process is gone, or is another program by now, counts for nothing."""
        try:
            known = msgspec.json.decode(self._state.read_bytes(), type=Status)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        return known if self._alive(known.pid) else None

    @abstractmethod
    def _launch(self, timeout: float) -> Status:
        """Start the process."""

    def _start(self, command: list[str], stdout: int | None = None) -> subprocess.Popen[bytes]:
        """The process in its own session: Ctrl-C in our terminal does not reach it."""
        with self._console.open("ab") as console:
            output = console.fileno() if stdout is None else stdout
            self._process = subprocess.Popen(  # noqa: S603 - a fixed program with our own arguments  # nosec B603
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=console, start_new_session=True
            )
        if self.die_with_parent:
            # Not PR_SET_PDEATHSIG: that fires when the *thread* that forked ends, and exists on Linux only.
            script = f"read -r line; kill -9 {self._process.pid}"
            # nosemgrep: lanjie-shell - what is put into it is a number that the system gave us
            self._watchdog = subprocess.Popen(  # noqa: S603  # nosec B603 # see above
                ["/bin/sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True
            )
        return self._process

    def _alive(self, pid: int) -> bool:
        if self._process is not None and self._process.pid == pid:
            return self._process.poll() is None  # its command line is empty for moments while it starts
        return str(self.home) in _command_line(pid)

    def _gone(self, pid: int) -> bool:
        for _ in range(int(STOP_TIMEOUT_S / POLL_S)):
            if not self._alive(pid):
                return True
            threading.Event().wait(POLL_S)
        return False


def ready(kafka: Kafka, timeout: float, alive: Callable[[], bool]) -> bool:
    """Whether a broker answers a metadata request in time; callable with or without a running event loop."""

    async def answers() -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while alive():
                    if await _listens(kafka.bootstrap) and await _has_brokers(kafka):
                        return True
                    await asyncio.sleep(POLL_S)
        return False

    return outside(answers())


def outside(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end on a loop of its own, whether or not there is one here."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _listens(bootstrap: str) -> bool:
    """Asked first, because aiokafka logs an error for every refused connection."""
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        with contextlib.suppress(OSError, ValueError):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.close()
            return True
    return False


async def _has_brokers(kafka: Kafka) -> bool:
    client = AIOKafkaClient(**kafka.options())
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except KafkaError:
        return False
    finally:
        await client.close()


@contextlib.contextmanager
def lock(file: Path) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _command_line(pid: int) -> str:
    """Empty for a process that is gone or a zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    if Path("/proc/self").exists():
        return ""
    ps = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]  # no /proc: macOS
    return subprocess.run(ps, capture_output=True, text=True, check=False).stdout  # noqa: S603 - a fixed program  # nosec B603


def tail(*files: Path) -> str:
    lines = [line for file in files if file.exists() for line in file.read_text(errors="replace").splitlines()[-8:]]
    return "\n".join(lines) or "(nothing was written)"
