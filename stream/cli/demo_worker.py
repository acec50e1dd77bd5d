"""A worker, or another process of ours: start it, wait until it is ready, watch its metrics, stop it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from detectors.model.errors import LanjieError
from stream.clock import Clock

READY_TIMEOUT: Final = 90.0  # seconds; two million numbers take thirty
STOP_TIMEOUT: Final = 15.0  # seconds; the worker gives itself ten
HTTP_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
POLL: Final = 0.1


class WorkerError(LanjieError):
    """The worker did not do what it should; its log says more."""


@dataclass(frozen=True)
class Reading:
    """The worker's counters at one moment."""

    decided: int = 0
    dead_lettered: int = 0
    lag: int = 0
    by_action: Mapping[str, int] = field(default_factory=dict)


class WorkerProcess:
    """A worker. In a session of its own, so that Ctrl-C reaches us and not it: we stop it in order.

    Args:
        command: another one of ours that serves its health, such as ``cards watch``.
        name: of its state file and log.
    """

    def __init__(
        self, environ: Mapping[str, str], data_dir: Path, clock: Clock, command: str = "worker", name: str = "worker"
    ) -> None:
        self.log = data_dir / f"{name}.log"
        self._clock, self._command = clock, command
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves, with our own arguments  # nosec B603
                [sys.executable, "-m", "stream.cli", *command.split()],
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._state = data_dir / f"{name}-{self.pid}.json"
        self.url = ""

    async def ready(self, http: aiohttp.ClientSession, sleep: float = POLL) -> None:
        """Wait for ``/ready``.

        Raises:
            WorkerError: it ended, or is not ready in time.
        """
        import asyncio  # noqa: PLC0415

        end = self._clock.monotonic() + READY_TIMEOUT
        reasons = "its state file is not there"
        while self._clock.monotonic() < end:
            self.check()
            if self._state.exists():
                self.url = self.url or msgspec.json.decode(self._state.read_bytes())["url"]
                status, reasons = await _get(http, f"{self.url}/ready")
                if status == 200:
                    return
            await asyncio.sleep(sleep)
        raise WorkerError(f"lanjie {self._command} is not ready after {READY_TIMEOUT:g} s: {reasons}\n{self._tail()}")

    async def read(self, http: aiohttp.ClientSession) -> Reading | None:
        """Its counters; None if it does not answer."""
        status, text = await _get(http, f"{self.url}/metrics")
        return _reading(text) if status == 200 else None

    def check(self) -> None:
        """
        Raises:
            WorkerError: it has ended.
        """
        if (code := self._process.poll()) is not None:
            raise WorkerError(f"lanjie {self._command} ended with exit code {code}; end of {self.log}:\n{self._tail()}")

    def stop(self) -> int:
        """SIGTERM, which drains; SIGKILL if that does not help. Returns the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
        code = self._process.wait()
        self._state.unlink(missing_ok=True)
        return code

    def _tail(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
        return "\n".join(lines) or "(it wrote nothing)"


async def _get(http: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    try:
        async with http.get(url, timeout=HTTP_TIMEOUT) as answer:
            return answer.status, await answer.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        return 0, type(error).__name__


def _reading(text: str) -> Reading:
    totals: Counter[str] = Counter()
    actions: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            totals[sample.name] += int(sample.value) if sample.value == sample.value else 0
            if sample.name == "lanjie_decisions_total":
                actions[sample.labels["action"]] += int(sample.value)
    return Reading(
        decided=totals["lanjie_decisions_total"],
        dead_lettered=totals["lanjie_dead_letters_total"],
        lag=totals["lanjie_consumer_lag_records"],
        by_action=actions,
    )
