"""A real Kafka without Docker (LocalKafka), and where there is no Java the in-memory one of librdkafka (MockKafka).

    find_kafka ─┬─ a bootstrap address is given ──────────── ExistingKafka  "existing"
                ├─ Java >= 17, and the jars or Maven ─────── LocalKafka     "kafka"
                └─ neither (KafkaUnavailable says why) ───── MockKafka      "mock"

All three have up() -> bootstrap, down(), status(). A broker is one process in a session of its own, described by a
state file under its home; a process is taken for ours only if its command line names that home (pids are reused).
With die_with_parent a watchdog holds a pipe to us and kills the broker when we are gone, SIGKILL included.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

import msgspec
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from detectors.model.errors import LanjieError

DEFAULT_HOME: Final = Path(".lanjie/kafka")
DEPLOY: Final = Path(__file__).parents[2] / "deploy" / "kafka-local"
JAVA_AT_LEAST: Final = 17  # what Kafka 4 brokers are compiled for
STOP_TIMEOUT_S: Final = 20.0  # a clean stop takes 0.5 s; after this SIGKILL
POLL_S: Final = 0.05
# Heap: 400 MB resident in all after 1.2 million records; records live in the page cache, not in the heap, so more heap
# would only be taken from it. C1 only: 0.7 s off the start and half the CPU of the first million records.
JVM: Final = ("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
SERVER_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
num.partitions=4
# A topic that nobody created is an error, not a surprise with default settings.
auto.create.topics.enable=false
# One node: internal topics cannot have more than one replica; few partitions, so that coordinators load at once.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
# By size only. Record timestamps are event time and a replayed log is years old: retention by age would delete it
# while it is being read, and rolling by age would open a segment for every jump in time.
log.retention.ms=-1
log.roll.ms=3153600000000
log.retention.bytes=536870912
log.segment.bytes=67108864
"""


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


class Kafka(Protocol):
    """What the three kinds share. started: up() began a process, so whoever called it should call down()."""

    started: bool

    def up(self, timeout: float = 60) -> str: ...
    def down(self) -> None: ...
    def status(self) -> Status | None: ...


class Found(NamedTuple):
    """A broker that answers. why: the reason for a fall-back, empty without one."""

    kafka: Kafka
    bootstrap: str
    kind: Literal["existing", "kafka", "mock"]
    why: str


def find_kafka(home: Path = DEFAULT_HOME, bootstrap: str | None = None, *, die_with_parent: bool = False) -> Found:
    """Start or reach a broker: the given one, else a local one, else the in-memory one."""
    if bootstrap:
        existing = ExistingKafka(bootstrap)
        return Found(existing, existing.up(), "existing", "")
    local = LocalKafka(home, free_port(9092), die_with_parent=die_with_parent)
    try:
        return Found(local, local.up(), "kafka", "")
    except KafkaUnavailable as problem:
        mock = MockKafka(home, die_with_parent=die_with_parent)
        return Found(mock, mock.up(), "mock", str(problem))


def free_port(preferred: int = 0) -> int:
    """The first free port from `preferred` on; any free one for 0."""
    for port in range(preferred, preferred + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the broker does: TIME_WAIT is free
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise KafkaUnavailable(f"no free port between {preferred} and {preferred + 99}")


class ExistingKafka:
    """Somebody else's cluster: checked, never started or stopped."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap, self.started = bootstrap, False

    def up(self, timeout: float = 15) -> str:
        """The address, once it has answered."""
        if not _ready(self.bootstrap, timeout, lambda: True):
            raise KafkaUnavailable(f"no Kafka answered at {self.bootstrap} within {timeout:g} s; check the address")
        return self.bootstrap

    def down(self) -> None:
        """Not ours to stop."""

    def status(self) -> Status | None:
        """No process of ours."""
        return None


class _Process:
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
        with _lock(self.home / ".lock"):
            running = self.status()
            if running is None:
                running = self._launch(timeout)
                self.started = True
                self._state.write_bytes(msgspec.json.encode(running))
        if not _ready(running.bootstrap, timeout, lambda: self._alive(running.pid)):
            what = f"did not answer within {timeout:g} s" if self._alive(running.pid) else "ended while starting"
            self.down()
            tail = _tail(self._console, Path(running.log))
            raise KafkaFailed(f"the broker {what}; end of {running.log}:\n{tail}")
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

    def _launch(self, timeout: float) -> Status:
        raise NotImplementedError

    def _start(self, command: list[str], stdout: int | None = None) -> subprocess.Popen[bytes]:
        """The process in its own session: Ctrl-C in our terminal does not reach it."""
        with self._console.open("ab") as console:
            output = console.fileno() if stdout is None else stdout
            self._process = subprocess.Popen(  # noqa: S603 - a fixed program with our own arguments
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=console, start_new_session=True
            )
        if self.die_with_parent:
            # Not PR_SET_PDEATHSIG: that fires when the *thread* that forked ends, and exists on Linux only.
            script = f"read -r line; kill -9 {self._process.pid}"
            self._watchdog = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
        return self._process

    def _alive(self, pid: int) -> bool:
        if self._process is not None and self._process.pid == pid and self._process.poll() is not None:
            return False
        return str(self.home) in _command_line(pid)

    def _gone(self, pid: int) -> bool:
        for _ in range(int(STOP_TIMEOUT_S / POLL_S)):
            if not self._alive(pid):
                return True
            threading.Event().wait(POLL_S)
        return False


class LocalKafka(_Process):
    """Apache Kafka, one KRaft node. Data stays under home between runs, also when the port changes."""

    name = "kafka"

    def __init__(
        self, home: Path, port: int | None = None, *, die_with_parent: bool = False, path: str | None = None
    ) -> None:
        super().__init__(home, die_with_parent=die_with_parent)
        self.port, self._path, self._log = port, path, self.home / "logs" / "kafka.log"

    def _launch(self, timeout: float) -> Status:
        java = _java(self._path)
        jars = _jars(self._path, timeout=600)
        port, config = self.port or free_port(), self.home / "server.properties"
        if free_port(port) != port:
            raise KafkaFailed(f"port {port} is in use: choose another, or leave it out to get a free one")
        config.write_text(
            SERVER_PROPERTIES.format(port=port, controller=free_port(), data=self.home / "data"), encoding="utf-8"
        )
        command = [java, *JVM, f"-Dlanjie.kafka.log={self._log}"]
        command += [f"-Dlog4j2.configurationFile={DEPLOY / 'log4j2.properties'}", "-cp", f"{jars}/*"]
        if not (self.home / "data" / "meta.properties").exists():
            storage = ["kafka.tools.StorageTool", "format", "-t", "bGFuamllLWthZmthLWxvYw", "-c", str(config)]
            _run([*command, *storage], timeout, KafkaFailed("formatting the data folder failed"))
        process = self._start([*command, "kafka.Kafka", str(config)])
        version = next(jars.glob("kafka-server-[0-9]*.jar")).stem.removeprefix("kafka-server-")
        return Status(process.pid, f"127.0.0.1:{port}", version, str(self._log))


class MockKafka(_Process):
    """librdkafka's in-memory broker (stream/cli/mock_broker.py): enough for the main job, limits said there."""

    name = "mock"

    def _launch(self, timeout: float) -> Status:
        # --home is there to be recognised by (_alive)
        command = [sys.executable, "-m", "stream.cli.mock_broker", "--detached", f"--home={self.home}"]
        reader, writer = os.pipe()
        process = self._start(command, stdout=writer)
        os.close(writer)
        with os.fdopen(reader) as out:
            first = out.readline().strip() if select.select([out], [], [], timeout)[0] else ""
        if not first:
            process.kill()
            process.wait()
            raise KafkaUnavailable(f"no in-memory broker either; end of {self._console}:\n{_tail(self._console)}")
        return Status(process.pid, first, "in-memory (librdkafka)", str(self._console))


def _ready(bootstrap: str, timeout: float, alive: Callable[[], bool]) -> bool:
    """Whether a broker answers a metadata request in time; callable with or without a running event loop."""

    async def answers() -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while alive():
                    if await _listens(bootstrap) and await _has_brokers(bootstrap):
                        return True
                    await asyncio.sleep(POLL_S)
        return False

    with ThreadPoolExecutor(1) as outside:
        return outside.submit(asyncio.run, answers()).result()


async def _listens(bootstrap: str) -> bool:
    """Asked first, because aiokafka logs an error for every refused connection."""
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        with contextlib.suppress(OSError, ValueError):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.close()
            return True
    return False


async def _has_brokers(bootstrap: str) -> bool:
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except KafkaError:
        return False
    finally:
        await client.close()


def _java(path: str | None) -> str:
    remedy = f"Kafka needs Java >= {JAVA_AT_LEAST}: apt-get install openjdk-17-jre-headless"
    java = shutil.which("java", path=path)
    if java is None:
        raise KafkaUnavailable(f"no Java on the PATH. {remedy}")
    said = _run([java, "-version"], 30, KafkaUnavailable(f"{java} does not run. {remedy}"))
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    if found is None or int(found[1]) < JAVA_AT_LEAST:
        raise KafkaUnavailable(f"{java} is Java {found[1] if found else 'of unknown version'}. {remedy}")
    return java


def _jars(path: str | None, timeout: float) -> Path:
    """The folder of jars, fetched if absent or if pom.xml has changed since."""
    lib, pom = DEPLOY / "lib", DEPLOY / "pom.xml"
    if not pom.exists():
        raise KafkaUnavailable(f"{pom} is not there: a local Kafka needs a source checkout (git clone), not a wheel")
    digest, stamp = hashlib.sha256(pom.read_bytes()).hexdigest(), lib / ".fetched"
    with _lock(DEPLOY / "lib" / ".lock"):
        if not stamp.exists() or stamp.read_text(encoding="ascii") != digest:
            maven = shutil.which("mvn", path=path)
            if maven is None:
                raise KafkaUnavailable("no Maven on the PATH to fetch Kafka's jars: apt-get install maven")
            for old in lib.glob("*.jar"):
                old.unlink()
            fetch = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={lib}"]
            _run(fetch, timeout, KafkaUnavailable("Maven could not fetch Kafka's jars"))
            stamp.write_text(digest, encoding="ascii")
    return lib


def _run(command: list[str], timeout: float, failure: KafkaUnavailable) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - programs found on the PATH, with our own arguments
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
            check=True, text=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as problem:
        output = (getattr(problem, "output", None) or "").strip().splitlines()[-10:]
        raise type(failure)("\n".join([f"{failure} ({problem})", *output])) from problem
    return done.stdout


@contextlib.contextmanager
def _lock(file: Path) -> Iterator[None]:
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
    return subprocess.run(ps, capture_output=True, text=True, check=False).stdout  # noqa: S603


def _tail(*files: Path) -> str:
    lines = [line for file in files if file.exists() for line in file.read_text(errors="replace").splitlines()[-8:]]
    return "\n".join(lines) or "(nothing was written)"
