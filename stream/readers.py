"""From the text of a setting to its value. A reader raises ValueError or KeyError; what it expects stands beside it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

_HOST_PORT: Final = re.compile(r"(\[[0-9a-fA-F:]+\]|[\w.-]+):\d{1,5}")


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
    hosts = [host.strip() for host in text.split(",")]
    if not all(_HOST_PORT.fullmatch(host) for host in hosts):
        raise ValueError
    return ",".join(hosts)


def matching(pattern: str) -> Callable[[str], str]:
    """A text that is all of a pattern."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError
        return text

    return read


def folder(text: str) -> Path:
    """A folder that is there."""
    if not (path := Path(text)).is_dir():
        raise ValueError
    return path


def file(text: str) -> Path:
    """A file that is there."""
    if not (path := Path(text)).is_file():
        raise ValueError
    return path


def switch(text: str) -> bool:
    """On or off."""
    return {"on": True, "off": False}[text.lower()]


def level(text: str) -> str:
    """A level of ``logging``."""
    if text.upper() not in logging.getLevelNamesMapping():
        raise ValueError
    return text.upper()
