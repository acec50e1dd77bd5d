"""The compose file, run for real as a project of its own, with stand-ins for what comes from an image registry."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener

from stream.cli.kafka_local import free_port
from tests.deploy.engine import Docker, EngineError, run, until
from tests.deploy.images import WORKER, build_worker, kafka_version, make_standins
from tests.deploy.tools import ROOT, ToolMissing

PROJECT: Final = "lanjie-exercise"
FILES: Final = (ROOT / "docker-compose.yml", ROOT / "tests" / "deploy" / "compose" / "receiver.yml")
#: Grafana has no stand-in: its server is in no package.
SERVICES: Final = ("kafka", "topics", "worker", "cards", "prometheus", "alertmanager", "alert-receiver")
#: Seconds in which a worker is healthy or has its partitions, on two cores that do all the rest as well.
START: Final = 300.0


def compose_command() -> list[str]:
    """The first generation where it is installed, as by Debian; else the plugin of a newer Docker.

    Raises:
        ToolMissing: neither is.
    """
    if path := shutil.which("docker-compose"):
        return [path]
    if Docker("").says("compose", "version"):
        return [str(shutil.which("docker")), "compose"]
    raise ToolMissing("no compose: apt-get install docker-compose")


class Stack:
    """The project. ``up`` and ``down`` are the caller's."""

    def __init__(self, docker: Docker) -> None:
        self.docker = docker
        self.ports = {name: free_port() for name in ("KAFKA", "PROMETHEUS", "ALERTMANAGER", "GRAFANA")}
        self.notes: list[str] = []  #: what was measured, for people
        self._environ = docker.environ | {f"{name}_PORT": str(port) for name, port in self.ports.items()}
        self._environ |= {
            "LANJIE_IMAGE": WORKER,
            "KAFKA_IMAGE": f"lanjie-standin/kafka:{kafka_version()}",
            "PROMETHEUS_IMAGE": "lanjie-standin/prometheus:debian",
            "ALERTMANAGER_IMAGE": "lanjie-standin/alertmanager:debian",
            "LOADGEN_RATE": "1000",
        }
        files = [part for file in FILES for part in ("-f", str(file))]
        self._compose = [*compose_command(), "-p", PROJECT, "--project-directory", str(ROOT), *files]

    def compose(self, *arguments: str, timeout: float = 600) -> str:
        """What compose said.

        Raises:
            EngineError: it failed.
        """
        return run([*self._compose, *arguments], timeout, self._environ)

    def up(self, *, workers: int = 1) -> None:
        """Start what is not there; returns when compose does, which waits for what others depend on."""
        self.compose("up", "-d", "--no-build", "--scale", f"worker={workers}", *SERVICES)

    def loadgen(self) -> None:
        """Send the log of the load generator, and its number list before; returns when all of it is sent."""
        self.compose("run", "--rm", "-T", "--no-deps", "loadgen")

    def down(self) -> None:
        """Containers, networks and volumes are gone."""
        self.compose("--profile", "load", "down", "-v", "--remove-orphans", "-t", "60")

    def containers(self, service: str) -> list[dict[str, Any]]:
        """What ``docker inspect`` says of them, the stopped ones included."""
        labels = (f"com.docker.compose.project={PROJECT}", f"com.docker.compose.service={service}")
        options = [part for label in labels for part in ("--filter", f"label={label}")]
        ids = self.docker.run("ps", "--all", "--quiet", "--no-trunc", *options).split()
        found: list[dict[str, Any]] = json.loads(self.docker.run("inspect", *ids)) if ids else []
        return sorted(found, key=lambda each: each["Name"])

    def healthy(self, service: str, count: int = 1) -> list[dict[str, Any]]:
        """Its containers, once so many of them are healthy."""

        def ask() -> list[dict[str, Any]] | None:
            found = self.containers(service)
            well = [each for each in found if each["State"].get("Health", {}).get("Status") == "healthy"]
            return found if len(well) == count else None

        try:
            return until(f"{count} x {service} healthy", START, ask)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.logs(service)}") from None

    def logs(self, service: str, lines: int = 40) -> str:
        """The end of what its containers wrote."""
        return self.compose("logs", "--no-color", "--tail", str(lines), service)

    @contextmanager
    def listening(self, file: Path) -> Iterator[None]:
        """The engine's events from now on, for ``events``: it keeps only the last few hundred itself."""
        filters = [part for name in ("start", "die", "health_status") for part in ("--filter", f"event={name}")]
        label = f"label=com.docker.compose.project={PROJECT}"
        command = [self.docker.path, "events", *filters, "--filter", label, "--format", "{{json .}}"]
        self._events = file
        with file.open("wb") as out, subprocess.Popen(command, env=self.docker.environ, stdout=out) as process:
            try:
                yield
            finally:
                process.terminate()

    def events(self) -> list[tuple[float, str, str]]:
        """What happened to containers: seconds, service, and ``start``, ``die 0`` or ``health_status: healthy``."""
        found = []
        for line in self._events.read_text().splitlines():
            event = json.loads(line)
            about = event["Actor"]["Attributes"]
            what = f"die {about['exitCode']}" if event["status"] == "die" else event["status"]
            found.append((event["timeNano"] / 1e9, about["com.docker.compose.service"], what))
        return found

    @property
    def prometheus(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.ports['PROMETHEUS']}"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus answers now: series with ``metric`` and ``value``."""
        answer = get(f"{self.prometheus}/api/v1/query?query={quote(expression)}")
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def told(self) -> list[dict[str, Any]]:
        """Messages that Alertmanager sent, in order: ``path`` and ``message``."""
        (receiver,) = self.containers("alert-receiver")
        return [json.loads(line) for line in self.docker.run("logs", receiver["Id"]).splitlines()]


def get(url: str) -> Any:
    """JSON from a port of ours, whatever proxy this machine uses.

    Raises:
        URLError: nobody answers.
    """
    with build_opener(ProxyHandler({})).open(url, timeout=10) as answer:
        return json.load(answer)


@contextmanager
def running(docker: Docker) -> Iterator[Stack]:
    """The whole stack, up; gone afterwards."""
    make_standins(docker)
    build_worker(docker)
    stack = Stack(docker)
    stack.down()  # of a run that was killed
    with tempfile.TemporaryDirectory() as folder, stack.listening(Path(folder) / "events"):
        yield from _up(stack)


def _up(stack: Stack) -> Iterator[Stack]:
    try:
        stack.up()
        stack.healthy("worker")
        stack.healthy("cards")
        stack.healthy("prometheus")
        yield stack
    except EngineError as problem:
        raise EngineError(f"{problem}\n{stack.logs('kafka')}\n{stack.logs('topics')}") from None
    finally:
        stack.down()
