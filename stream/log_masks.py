"""What of a log line may be read by anybody who reads logs: no phone number, and no message.

A filter cannot know a message when it sees one. So it goes by who says it and in what form:

| part of a line | our own loggers | all others |
|---|---|---|
| template | digits masked | the same, not ASCII starred, first line, cut: it may have been put together before |
| argument: int, float | as it is: offsets, sizes, ports; subscribers are texts everywhere | the same |
| a text | digits masked | the same if it is one word, as names of topics and hosts are; else its length |
| bytes | their number | the same |
| an exception | its text, digits masked, if it is of ``TOLD``, else its type | the same |
| a collection | its items so | the same |
| anything else | digits masked | its type |

Digits are masked where seven or more follow one another, however they are parted; but for dates, IPv4 addresses, UUIDs
and our versions (``7-811d83d7caba60bf``). Numbers cut in two between arguments are not found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from enum import Enum
from itertools import islice
from pathlib import PurePath
from typing import Any, Final

from aiokafka.errors import KafkaError

from detectors.model.errors import LanjieError
from detectors.model.numbers import mask

OURS: Final = ("detectors", "stream", "loadtest")
#: Exceptions whose texts are about files, sockets and topics, or are ours and masked where they are made.
TOLD: Final = (LanjieError, OSError, KafkaError)
CUT: Final = 300  # characters of a template that is not ours
ITEMS: Final = 20  # of a collection
_GAP: Final = r"[\s().\-\u2010-\u2015/·]{0,3}"
_SPARED: Final = re.compile(
    r"(?:(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,6})?)?)?"
    r"|(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\d{1,9}-(?=\d{0,9}[a-f])(?![0-9a-f]*\d{10})[0-9a-f]{12}(?:[0-9a-f]{4})?)"
    rf"(?![\w+]|{_GAP}\d)",
    re.ASCII,
)
_DIGITS: Final = re.compile(rf"\+?\d(?:{_GAP}\d){{6,}}")
_MAYBE: Final = re.compile(rf"(?<![\w.+])(?={_SPARED.pattern})|{_DIGITS.pattern}")
_WORD: Final = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,120}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def ours(logger: str) -> bool:
    """Whether its lines are written by us."""
    return logger.partition(".")[0] in OURS


def digits_masked(text: str) -> str:
    """The text in one line, with its numbers masked as they are everywhere."""
    found, at = list[str](), 0
    while hit := _MAYBE.search(text, at):
        spared = _SPARED.match(text, hit.start()) if not hit[0] else None
        found += text[at : hit.start()], spared[0] if spared else _hidden(hit[0])
        at = (spared or hit).end()
    return _CONTROL.sub(lambda control: control[0].encode("unicode_escape").decode(), "".join([*found, text[at:]]))


def template(text: str, *, own: bool) -> str:
    """What is written before arguments are put in; percent signs stay as they are."""
    if own:
        return digits_masked(text)
    first = text.strip().partition("\n")[0]
    return digits_masked("".join(each if each.isascii() else "*" for each in first[:CUT]))


def argument(value: Any, *, own: bool) -> Any:
    """What is put in: a number as it is, so that it can be formatted as one, else a text."""
    match value:
        case None | int() | float():
            return value
        case str() | PurePath() | Enum():
            text = str(value)
            shown = digits_masked(text) if own or _WORD.fullmatch(text) else f"<{len(text)} characters>"
        case bytes() | bytearray() | memoryview():
            shown = f"<{len(value)} bytes>"
        case BaseException():
            shown = error_text(value)
        case type():
            shown = value.__name__
        case Mapping() | Set() | list() | tuple():
            shown = _collection(value, own=own)
        case _:
            shown = digits_masked(str(value)) if own else f"<{type(value).__name__}>"
    return shown


def _hidden(run: str) -> str:
    """Without what parts it. ``mask`` leaves eight characters, which is too much of a short number."""
    number = "".join(each for each in run if each.isdecimal() or each == "+")
    return mask(number) if len(number) > 10 else mask(number[:2]) + "*" * (len(number) - 2)


def error_text(error: BaseException) -> str:
    """What an exception says if that cannot quote an event, else its type."""
    said = digits_masked(str(error)) if isinstance(error, TOLD) else ""
    return said or type(error).__name__


def _collection(value: Any, *, own: bool) -> str:
    def shown(item: Any) -> str:
        return str(argument(item, own=own))

    if isinstance(value, Mapping):
        items = [f"{shown(key)}={shown(each)}" for key, each in islice(value.items(), ITEMS)]
    else:
        items = [shown(item) for item in islice(value, ITEMS)]
    more = ["..."] if len(value) > ITEMS else []
    name = type(value).__name__ if hasattr(value, "_fields") else ""
    return f"{name}({', '.join(items + more)})"
