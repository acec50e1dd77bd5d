"""A real Kafka without Docker (LocalKafka), and where there is no Java the in-memory one of librdkafka (MockKafka).

    find_kafka ─┬─ a bootstrap address is given ──────────── ExistingKafka  "existing"
                ├─ Java >= 17, and the jars or Maven ─────── LocalKafka     "kafka"
                └─ neither (KafkaUnavailable says why) ───── MockKafka      "mock"

All three have up() -> bootstrap, down(), status(). A broker is one process in a session of its own, described by a
state file under its home; a process is taken for ours only if its command line names that home (pids are reused).
With die_with_parent a watchdog holds a pipe to us and kills the broker when we are gone, SIGKILL included.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import select
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

from aiokafka.errors import KafkaConnectionError

from stream import kafka as cluster
from stream import refused
from stream.cli.broker_process import BrokerProcess, KafkaFailed, KafkaUnavailable, Status, lock, outside, ready, tail

DEFAULT_HOME: Final = Path(".lanjie/kafka")
DEPLOY: Final = Path(__file__).parents[2] / "deploy" / "kafka-local"
JAVA_AT_LEAST: Final = 17  # what Kafka 4 brokers are compiled for
# Heap: 400 MB resident in all after 1.2 million records; records live in the page cache, not in the heap, so more heap
# would only be taken from it. C1 only: 0.7 s off the start and half the CPU of the first million records.
JVM: Final = ("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
SERVER_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertised}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
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


class Listener(NamedTuple):
    """A further address of the broker, on 127.0.0.1. ``advertised``: the port that clients are told, if it is another
    one: that of a proxy before the broker.
    """

    name: str
    port: int
    advertised: int = 0
    protocol: str = "PLAINTEXT"


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


def find_kafka(
    home: Path = DEFAULT_HOME, there: cluster.Kafka | None = None, *, die_with_parent: bool = False
) -> Found:
    """Start or reach a broker: the given one, else a local one, else the in-memory one."""
    if there:
        existing = ExistingKafka(there)
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

    def __init__(self, there: cluster.Kafka) -> None:
        self._there, self.started = there, False

    def up(self, timeout: float = 15) -> str:
        """The address, once it has answered."""
        where = self._there.bootstrap
        if not ready(self._there, timeout, lambda: True):
            why = outside(refused.explain(self._there, KafkaConnectionError(), "use it"))
            raise KafkaUnavailable(f"no Kafka answered at {where} within {timeout:g} s; {why}")
        return where

    def down(self) -> None:
        """Not ours to stop."""

    def status(self) -> Status | None:
        """No process of ours."""
        return None


class LocalKafka(BrokerProcess):
    """Apache Kafka, one KRaft node. Data stays under home between runs, also when the port changes.

    Args:
        listeners: further addresses; a second ``up`` that finds the broker running does not add them.
        properties: what else stands in ``server.properties``.
        users: name -> password for SCRAM-SHA-512; only when the data folder is made.
    """

    name = "kafka"

    def __init__(
        self,
        home: Path,
        port: int | None = None,
        *,
        die_with_parent: bool = False,
        path: str | None = None,
        listeners: Sequence[Listener] = (),
        properties: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(home, die_with_parent=die_with_parent)
        self.port, self._path, self._log = port, path, self.home / "logs" / "kafka.log"
        self._listeners, self._properties, self._users = listeners, properties or {}, users or {}

    def _launch(self, timeout: float) -> Status:
        java = _java(self._path)
        jars = _jars(self._path, timeout=600)
        port, config = self.port or free_port(), self.home / "server.properties"
        if free_port(port) != port:
            raise KafkaFailed(f"port {port} is in use: choose another, or leave it out to get a free one")
        config.write_text(self._server_properties(port), encoding="utf-8")
        command = [java, *JVM, f"-Dlanjie.kafka.log={self._log}"]
        command += [f"-Dlog4j2.configurationFile={DEPLOY / 'log4j2.properties'}", "-cp", f"{jars}/*"]
        if not (self.home / "data" / "meta.properties").exists():
            storage = ["kafka.tools.StorageTool", "format", "-t", "bGFuamllLWthZmthLWxvYw", "-c", str(config)]
            for user, password in self._users.items():
                storage += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
            _run([*command, *storage], timeout, KafkaFailed("formatting the data folder failed"))
        process = self._start([*command, "kafka.Kafka", str(config)])
        version = next(jars.glob("kafka-server-[0-9]*.jar")).stem.removeprefix("kafka-server-")
        return Status(process.pid, f"127.0.0.1:{port}", version, str(self._log))

    def _server_properties(self, port: int) -> str:
        more = self._listeners
        text = SERVER_PROPERTIES.format(
            port=port,
            controller=free_port(),
            data=self.home / "data",
            listeners="".join(f",{each.name}://127.0.0.1:{each.port}" for each in more),
            advertised="".join(f",{each.name}://127.0.0.1:{each.advertised or each.port}" for each in more),
            protocols="".join(f",{each.name}:{each.protocol}" for each in more),
        )
        return text + "".join(f"{name}={value}\n" for name, value in self._properties.items())


class MockKafka(BrokerProcess):
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
            raise KafkaUnavailable(f"no in-memory broker either; end of {self._console}:\n{tail(self._console)}")
        return Status(process.pid, first, "in-memory (librdkafka)", str(self._console))


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
    with lock(DEPLOY / "lib" / ".lock"):
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
        done = subprocess.run(  # noqa: S603 - programs found on the PATH, with our own arguments  # nosec B603
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
            check=True, text=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as problem:
        output = (getattr(problem, "output", None) or "").strip().splitlines()[-10:]
        raise type(failure)("\n".join([f"{failure} ({problem})", *output])) from problem
    return done.stdout
