"""How Kafka is reached: addresses, TLS, SASL, compression. One value, from which all clients are built.

    Settings ── Kafka ─┬─ options()           any aiokafka client
                       ├─ producer_options()  the same, and what is produced is compressed
                       └─ faust_options()     a Faust app

Secrets are in files and are read when a client is built; the value holds their names only, so it can be shown.
"""

from __future__ import annotations

import logging
import ssl
import stat
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Self

from detectors.model.errors import LanjieError

log = logging.getLogger(__name__)

MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
#: Codec -> the package that it needs beside Python.
CODECS: Final = {"none": "", "gzip": "", "lz4": "cramjam", "snappy": "cramjam", "zstd": "cramjam"}


class Security(Enum):
    """Kafka's security protocols."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def tls(self) -> bool:
        """Whether what is said is encrypted, and the broker proven to be the one."""
        return self in (Security.SSL, Security.SASL_SSL)

    @property
    def sasl(self) -> bool:
        """Whether we say who we are with a password."""
        return self in (Security.SASL_PLAINTEXT, Security.SASL_SSL)


class KafkaFileError(LanjieError):
    """A password, certificate or key file cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kafka:
    """A cluster, and who we are there. Fields are those of ``Settings`` that begin with ``kafka_``."""

    bootstrap: str
    security: Security = Security.PLAINTEXT
    mechanism: str = "SCRAM-SHA-512"
    user: str = ""
    password_file: Path | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    compression: str = "none"

    @classmethod
    def plain(cls, bootstrap: str) -> Self:
        """A cluster that asks for nothing: ``host:port``, several parted by commas."""
        return cls(bootstrap=bootstrap)

    def problem(self) -> str:
        """What does not fit together, by the names of the settings; "" if all does."""
        said = f"LANJIE_KAFKA_SECURITY={self.security.value}"
        sasl = {"LANJIE_KAFKA_USER": self.user, "LANJIE_KAFKA_PASSWORD_FILE": self.password_file}
        tls = {"LANJIE_KAFKA_CA": self.ca, "LANJIE_KAFKA_CERT": self.cert, "LANJIE_KAFKA_KEY": self.key}
        for name, value in sasl.items():
            if self.security.sasl and not value:
                return f"{said}: {name} is not set; expected a user and the file of the password"
            if value and not self.security.sasl:
                return f"{name}={value}: {said} would not use it; expected SASL_SSL or SASL_PLAINTEXT"
        for name, value in tls.items():
            if value and not self.security.tls:
                return f"{name}={value}: {said} would not use it; expected SSL or SASL_SSL"
        if self.key and not self.cert:
            return f"LANJIE_KAFKA_KEY={self.key}: LANJIE_KAFKA_CERT is not set; expected the certificate of this key"
        return ""

    def options(self) -> dict[str, Any]:
        """Keyword arguments of any aiokafka client.

        Raises:
            KafkaFileError: a file cannot be used.
        """
        found: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap.split(","),
            "security_protocol": self.security.value,
        }
        if self.security.tls:
            found["ssl_context"] = _context(self.ca, self.cert, self.key)
        if self.security.sasl:
            found["sasl_mechanism"] = self.mechanism
            found["sasl_plain_username"] = self.user
            found["sasl_plain_password"] = _password(self.password_file)
        return found

    def producer_options(self) -> dict[str, Any]:
        """The same for a producer: what it sends is compressed.

        Raises:
            KafkaFileError: a file cannot be used.
        """
        return {**self.options(), "compression_type": None if self.compression == "none" else self.compression}

    def faust_options(self) -> dict[str, Any]:
        """Keyword arguments of a Faust app; its driver makes aiokafka's of them (``credentials_to_aiokafka_auth``).

        Raises:
            KafkaFileError: a file cannot be used.
        """
        found: dict[str, Any] = {"broker": ";".join(f"kafka://{each}" for each in self.bootstrap.split(","))}
        if self.security is Security.PLAINTEXT:
            return found
        import faust  # noqa: PLC0415 - half a second, which commands need not wait for

        context = _context(self.ca, self.cert, self.key) if self.security.tls else None
        if self.security.sasl:
            found["broker_credentials"] = faust.SASLCredentials(
                username=self.user,
                password=_password(self.password_file),
                ssl_context=context,
                mechanism=self.mechanism,
            )
        else:
            found["broker_credentials"] = faust.SSLCredentials(context)
        return found


def read_security(text: str) -> Security:
    """
    Raises:
        ValueError: it is none.
    """
    return Security(text.upper())


def read_mechanism(text: str) -> str:
    """
    Raises:
        ValueError: it is none that we know.
    """
    if text.upper() not in MECHANISMS:
        raise ValueError
    return text.upper()


def read_codec(text: str) -> str:
    """
    Raises:
        ValueError, KeyError: it is none, or its package is missing.
    """
    if _missing_package(text.lower()):
        raise ValueError
    return text.lower()


def usable_codecs() -> str:
    """Those that can be used here, and what the others need."""
    usable = ", ".join(codec for codec in CODECS if not _missing_package(codec))
    missing = sorted({package for codec in CODECS if (package := _missing_package(codec))})
    return usable + "".join(f"; the others of {', '.join(CODECS)} need the package {name}" for name in missing)


def _missing_package(codec: str) -> str:
    package = CODECS[codec]
    return package if package and find_spec(package) is None else ""


@lru_cache(maxsize=8)
def _context(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    """Who signs brokers, by default whom this machine trusts; and our certificate. The name is checked as well."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise KafkaFileError(f"LANJIE_KAFKA_CA={ca}: {_why(error)}; expected certificates in PEM") from None
    if cert:
        _warn_if_open("LANJIE_KAFKA_KEY", key or cert)
        try:
            context.load_cert_chain(cert, key, password=_no_passphrase)
        except (OSError, ssl.SSLError, ValueError) as error:
            names = f"LANJIE_KAFKA_CERT={cert}" + (f", LANJIE_KAFKA_KEY={key}" if key else "")
            raise KafkaFileError(
                f"{names}: {_why(error)}; expected a certificate and its key in PEM, without a passphrase"
            ) from None
    return context


@lru_cache(maxsize=8)
def _password(path: Path | None) -> str:
    """The first line of the file."""
    if path is None:
        raise KafkaFileError("LANJIE_KAFKA_PASSWORD_FILE is not set; expected a file that holds the password")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KafkaFileError(f"LANJIE_KAFKA_PASSWORD_FILE={path}: {_why(error)}; expected a text file") from None
    if len(lines) != 1 or not lines[0]:
        raise KafkaFileError(f"LANJIE_KAFKA_PASSWORD_FILE={path}: {len(lines)} lines; expected the password alone")
    _warn_if_open("LANJIE_KAFKA_PASSWORD_FILE", path)
    return lines[0]


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")


def _warn_if_open(name: str, path: Path) -> None:
    if (mode := path.stat().st_mode) & stat.S_IROTH:
        log.warning("%s=%s: everybody on this machine can read it (%s): chmod 600", name, path, stat.filemode(mode))


def _why(error: Exception) -> str:
    """Without what was in the file: a decoding error shows its bytes."""
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, ssl.SSLError):
        return error.reason or "not readable as PEM"
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
