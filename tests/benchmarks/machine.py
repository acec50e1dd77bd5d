"""The machine: what it is, and who runs on which of its cores.

The process under test has one core, the broker and whatever drives or watches has the others. A process inherits the
cores of the thread that starts it, so nothing has to be installed and no thread escapes.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from tests.benchmarks.schema import Machine

LIBRARIES = (
    "aiokafka", "confluent-kafka", "cramjam", "faust-streaming", "msgspec", "numpy", "pyahocorasick", "uvloop",
)  # fmt: skip
_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
PINNED = len(_CORES) > 1
WORKER_CORES: list[int] = _CORES[:1] if PINNED else []
BROKER_CORES: list[int] = _CORES[1:] if PINNED else []
_SHM = "/dev/shm"  # noqa: S108 - the folder itself is made by tempfile
_LOG_ROOM = 8 << 30  # topics are removed after each run, which a broker does a minute later


@contextlib.contextmanager
def on(cores: Sequence[int]) -> Iterator[None]:
    """What is started meanwhile has these cores; without pinning, and of none, all of them."""
    if not PINNED:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or _CORES)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def move(pid: int, cores: Sequence[int]) -> None:
    """Give a running process, with all its threads, other cores; of none, all of them."""
    if PINNED:
        for thread in psutil.Process(pid).threads():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread.id, cores or _CORES)


def in_memory() -> str | None:
    """A folder in memory with room for a broker's log; None: there is none. A broker appends to an index by way of a
    mapped file, and for a new page of it ext4 took up to 40 ms here: with 64 partitions that, and not the worker, was
    what was measured.
    """
    with contextlib.suppress(OSError):
        if shutil.disk_usage(_SHM).free >= _LOG_ROOM:
            return _SHM
    return None


def cpu_of(pids: Sequence[int]) -> float:
    """Seconds of CPU that they have taken."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def describe() -> Machine:
    """For the report. Paths and host names stay out."""
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        load_before=round(os.getloadavg()[0], 2),
        worker_cores=WORKER_CORES,
        broker_cores=BROKER_CORES,
        caches=_caches(),
        log_in_memory=in_memory() is not None,
        versions={"Python": platform.python_version(), "Java": _java()} | {name: _version(name) for name in LIBRARIES},
    )


def commit() -> str:
    """Of the checkout, with ``+`` if it was changed; "" without git."""
    if not (git := shutil.which("git")):
        return ""
    head, dirty = (
        subprocess.run([git, *args], cwd=Path(__file__).parent, capture_output=True, text=True, check=False).stdout
        for args in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain"))
    )
    return head.strip() + ("+" if dirty.strip() else "")


def _cpu() -> str:
    with contextlib.suppress(OSError):
        if found := re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text("utf-8"), re.M):
            return found[1]
    return platform.processor() or "unknown"


def _caches() -> dict[str, str]:
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        with contextlib.suppress(OSError):
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
            if kind != "Instruction":
                found[f"L{level}"] = size
    return found


def _java() -> str:
    if not (java := shutil.which("java")):
        return "absent"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "([^"]+)"', said)
    return found[1] if found else "unknown"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
