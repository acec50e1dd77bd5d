"""The log level of a running worker: ``kill -USR1`` makes it DEBUG for ten minutes, ``kill -USR2`` ends that at once.

By signal, as a reload is: whoever may send one may stop the worker as well, so nothing is opened that was closed. HTTP
would be open to whoever reaches the metrics port, also through a proxy that makes a stranger look like this machine. It
ends by itself, because at DEBUG the Kafka libraries write a line for every request: a forgotten one fills the disk.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Final

log = logging.getLogger(__name__)

#: Seconds.
LOUD_FOR: Final = 600.0


class LogLevel:
    """Of the root logger, whose children all others are."""

    def __init__(self, level: str, *, loud_for: float = LOUD_FOR) -> None:
        self._level, self._loud_for = level, loud_for
        self._end: asyncio.TimerHandle | None = None

    def listen(self) -> None:
        """Do as told from now on, in the running loop."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self.louder)
        loop.add_signal_handler(signal.SIGUSR2, self.as_set)

    def louder(self) -> None:
        """DEBUG, until the time is over or somebody says so. Told again, the time begins anew."""
        self._change("DEBUG", f"for {self._loud_for:g} s, or until SIGUSR2")
        self._end = asyncio.get_running_loop().call_later(self._loud_for, self.as_set)

    def as_set(self) -> None:
        """As the settings say."""
        self._change(self._level, "as LANJIE_LOG_LEVEL says")

    def _change(self, level: str, why: str) -> None:
        if self._end:
            self._end.cancel()
            self._end = None
        root = logging.getLogger()
        root.setLevel(min(root.level, logging.WARNING))  # so that this line is seen in any case
        log.warning("the log level is %s %s", level, why)
        root.setLevel(level)


def level_now() -> str:
    """That of the process."""
    return logging.getLevelName(logging.getLogger().level)
