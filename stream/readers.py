"""From the text of a setting to its value. A reader raises ValueError or KeyError; what it expects stands beside it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_HOST_PORT: Final = re.compile(r"(?:\[[0-9a-fA-F:]+\]|[\w.-]+):([0-9]{1,5})")


def integer(low: int, high: int) -> tuple[Callable[[str], int], str]:
    """A whole number within bounds."""

    def read(text: str) -> int:
        if not low <= (value := int(text)) <= high:
            raise ValueError
        return value

    return read, f"a whole number from {low} to {high}"


def seconds(low: int, high: int) -> tuple[Callable[[str], float], str]:
    """Seconds within bounds."""

    def read(text: str) -> float:
        if not low <= (value := float(text)) <= high:
            raise ValueError
        return value

    return read, f"seconds from {low} to {high}"


def one_of(*texts: str) -> tuple[Callable[[str], str], str]:
    """One of these words."""
    return matching("|".join(map(re.escape, texts))), " or ".join(texts)


def bootstrap(text: str) -> str:
    """Addresses of brokers."""
    return ",".join(host_port(part.strip()) for part in text.split(","))


def host_port(text: str) -> str:
    """A host and a port that there is."""
    if not (found := _HOST_PORT.fullmatch(text)) or not 1 <= int(found[1]) <= 65_535:
        raise ValueError
    return text


def host(text: str) -> str:
    """A host to listen on: never empty, which would be all addresses of this machine."""
    return matching(r"[\w.:%-]+")(text)


def matching(pattern: str) -> Callable[[str], str]:
    """A text that is all of a pattern."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError
        return text

    return read


def path(text: str) -> Path:
    """A path: never empty, which would be where we were started."""
    if not text:
        raise ValueError
    return Path(text)


def folder(text: str) -> Path:
    """A folder that is there."""
    if not (found := path(text)).is_dir():
        raise ValueError
    return found


def file(text: str) -> Path:
    """A file that is there."""
    if not (found := path(text)).is_file():
        raise ValueError
    return found


def switch(text: str) -> bool:
    """On or off."""
    return {"on": True, "off": False}[text.lower()]


def level(text: str) -> str:
    """One of ``LEVELS``: ``logging`` knows more, and NOTSET would be as loud as DEBUG."""
    return {name: name for name in LEVELS}[text.upper()]
