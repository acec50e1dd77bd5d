"""The worker as a process: its end, if it does not come by itself, and the file by which others find it."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Final

from stream.wire import dump_json

log = logging.getLogger(__name__)

EXIT_STUCK: Final = 75  # did not stop in time (EX_TEMPFAIL)


class Deadline(threading.Thread):
    """Ends the process if it has not ended by itself."""

    def __init__(self, seconds: float) -> None:
        super().__init__(daemon=True, name="shutdown-deadline")
        self._seconds = seconds

    def run(self) -> None:
        threading.Event().wait(self._seconds)
        log.critical("not stopped within %g s: giving up; what is not committed comes again", self._seconds)
        os._exit(EXIT_STUCK)


class StateFile:
    """``<data_dir>/worker-<pid>.json``: how the demo and the CLI find a running worker, or what else is so named."""

    def __init__(self, data_dir: Path, url: str, name: str = "worker") -> None:
        self._path = data_dir / f"{name}-{os.getpid()}.json"
        data_dir.mkdir(parents=True, exist_ok=True)
        for left in data_dir.glob(f"{name}-*.json"):  # by one that was killed
            pid = left.stem.removeprefix(f"{name}-")
            if pid.isdigit() and not _exists(int(pid)):
                left.unlink(missing_ok=True)
        try:
            self._path.write_bytes(dump_json({"pid": os.getpid(), "metrics_url": f"{url}/metrics", "url": url}))
        except OSError as error:  # a full disk is no reason not to decide
            log.warning("%s: %s; who looks for workers there does not find this one", self._path, error.strerror)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
