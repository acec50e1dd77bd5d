"""All settings, read from the environment in one place and checked there.

Every setting ``name`` is the variable ``LANJIE_NAME``. A wrong value stops the start with a message that names the
variable, the value and what was expected; nothing falls back silently. Secrets are in files that settings name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from detectors.lists import ListKind
from detectors.model.decision import Action
from detectors.model.errors import LanjieError
from stream.kafka import Kafka, Security, read_codec, read_mechanism, read_security, usable_codecs
from stream.readers import bootstrap, file, folder, integer, level, matching, one_of, seconds, switch
from stream.topics import Topic

PREFIX: Final = "LANJIE_"
DELIVERIES: Final = ("at-least-once", "exactly-once")
_KINDS: Final = {kind.name.lower(): kind for kind in ListKind}
ON_FAULT: Final = ("open", "closed")
#: The least action, by kind, where a kind fails closed: a person on the line can answer, a message can wait.
_CLOSED: Final = {"call": Action.CHALLENGE, "sms": Action.DELAY, "card": Action.DELAY}


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
        kafka_security: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
        kafka_mechanism: of SASL: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
        kafka_user: who we are, with SASL.
        kafka_password_file: file that holds the user's password and nothing else.
        kafka_ca: file of the certificates that sign brokers, PEM; by default those that this machine trusts.
        kafka_cert: file of our own certificate, PEM, for brokers that ask for one.
        kafka_key: file of its key, without a passphrase; not needed if the certificate's file has it.
        compression: of what we produce: none, gzip, lz4, snappy or zstd. What we read may have any.
        group: consumer group; workers of one group share the partitions.
        instance: name of this worker in its group, for static membership (KIP-345): if it is back within the session
            timeout it has its partitions again, and the others are not disturbed. No two workers may have the same.
        delivery: at-least-once, or exactly-once: decisions, dead letters and offsets in one transaction.
        recovery_seconds: for making the windows of an assigned partition again from the log. What this does not suffice
            for is left out, the oldest first.
        checkpoint_seconds: between two checkpoints of what is counted; 0: none are taken.
        checkpoints: folder for them, by default in ``data_dir``. One that all workers share also helps those who take
            partitions over from another.
        max_callers: in the windows of one partition; all that is remembered is bounded in proportion.
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
        call_on_fault, sms_on_fault, card_on_fault: what becomes of an event that a fault kept from being looked at in
            full. open: whatever the rest of what is known says. closed: at least a challenge (calls) or a delay.
        lists_only_after: seconds of backlog from which only number lists look, until half of it is left; 0: never.
        call_deadline_ms, sms_deadline_ms, card_deadline_ms: until a decision is acknowledged, from when its event was
            on Kafka. Missing it changes nothing but a metric.
    """

    bootstrap: str = "127.0.0.1:9092"
    kafka_security: Security = Security.PLAINTEXT
    kafka_mechanism: str = "SCRAM-SHA-512"
    kafka_user: str = ""
    kafka_password_file: Path | None = None
    kafka_ca: Path | None = None
    kafka_cert: Path | None = None
    kafka_key: Path | None = None
    compression: str = "none"
    group: str = "lanjie"
    instance: str = ""
    delivery: str = "at-least-once"
    recovery_seconds: float = 30.0
    checkpoint_seconds: float = 15.0
    checkpoints: Path | None = None
    max_callers: int = 250_000
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
    call_on_fault: str = "open"
    sms_on_fault: str = "open"
    card_on_fault: str = "open"
    lists_only_after: float = 60.0
    call_deadline_ms: int = 50
    sms_deadline_ms: int = 500
    card_deadline_ms: int = 5000

    def named(self, topic: Topic) -> Topic:
        """The topic as this pipeline names it."""
        partitions = topic.partitions if topic.single else self.partitions
        return replace(topic, name=self.topic_prefix + topic.name, partitions=partitions)

    @property
    def on_fault(self) -> dict[str, Action]:
        """Kind -> the least action for what a fault kept from being looked at in full, of kinds that fail closed."""
        given = {"call": self.call_on_fault, "sms": self.sms_on_fault, "card": self.card_on_fault}
        return {kind: _CLOSED[kind] for kind, text in given.items() if text == "closed"}

    @property
    def deadlines(self) -> dict[str, float]:
        """Kind -> seconds from a record's Kafka timestamp to the acknowledgement of its decision."""
        given = {"call": self.call_deadline_ms, "sms": self.sms_deadline_ms, "card": self.card_deadline_ms}
        return {kind: ms / 1000 for kind, ms in given.items()}

    @property
    def checkpoint_folder(self) -> Path:
        """Where checkpoints are."""
        return self.checkpoints or self.data_dir / "checkpoints"

    @property
    def kafka(self) -> Kafka:
        """How Kafka is reached."""
        return Kafka(
            bootstrap=self.bootstrap,
            security=self.kafka_security,
            mechanism=self.kafka_mechanism,
            user=self.kafka_user,
            password_file=self.kafka_password_file,
            ca=self.kafka_ca,
            cert=self.kafka_cert,
            key=self.kafka_key,
            compression=self.compression,
        )

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
                shown = "..." if name == "kafka_password_file" else repr(text)  # somebody may put the password itself
                raise SettingsError(f"{variable(name)}={shown}: expected {expected}") from None
        settings = cls(**found)
        if problem := settings.kafka.problem():
            raise SettingsError(problem)
        return settings


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


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


_name: Final = matching(r"[a-zA-Z0-9._-]{1,200}")  # as Kafka has them
_author: Final = matching(r"[a-z0-9][a-z0-9._-]{0,63}")
_market: Final = matching(r"([a-z][a-z0-9_-]{0,31})?")
_READERS: Final[dict[str, tuple[Callable[[str], Any], str]]] = {
    "bootstrap": (bootstrap, "host:port, several parted by commas"),
    "kafka_security": (read_security, "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
    "kafka_mechanism": (read_mechanism, "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
    "kafka_user": (str, "the name of a user"),
    "kafka_password_file": (file, "a file that is there and holds the password"),
    "kafka_ca": (file, "a file that is there"),
    "kafka_cert": (file, "a file that is there"),
    "kafka_key": (file, "a file that is there"),
    "compression": (read_codec, usable_codecs()),
    "group": (_name, "letters, digits, dots, dashes and underscores"),
    "instance": (_name, "letters, digits, dots, dashes and underscores"),
    "delivery": one_of(*DELIVERIES),
    "recovery_seconds": seconds(1, 600),
    "max_callers": integer(1_000, 100_000_000),
    "checkpoint_seconds": seconds(0, 3600),
    "checkpoints": (Path, "a folder"),
    "metrics_host": (str, "an address of this machine"),
    "metrics_port": integer(0, 65_535),
    "lists": (_lists, f"files parted by {os.pathsep!r}, each after KIND: or not; KIND is {', '.join(_KINDS)}"),
    "rules": (folder, "a folder that is there"),
    "model": (file, "a file that is there"),
    "updates": (switch, "on or off"),
    "trust": (file, "a file that is there"),
    "author": (_author, "a short name: lower-case letters, digits, dots, dashes and underscores"),
    "key": (file, "a file that is there"),
    "market": (_market, "the name of a market in responses.toml, such as generic, cn or us"),
    "topic_prefix": (_name, "letters, digits, dots, dashes and underscores"),
    "partitions": integer(1, 10_000),
    "replication": integer(1, 32),
    "max_chunk": integer(1, 10_000),
    "max_in_flight": integer(1, 10_000),
    "data_dir": (Path, "a folder"),
    "log_level": (level, "DEBUG, INFO, WARNING, ERROR or CRITICAL"),
    "shutdown_seconds": seconds(1, 600),
    "call_on_fault": one_of(*ON_FAULT),
    "sms_on_fault": one_of(*ON_FAULT),
    "card_on_fault": one_of(*ON_FAULT),
    "lists_only_after": seconds(0, 86_400),
    "call_deadline_ms": integer(1, 600_000),
    "sms_deadline_ms": integer(1, 600_000),
    "card_deadline_ms": integer(1, 600_000),
}
