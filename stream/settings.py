"""All settings, read from the environment in one place and checked there.

Every setting ``name`` is the variable ``LANJIE_NAME``. A wrong value stops the start with a message that names the
variable, the value and what was expected; nothing falls back silently. There are no secrets here yet.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from detectors.lists import ListKind
from detectors.model.errors import LanjieError
from stream.topics import Topic

PREFIX: Final = "LANJIE_"
_KINDS: Final = {kind.name.lower(): kind for kind in ListKind}
_HOST_PORT: Final = re.compile(r"(\[[0-9a-fA-F:]+\]|[\w.-]+):\d{1,5}")
_MARKET: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_AUTHOR: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_KAFKA_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,200}")


class SettingsError(LanjieError):
    """A setting cannot be used."""


@dataclass(frozen=True, slots=True)
class ListFile:
    """A number list on disk, and the list that its entries are on unless they say otherwise."""

    path: Path
    kind: ListKind = ListKind.BLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a worker can be told. Frozen: a change is a restart.

    Attributes:
        bootstrap: Kafka addresses, ``host:port``, comma separated.
        group: consumer group; workers of one group share the partitions.
        metrics_host: where health and metrics are served.
        metrics_port: port of the same; 0 takes a free one and prints it.
        lists: number-list files, separated as in PATH; ``grey:/some/file`` names the list, default ``block``.
        rules: folder of a rule pack; the shipped one if none is named.
        model: file of the message score, made by ``lanjie train sms``; without one there is no such sign.
        updates: whether lists and rules also come from ``lists.numbers.v1`` and ``rules.v1``, on top of the files.
        trust: file of who may change lists and rules, and whose feeds are taken; without one anybody who can write
            to the topics may.
        author: who makes the changes of this command, by default the user of this machine.
        key: file of the author's private key, made by ``lanjie keys make``.
        market: whose profile of ``responses.toml`` says what a gateway answers; "" for decisions without a response.
        topic_prefix: goes before every topic name, so that several pipelines can share a cluster.
        partitions: of topics that we create ourselves.
        replication: of the same; 3 on a cluster that is to survive a broker.
        max_chunk: records handed over at once. More is cheaper per record; the first waits for the last.
        max_in_flight: chunks fetched and not yet acknowledged; bounds memory to ``max_chunk * max_in_flight`` events.
        data_dir: where a worker leaves the file by which others find it.
        log_level: of our own log lines.
        shutdown_seconds: after SIGTERM. Stay below the supervisor's own patience (Kubernetes: 30, Docker: 10).
    """

    bootstrap: str = "127.0.0.1:9092"
    group: str = "lanjie"
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9464
    lists: tuple[ListFile, ...] = ()
    rules: Path | None = None
    model: Path | None = None
    updates: bool = True
    trust: Path | None = None
    author: str = ""
    key: Path | None = None
    market: str = ""
    topic_prefix: str = ""
    partitions: int = 4
    replication: int = 1
    max_chunk: int = 500
    max_in_flight: int = 64
    data_dir: Path = Path(".lanjie")
    log_level: str = "INFO"
    shutdown_seconds: float = 10.0

    def named(self, topic: Topic) -> Topic:
        """The topic as this pipeline names it."""
        partitions = topic.partitions if topic.single else self.partitions
        return replace(topic, name=self.topic_prefix + topic.name, partitions=partitions)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Settings from ``LANJIE_*`` of ``environ`` (default: the process's environment).

        Raises:
            SettingsError: a value cannot be used.
        """
        given = os.environ if environ is None else environ
        return cls.of({field.name: value for field in fields(cls) if (value := given.get(variable(field.name)))})

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Settings:
        """Settings from texts by field name, checked.

        Raises:
            SettingsError: a value cannot be used.
        """
        found: dict[str, Any] = {}
        for name, text in texts.items():
            read, expected = _READERS[name]
            try:
                found[name] = read(text.strip())
            except (ValueError, KeyError):
                raise SettingsError(f"{variable(name)}={text!r}: expected {expected}") from None
        return cls(**found)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def _integer(low: int, high: int) -> tuple[Callable[[str], int], str]:
    def read(text: str) -> int:
        if not low <= (value := int(text)) <= high:
            raise ValueError
        return value

    return read, f"a whole number from {low} to {high}"


def _seconds(text: str) -> float:
    if not 1 <= (value := float(text)) <= 600:
        raise ValueError
    return value


def _bootstrap(text: str) -> str:
    hosts = [host.strip() for host in text.split(",")]
    if not all(_HOST_PORT.fullmatch(host) for host in hosts):
        raise ValueError
    return ",".join(hosts)


def _name(text: str) -> str:
    if not _KAFKA_NAME.fullmatch(text):
        raise ValueError
    return text


def _author(text: str) -> str:
    if not _AUTHOR.fullmatch(text):
        raise ValueError
    return text


def _market(text: str) -> str:
    if text and not _MARKET.fullmatch(text):
        raise ValueError
    return text


def _folder(text: str) -> Path:
    if not (path := Path(text)).is_dir():
        raise ValueError
    return path


def _file(text: str) -> Path:
    if not (path := Path(text)).is_file():
        raise ValueError
    return path


def _switch(text: str) -> bool:
    return {"on": True, "off": False}[text.lower()]


def _level(text: str) -> str:
    if text.upper() not in logging.getLevelNamesMapping():
        raise ValueError
    return text.upper()


def _lists(text: str) -> tuple[ListFile, ...]:
    """``:`` parts the files and also a kind from its file; a part that is the name of a list is never a file."""
    found: list[ListFile] = []
    parts = iter(part for part in text.split(os.pathsep) if part)
    for part in parts:
        kind, _, path = part.partition(":")
        if kind not in _KINDS:
            found.append(ListFile(Path(part)))
        elif path := path or next(parts, ""):
            found.append(ListFile(Path(path), _KINDS[kind]))
        else:
            raise ValueError
    return tuple(found)


_READERS: Final[dict[str, tuple[Callable[[str], Any], str]]] = {
    "bootstrap": (_bootstrap, "host:port, several parted by commas"),
    "group": (_name, "letters, digits, dots, dashes and underscores"),
    "metrics_host": (str, "an address of this machine"),
    "metrics_port": _integer(0, 65_535),
    "lists": (_lists, f"files parted by {os.pathsep!r}, each after KIND: or not; KIND is {', '.join(_KINDS)}"),
    "rules": (_folder, "a folder that is there"),
    "model": (_file, "a file that is there"),
    "updates": (_switch, "on or off"),
    "trust": (_file, "a file that is there"),
    "author": (_author, "a short name: lower-case letters, digits, dots, dashes and underscores"),
    "key": (_file, "a file that is there"),
    "market": (_market, "the name of a market in responses.toml, such as generic, cn or us"),
    "topic_prefix": (_name, "letters, digits, dots, dashes and underscores"),
    "partitions": _integer(1, 10_000),
    "replication": _integer(1, 32),
    "max_chunk": _integer(1, 10_000),
    "max_in_flight": _integer(1, 10_000),
    "data_dir": (Path, "a folder"),
    "log_level": (_level, "DEBUG, INFO, WARNING, ERROR or CRITICAL"),
    "shutdown_seconds": (_seconds, "seconds from 1 to 600"),
}
