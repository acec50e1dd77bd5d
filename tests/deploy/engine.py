"""A Docker engine for tests: the one that answers, else one of our own that ends with them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Final, TypeVar

from stream.clock import SystemClock
from tests.deploy.tools import ROOT, ToolMissing

HOME: Final = ROOT / ".lanjie" / "docker"
POLL: Final = 0.5
#: No bridge and no rules of its own: it needs no iptables and changes nothing of the machine's network. Networks of
#: compose, names in them and ports on loopback work all the same.
ARGUMENTS: Final = ("--iptables=false", "--bridge=none", "--ip-forward=false")

T = TypeVar("T")


class EngineError(Exception):
    """Docker did not do as told."""


def found(program: str, package: str) -> str:
    """Where a program is.

    Raises:
        ToolMissing: it is not installed.
    """
    if path := shutil.which(program):
        return path
    raise ToolMissing(f"{program} is not on the PATH: apt-get install {package} (`make test-deploy` does, as root)")


def until(what: str, seconds: float, ask: Callable[[], T | None]) -> T:
    """The first answer of ``ask`` that is true.

    Raises:
        AssertionError: there was none in time; the message has the last one.
    """
    clock, answer = SystemClock(), None
    end = clock.monotonic() + seconds
    while clock.monotonic() < end:
        if answer := ask():
            return answer
        Event().wait(POLL)
    raise AssertionError(f"not within {seconds:g} s: {what}; last seen: {answer!r}")


class Docker:
    """The command line, told which engine to use.

    Attributes:
        environ: what ``docker`` and compose are started with.
    """

    def __init__(self, host: str) -> None:
        self.environ = os.environ | {"DOCKER_BUILDKIT": "1"} | ({"DOCKER_HOST": host} if host else {})
        self._docker = found("docker", "docker.io")
        if self.says("buildx", "version") is None and Path("/usr/bin/docker").exists():
            self._docker = "/usr/bin/docker"  # Debian's knows BuildKit by itself; a newer one needs buildx

    @property
    def path(self) -> str:
        """The program."""
        return self._docker

    def run(self, *arguments: str, timeout: float = 900, **environ: str) -> str:
        """What it said, stderr included.

        Raises:
            EngineError: it failed.
        """
        return run([self._docker, *arguments], timeout, self.environ | environ)

    def says(self, *arguments: str) -> str | None:
        """What it said, None if it failed."""
        with suppress(EngineError):
            return self.run(*arguments, timeout=30)
        return None


def run(command: list[str], timeout: float, environ: dict[str, str], **more: Path) -> str:
    """
    Raises:
        EngineError: it failed, or took too long.
    """
    try:
        return subprocess.run(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
            timeout=timeout, stdin=subprocess.DEVNULL, **more,
        ).stdout  # fmt: skip
    except subprocess.CalledProcessError as failed:
        end = "\n".join(failed.stdout.splitlines()[-30:])
        raise EngineError(f"{' '.join(command)}: exit {failed.returncode}\n{end}") from None
    except subprocess.TimeoutExpired as late:
        raise EngineError(f"{' '.join(command)}: not done within {late.timeout:g} s") from None


@contextmanager
def engine() -> Iterator[Docker]:
    """An engine that answers.

    Raises:
        ToolMissing: there is none and none can be started.
    """
    there = Docker("")
    if there.says("info", "--format", "{{.ServerVersion}}"):
        yield there
        return
    daemon = found("dockerd", "docker.io")
    if os.geteuid():
        raise ToolMissing("no Docker engine answers, and only root can start one: start yours, or say so as root")
    HOME.mkdir(parents=True, exist_ok=True)
    ours = Docker(f"unix://{HOME}/docker.sock")
    where = [f"--data-root={HOME}/data", f"--exec-root={HOME}/run", f"--pidfile={HOME}/dockerd.pid"]
    with (HOME / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(
            [daemon, *ARGUMENTS, *where, f"--host=unix://{HOME}/docker.sock"], stdout=log, stderr=log
        )
    try:
        until(f"an answer of dockerd (see {log.name})", 60, lambda: ours.says("version") or _alive(process, log.name))
        yield ours
    finally:
        process.terminate()
        process.wait(60)


def _alive(process: subprocess.Popen[bytes], log: str) -> None:
    if process.poll() is not None:
        end = "\n".join(Path(log).read_text(errors="replace").splitlines()[-5:])
        raise ToolMissing(f"dockerd ended at once, exit {process.returncode}:\n{end}")
