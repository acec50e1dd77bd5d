"""Who competes, and how each is started: one process each, on the worker's core, with its log kept for a failure."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stream.topics import PARTITIONS
from tests.benchmarks.machine import WORKER_CORES, on
from tests.benchmarks.schema import BARE, CONFLUENT, ECHO, EXACTLY_ONCE, FLOOR, STOCK, STREAMS, WORKER
from tests.benchmarks.workload import Lists

LOOK = 0.05  # seconds between two looks
PATIENCE = 300.0  # seconds
PEERS = Path(__file__).with_name("peers")
LANJIE = str(Path(sys.executable).with_name("lanjie"))
MAVEN = PEERS / "kafka_streams"
STREAMS_JAR = MAVEN / "target" / "kafka-streams-peer-1.jar"


@dataclass(frozen=True)
class Place:
    """Where a contender works: ``folder`` is its own and empty."""

    bootstrap: str
    prefix: str
    folder: Path
    lists: Lists
    partitions: int = PARTITIONS


PlaceOf = Callable[[], Place]  #: a new one each time


@dataclass(frozen=True)
class Contender:
    """A program. ``share``: of the events that a fast one gets; the rate of a slow one does not depend on the count."""

    name: str
    command: Callable[[Place], list[str]]
    share: float = 1.0
    delivery: str = "at-least-once"


def _peer(module: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        program = [sys.executable, "-m", f"tests.benchmarks.peers.{module}"]
        return [*program, place.bootstrap, place.prefix, str(place.lists.compiled)]

    return command


def _worker(_: Place) -> list[str]:
    return [LANJIE, "worker"]


def _streams(place: Place) -> list[str]:
    classes = f"{STREAMS_JAR}{os.pathsep}{STREAMS_JAR.parent / 'lib'}/*"
    files = (place.lists.plain, place.lists.patterns, place.folder / "state")
    return ["java", "-Xmx2g", "-cp", classes, "lanjie.bench.Peer", place.bootstrap, place.prefix, *map(str, files)]


CONTENDERS = {
    each.name: each
    for each in (
        Contender(WORKER, _worker),
        Contender(EXACTLY_ONCE, _worker, delivery="exactly-once"),
        Contender(BARE, _peer("bare_aiokafka")),
        Contender(CONFLUENT, _peer("bare_confluent")),
        Contender(STOCK, _peer("stock_faust"), share=0.08),
        Contender(STREAMS, _streams),
        Contender(ECHO, _peer("echo")),
        Contender(FLOOR, _peer("floor_aiokafka")),
    )
}


def build_streams() -> str:
    """Compile the Kafka Streams program, unless it is. Returns why it cannot be run; "" if it can."""
    if not shutil.which("java"):
        return "no Java on the PATH"
    sources = [MAVEN / "pom.xml", *MAVEN.rglob("*.java")]
    if STREAMS_JAR.exists() and STREAMS_JAR.stat().st_mtime > max(path.stat().st_mtime for path in sources):
        return ""
    if not (maven := shutil.which("mvn")):
        return "no Maven on the PATH to build it with"
    built = subprocess.run([maven, "-q", "-B", "package"], cwd=MAVEN, capture_output=True, text=True, check=False)
    return "" if built.returncode == 0 else f"Maven failed: {(built.stdout.strip().splitlines() or ['?'])[0][:200]}"


class Process:
    """A running contender."""

    def __init__(self, contender: Contender, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.name, self.pid, self.folder, self._process = contender.name, process.pid, folder, process
        self._is_worker = contender.command is _worker

    def check(self) -> None:
        """Fail if it has ended, with the end of its log."""
        if self._process.poll() is not None:
            log = (self.folder / "log").read_text("utf-8", "replace")
            raise RuntimeError(f"{self.name} exited with {self._process.returncode}; its log ends:\n{log[-2000:]}")

    def ready(self) -> bool:
        """Whether it has its partitions: a worker's ``/ready``; of the others what they print."""
        self.check()
        if not self._is_worker:
            return b"ready" in (self.folder / "log").read_bytes()
        found = self.folder / f"worker-{self.pid}.json"
        try:
            with urllib.request.urlopen(json.loads(found.read_bytes())["url"] + "/ready", timeout=1) as answer:  # noqa: S310
                return answer.status == 200
        except (OSError, ValueError, urllib.error.URLError):
            return False

    async def until_ready(self) -> None:
        """Until it is."""
        async with asyncio.timeout(PATIENCE):
            while not self.ready():  # noqa: ASYNC110 - a process does not notify
                await asyncio.sleep(LOOK)

    def metric(self, name: str) -> float:
        """Of a worker: the sum of a metric over its labels."""
        url = json.loads((self.folder / f"worker-{self.pid}.json").read_bytes())["url"]
        with urllib.request.urlopen(url + "/metrics", timeout=10) as answer:  # noqa: S310
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


@contextmanager
def running(contender: Contender, place: Place, cores: Sequence[int] = WORKER_CORES) -> Iterator[Process]:
    """The process, killed afterwards.

    ``LANJIE_LISTS_ONLY_AFTER=0``: a backlog that was made for the purpose must not put a worker in a hurry, in which
    it does less.
    """
    place.folder.mkdir(parents=True)
    env = os.environ | {
        "LANJIE_BOOTSTRAP": place.bootstrap,
        "LANJIE_TOPIC_PREFIX": place.prefix,
        "LANJIE_GROUP": place.prefix + "group",
        "LANJIE_LISTS": str(place.lists.compiled),
        "LANJIE_METRICS_PORT": "0",
        "LANJIE_DATA_DIR": str(place.folder),
        "LANJIE_DELIVERY": contender.delivery,
        "LANJIE_PARTITIONS": str(place.partitions),
        "LANJIE_LISTS_ONLY_AFTER": "0",
    }
    with (place.folder / "log").open("wb") as log, on(cores):
        process = subprocess.Popen(contender.command(place), env=env, stdout=log, stderr=log)
    try:
        yield Process(contender, process, place.folder)
    finally:
        process.kill()
        process.wait()
