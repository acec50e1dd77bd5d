"""What libraries say over and over while a broker or collector is away: about 20 lines a second of the same few."""

from __future__ import annotations

import logging
from threading import Lock
from typing import Final

from stream.clock import Clock

#: Seconds between two lines that are alike.
EVERY: Final = 10.0
#: Lines that are told apart; some libraries put what changes into the text itself.
MOST: Final = 1_000
#: Attribute of a record: what is told with it of those that were withheld. Its text stays that of its kind.
MEANWHILE: Final = "meanwhile"
LIBRARIES: Final = ("aiokafka", "faust", "kafka", "mode", "opentelemetry", "urllib3")


class Seldom(logging.Filter):
    """Lets through one of ``LIBRARIES``' lines that are alike every ``EVERY`` seconds; it says how many there were
    meanwhile. Alike: of the same logger, level and text before arguments are put in. Our own lines all pass, and so
    does what is said only for debugging.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock, self._lock = clock, Lock()  # Faust's consumer logs from a thread of its own
        self._passed: dict[tuple[str, int, str], tuple[float, int]] = {}  # when one passed, and how many did not since

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if record.levelno <= logging.DEBUG or record.name.partition(".")[0] not in LIBRARIES:
            return True
        now, key = self._clock.monotonic(), (record.name, record.levelno, str(record.msg))
        with self._lock:
            since, withheld = self._passed.get(key, (now - EVERY, 0))
            if now - since < EVERY:
                self._passed[key] = since, withheld + 1
                return False
            self._forget(now)
            self._passed[key] = now, 0
        if withheld:
            vars(record)[MEANWHILE] = f" [{withheld} more like this in the {now - since:.0f} s before]"
        return True

    def _forget(self, now: float) -> None:
        if len(self._passed) >= MOST:
            self._passed = {key: seen for key, seen in self._passed.items() if now - seen[0] < EVERY}
        if len(self._passed) >= MOST:
            self._passed.clear()


def quiet_logs(clock: Clock) -> None:
    """From now on what goes to the root logger's handlers passes ``Seldom``. To be called after they are set up."""
    seldom = Seldom(clock)
    for handler in logging.getLogger().handlers:  # a logger's own filters do not see what its children say
        handler.addFilter(seldom)
