"""The images of the exercise: those that stand in for upstream's, and the worker's own, from the real Dockerfile."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.deploy.engine import Docker, run
from tests.deploy.tools import ROOT

PYTHON: Final = "lanjie-standin/python:3.11-slim"
WORKER: Final = "lanjie-standin/worker:test"
STANDINS: Final = ROOT / "deploy" / "standin" / "build.sh"
DOCKERFILE: Final = ROOT / "deploy" / "docker" / "Dockerfile"
#: Settings of this machine's pip that say where from; others are its own business.
PIP: Final = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")
_LINE: Final = re.compile(r"(?:global|install|:env:)\.([a-z-]+)='(.*)'")


def kafka_version() -> str:
    """Of the jars, hence of the image."""
    pom = (ROOT / "deploy" / "kafka-local" / "pom.xml").read_text()
    return re.search(r"kafka_2\.13</artifactId>\s*<version>([^<]+)<", pom)[1]


def make_standins(docker: Docker) -> None:
    """Make what is missing or out of date; some minutes the first time."""
    run([str(STANDINS)], 1800, docker.environ | {"DOCKER": docker.path, "PYTHON": sys.executable})


def build_worker(docker: Docker) -> None:
    """``docker build`` of the shipped Dockerfile, on the base that stands in."""
    with tempfile.TemporaryDirectory() as folder:
        docker.run(
            "build", "--network=host", f"--file={DOCKERFILE}", f"--tag={WORKER}", f"--build-arg=PYTHON_IMAGE={PYTHON}",
            *_secrets(Path(folder)), str(ROOT), timeout=1800,
        )  # fmt: skip


def _secrets(folder: Path) -> list[str]:
    """This machine's pip settings, for the build only."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found = dict(_LINE.findall(listed.stdout))
    lines = [f"{name} = {found[name]}" for name in PIP if name in found]
    options = []
    if certificates := found.get("cert") or os.environ.get("SSL_CERT_FILE"):
        lines.append("cert = /run/secrets/ca.pem")
        options.append(f"--secret=id=ca.pem,src={certificates}")
    config = folder / "pip.conf"
    config.write_text("\n".join(["[global]", *lines]) + "\n")
    return [*options, f"--secret=id=pip.conf,src={config}"]
