"""One line for one fact, as text or as JSON, and no personal data in it (``log_masks.py``).

    2026-11-26T02:40:01.123Z INFO stream.app: health and metrics: http://127.0.0.1:9464
    {"time":"2026-11-26T02:40:01.123Z","level":"INFO","logger":"stream.app","event":"health and metrics: %s", ...}

``event`` is what lines of one kind have in common, ``message`` the same with its arguments, ``fields`` are those of
``extra``. Of an exception there are its type and where it went through, innermost last, never the values of variables.
What cannot be written is told as such: ``logging`` by itself would show its arguments on stderr.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

import orjson

from stream.clock import Clock, iso
from stream.log_masks import argument, error_text, ours, template
from stream.quiet import MEANWHILE, quiet_logs

log = logging.getLogger(__name__)

FRAMES: Final = 8  # of an exception, the innermost
CAUSES: Final = 3  # of an exception, each that of the one before
_KNOWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Lines(logging.Formatter):
    """A record as one line. The traceback of a record is never written, nor what others made of it."""

    def __init__(self, form: str) -> None:
        """``form``: one of ``settings.LOG_FORMATS``."""
        super().__init__()
        self._json = form == "json"

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        try:
            return self._line(told(record))
        except Exception as error:  # noqa: BLE001 - whatever an argument's __str__ raises; the line must not go unheard
            return self._line(_bare(record, f"a line that cannot be shown: {type(error).__name__}"))

    def _line(self, said: dict[str, Any]) -> str:
        if self._json:
            return orjson.dumps(said).decode()
        fields = f" {said['fields']}" if "fields" in said else ""
        trouble = f" [{_error_line(said['error'])}]" if "error" in said else ""
        return f"{said['time']} {said['level']} {said['logger']}: {said['message']}{fields}{trouble}"


def told(record: logging.LogRecord) -> dict[str, Any]:
    """What a record says, masked."""
    own = ours(record.name)
    event = template(record.msg, own=own) if isinstance(record.msg, str) else str(argument(record.msg, own=own))
    said = _bare(record, event)
    said["message"] = _message(event, record.args, own=own) + vars(record).get(MEANWHILE, "")
    if own and (fields := {name: value for name, value in vars(record).items() if name not in _KNOWN}):
        said["fields"] = {name: argument(value, own=True) for name, value in fields.items()}
    if record.exc_info and (error := record.exc_info[1]):
        said["error"] = _error(error)
    return said


def set_up_logs(level: str, form: str, clock: Clock) -> None:
    """Log to stderr from now on, also what nobody caught and what Python warns of.

    Args:
        level: a level of ``logging``.
        form: one of ``settings.LOG_FORMATS``.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(form))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    quiet_logs(clock)
    logging.raiseExceptions = False  # what cannot be written would be shown as it is
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    log.critical("nobody caught %s", kind, exc_info=(kind, error or kind(), trace))


def _bare(record: logging.LogRecord, event: str) -> dict[str, Any]:
    moment = iso(int(record.created * 1000), "milliseconds")
    return {"time": moment, "level": record.levelname, "logger": record.name, "event": event, "message": event}


def _message(event: str, args: Any, *, own: bool) -> str:
    if not args:
        return event
    try:
        if isinstance(args, Mapping):
            return event % {name: argument(value, own=own) for name, value in args.items()}
        return event % tuple(argument(value, own=own) for value in args)
    except (TypeError, ValueError, KeyError):
        return f"{event} [its arguments do not fit]"


def _error(error: BaseException, causes: int = CAUSES) -> dict[str, Any]:
    frames = [(frame.f_globals.get("__name__", "?"), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    said: dict[str, Any] = {
        "type": type(error).__name__,
        "text": error_text(error),
        "at": [f"{module}:{line}" for module, line in frames[-FRAMES:]],
    }
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause and causes:
        said["cause"] = _error(cause, causes - 1)
    return said


def _error_line(error: dict[str, Any]) -> str:
    where = f" at {' > '.join(error['at'])}" if error["at"] else ""
    cause = f"; caused by {_error_line(error['cause'])}" if "cause" in error else ""
    text = f": {error['text']}" if error["text"] != error["type"] else ""
    return f"{error['type']}{text}{where}{cause}"
