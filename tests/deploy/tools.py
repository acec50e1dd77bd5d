"""Tools that check what is deployed: each fetched once, at a named version, into ``.lanjie/deploy-tools``.

By pip and go as they are set up on this machine. Nothing is installed into the environment of the project.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / ".lanjie" / "deploy-tools"


class ToolMissing(Exception):  # noqa: N818 - what is wrong, in the words of whoever reads it
    """A tool can be neither found nor fetched."""


def python_tool(requirement: str, command: str) -> Path:
    """A command of a Python package, in an environment of its own; ``python`` is the interpreter of that.

    Args:
        requirement: ``name==version``.
    """
    folder = FOLDER / requirement
    with _once(folder) as missing:
        if missing:
            _run([sys.executable, "-m", "venv", str(folder)])
            _run([str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", requirement])
    return folder / "bin" / command


def go_tool(module: str) -> Path:
    """The program of a Go module, built by the Go of this machine.

    Args:
        module: ``path@version``; a last part such as ``/v5`` is not the program's name.
    """
    path, _, version = module.partition("@")
    name = next(part for part in reversed(path.split("/")) if not (part[0] == "v" and part[1:].isdigit()))
    folder = FOLDER / f"{name}@{version}"
    with _once(folder) as missing:
        if missing:
            _run([_go(), "install", module], GOBIN=str(folder))
    return folder / name


@contextmanager
def _once(folder: Path) -> Iterator[bool]:
    """Whether ``folder`` is still to be made. Others that want it meanwhile wait; what was begun is begun again."""
    done = folder / ".done"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            yield False
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield True
        done.touch()


def _go() -> str:
    if go := shutil.which("go"):
        return go
    raise ToolMissing("go is not on the PATH: install Go >= 1.24")


def _run(command: list[str], **environ: str) -> None:
    done = subprocess.run(
        command, env={**os.environ, **environ}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise ToolMissing(f"{' '.join(command)}: exit {done.returncode}\n" + "\n".join(done.stdout.splitlines()[-10:]))
