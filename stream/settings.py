"""All settings: what they are, what is allowed, what they mean, in one place; checked before anything starts.

Every setting ``name`` is the variable ``LANJIE_NAME``, and ``name`` in the TOML file that ``--config`` or
``LANJIE_CONFIG`` names. A default gives way to the file, the file to the environment, the environment to an option. A
wrong value stops the start with a message that names the place, the value and what was expected; nothing falls back
silently. Secrets are in files that settings name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

from detectors.model.decision import Action
from stream.given import PREFIX, Given, Setting, SettingsError, given, variable
from stream.kafka import Kafka, Security, read_codec, read_mechanism, read_security, usable_codecs
from stream.readers import bootstrap, file, folder, host, integer, level, matching, one_of, seconds, switch
from stream.setting_kinds import FILE, FOLDER, LISTS, NAME, ListFile, endpoint, read_lists
from stream.topics import Topic

__all__ = ["DELIVERIES", "PREFIX", "ListFile", "Settings", "SettingsError", "known", "value_of", "variable"]

DELIVERIES: Final = ("at-least-once", "exactly-once")
LOG_FORMATS: Final = ("text", "json")
ON_FAULT: Final = ("open", "closed")
#: The least action, by kind, where a kind fails closed: a person on the line can answer, a message can wait.
_CLOSED: Final = {"call": Action.CHALLENGE, "sms": Action.DELAY, "card": Action.DELAY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a worker can be told. Frozen: a change is a restart, but for the log level (``log_lines.py``)."""

    bootstrap: Annotated[
        str, Setting(bootstrap, "host:port, several parted by commas", "Kafka addresses.", parted=",")
    ] = "127.0.0.1:9092"
    kafka_security: Annotated[
        Security,
        Setting(
            read_security,
            "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
            "How brokers are spoken to; with TLS their name is checked as well.",
        ),
    ] = Security.PLAINTEXT
    kafka_mechanism: Annotated[
        str, Setting(read_mechanism, "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", "Of SASL: how to log in.")
    ] = "SCRAM-SHA-512"
    kafka_user: Annotated[str, Setting(str, "the name of a user", "Who we are, with SASL.")] = ""
    kafka_password_file: Annotated[
        Path | None,
        Setting(
            file,
            "a file that is there and holds the password",
            "File that holds the user's password and nothing else.",
            secret=True,
        ),
    ] = None
    kafka_ca: Annotated[
        Path | None,
        Setting(*FILE, "Certificates that sign brokers, PEM; by default those that this machine trusts."),
    ] = None
    kafka_cert: Annotated[Path | None, Setting(*FILE, "Our own certificate, PEM, for brokers that ask for one.")] = None
    kafka_key: Annotated[
        Path | None,
        Setting(*FILE, "Key of kafka_cert, without a passphrase; not needed if that file has it.", secret=True),
    ] = None
    compression: Annotated[
        str, Setting(read_codec, usable_codecs(), "Compression of what we produce. What we read may have any.")
    ] = "none"
    group: Annotated[str, Setting(*NAME, "Consumer group; workers of one group share the partitions.")] = "lanjie"
    instance: Annotated[
        str,
        Setting(
            *NAME,
            "Name of this worker alone, for static membership (KIP-345): back within the session timeout it has its "
            "partitions again, and the others are not disturbed.",
        ),
    ] = ""
    delivery: Annotated[
        str,
        Setting(
            *one_of(*DELIVERIES),
            "exactly-once: decisions, dead letters and offsets in one transaction.",
        ),
    ] = "at-least-once"
    cloudevents: Annotated[
        bool, Setting(switch, "on or off", "Whether decisions carry CloudEvents 1.0 headers, as events may.")
    ] = False
    recovery_seconds: Annotated[
        float,
        Setting(
            *seconds(1, 600),
            "For making the windows of an assigned partition again from the log. What there is no time for is left "
            "out, the oldest first.",
        ),
    ] = 30.0
    checkpoint_seconds: Annotated[
        float, Setting(*seconds(0, 3600), "Between two checkpoints of what is counted; 0: none are taken.")
    ] = 15.0
    checkpoints: Annotated[
        Path | None,
        Setting(
            *FOLDER,
            "Folder for checkpoints, by default in data_dir. One that all share also helps who takes partitions over.",
        ),
    ] = None
    max_callers: Annotated[
        int,
        Setting(
            *integer(1_000, 100_000_000),
            "Callers in the windows of one partition; all that is remembered is bounded in proportion.",
        ),
    ] = 250_000
    metrics_host: Annotated[
        str, Setting(host, "an address of this machine", "Where health and metrics are served.")
    ] = "127.0.0.1"
    metrics_port: Annotated[
        int, Setting(*integer(0, 65_535), "Port of health and metrics; 0 takes a free one and prints it.")
    ] = 9464
    lists: Annotated[
        tuple[ListFile, ...],
        Setting(
            read_lists,
            LISTS,
            "Number-list files; without a kind a file is a block list.",
            parted=os.pathsep,
        ),
    ] = ()
    rules: Annotated[
        Path | None,
        Setting(folder, "a folder that is there", "Folder of a rule pack; the shipped one if none is named."),
    ] = None
    model: Annotated[
        Path | None,
        Setting(*FILE, "The message score, made by `lanjie train sms`; without one there is no such sign."),
    ] = None
    updates: Annotated[
        bool,
        Setting(
            switch,
            "on or off",
            "Whether lists and rules also come from lists.numbers.v1 and rules.v1, on top of the files.",
        ),
    ] = True
    trust: Annotated[
        Path | None,
        Setting(
            *FILE,
            "Who may change lists and rules, and whose feeds are taken; without one who can write to the topics may.",
        ),
    ] = None
    author: Annotated[
        str,
        Setting(
            matching(r"[a-z0-9][a-z0-9._-]{0,63}"),
            "a short name: lower-case letters, digits, dots, dashes and underscores",
            "Who makes the changes of this command, by default the user of this machine.",
        ),
    ] = ""
    key: Annotated[
        Path | None,
        Setting(*FILE, "The author's private key, made by `lanjie keys make`.", secret=True),
    ] = None
    market: Annotated[
        str,
        Setting(
            matching(r"[a-z][a-z0-9_-]{0,31}"),
            "the name of a market in responses.toml, such as generic, cn or us",
            "Whose profile says what a gateway answers; without one decisions have no response.",
        ),
    ] = ""
    topic_prefix: Annotated[
        str,
        Setting(*NAME, "Goes before every topic name, so that several pipelines can share a cluster."),
    ] = ""
    partitions: Annotated[int, Setting(*integer(1, 10_000), "Of topics that we create ourselves.")] = 4
    replication: Annotated[
        int, Setting(*integer(1, 32), "Copies of topics that we create; 3 on a cluster that is to survive a broker.")
    ] = 1
    max_chunk: Annotated[
        int,
        Setting(
            *integer(1, 10_000),
            "Events of a chunk; up to three times as many are decided in one go. More is cheaper per event, and waits.",
        ),
    ] = 1_000
    max_in_flight: Annotated[
        int,
        Setting(
            *integer(1, 10_000),
            "max_chunk times as many events are in memory at most, fetched and not yet acknowledged.",
        ),
    ] = 32
    data_dir: Annotated[
        Path, Setting(*FOLDER, "Where a worker leaves the file by which others find it, and what it remembers.")
    ] = Path(".lanjie")
    log_level: Annotated[
        str,
        Setting(
            level,
            "DEBUG, INFO, WARNING, ERROR or CRITICAL",
            "Least level that is logged, by libraries too. SIGUSR1: DEBUG for ten minutes; SIGUSR2 ends that.",
        ),
    ] = "INFO"
    log_format: Annotated[str, Setting(*one_of(*LOG_FORMATS), "For people, or one object a line.")] = "text"
    otlp_endpoint: Annotated[
        str,
        Setting(
            endpoint,
            "http://host:port or https://host:port of a collector, without a path, user and password",
            "Where spans of sampled events go over OTLP/HTTP; without one none are made. Needs lanjie[otlp].",
            secret=True,
        ),
    ] = ""
    shutdown_seconds: Annotated[
        float,
        Setting(
            *seconds(1, 600),
            "For stopping after SIGTERM. Stay below the supervisor's own patience (Kubernetes: 30, Docker: 10).",
        ),
    ] = 10.0
    call_on_fault: Annotated[
        str,
        Setting(
            *one_of(*ON_FAULT),
            "Of a call that a fault kept from being looked at in full. open: what the rest says; closed: a challenge.",
        ),
    ] = "open"
    sms_on_fault: Annotated[str, Setting(*one_of(*ON_FAULT), "The same of an SMS; closed: a delay.")] = "open"
    card_on_fault: Annotated[str, Setting(*one_of(*ON_FAULT), "The same of a card event; closed: a delay.")] = "open"
    lists_only_after: Annotated[
        float,
        Setting(
            *seconds(0, 86_400),
            "Seconds of backlog from which only number lists look, until half of it is left; 0: never.",
        ),
    ] = 60.0
    call_deadline_ms: Annotated[
        int,
        Setting(
            *integer(1, 600_000),
            "From when a call is on Kafka until its decision is acknowledged. Missing it changes nothing but a metric.",
        ),
    ] = 50
    sms_deadline_ms: Annotated[int, Setting(*integer(1, 600_000), "The same of an SMS.")] = 500
    card_deadline_ms: Annotated[int, Setting(*integer(1, 600_000), "The same of a SIM-card event.")] = 5000

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
        """Settings from ``LANJIE_*`` of ``environ`` (default: the process's environment) and the file that it names.

        Raises:
            SettingsError: a value cannot be used, or a name is unknown.
        """
        return cls.read(given(os.environ if environ is None else environ, known()))

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Settings:
        """Settings from texts by field name, checked.

        Raises:
            SettingsError: a value cannot be used.
        """
        return cls.read({name: Given(text, variable(name), variable(name)) for name, text in texts.items()})

    @classmethod
    def read(cls, given: Mapping[str, Given]) -> Settings:
        """Settings from what is given, checked.

        Raises:
            SettingsError: a value cannot be used.
        """
        settings = cls(**{name: value for name, each in given.items() if (value := value_of(name, each)) is not None})
        if problem := settings.kafka.problem():
            filed = [each.label for name, each in given.items() if variable(name) in problem and ":" in each.place]
            raise SettingsError(f"{problem} ({', '.join(filed)})" if filed else problem)
        return settings


@cache
def known() -> dict[str, Setting]:
    """What is known of each setting, by name, in the order in which they are declared."""
    hints = get_type_hints(Settings, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}


def value_of(name: str, given: Given) -> Any:
    """What is given, read; None: the default. Empty is that where the default is empty: a variable can undo a file.

    Raises:
        SettingsError: it cannot be used.
    """
    setting, text = known()[name], given.text.strip()
    if not text and not _DEFAULTS[name]:
        return None
    try:
        return setting.read(text)
    except (ValueError, KeyError):
        # Before an @ somebody may have put a user and a password.
        shown = "..." if setting.secret or "@" in given.text else repr(given.text)
        raise SettingsError(f"{given.label}={shown}: expected {setting.expected}") from None


_DEFAULTS: Final = {each.name: each.default for each in fields(Settings)}
