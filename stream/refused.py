"""Why Kafka does not take us, in one line: which setting, its value, what was refused, what to do. Never a secret.

aiokafka logs the reason for which a connection fails and then raises another error that has none. So for that one the
way is gone once more, step by step.
"""

from __future__ import annotations

import ssl
from typing import Any, Final

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from stream.kafka import MECHANISMS, Kafka

#: Milliseconds for an address to answer when we ask it why.
ASK_TIMEOUT_MS: Final = 5_000
_RIGHTS: Final[dict[type[KafkaError], str]] = {
    TopicAuthorizationFailedError: "on the topic READ, WRITE or CREATE",
    GroupAuthorizationFailedError: "on the group READ",
    TransactionalIdAuthorizationFailed: "on the transactional id WRITE and DESCRIBE",
    ClusterAuthorizationFailedError: "on the cluster CREATE or IDEMPOTENT_WRITE",
}
#: OpenSSL's numbers for a certificate that is of another host or address.
_OF_ANOTHER: Final = (62, 64)


async def explain(kafka: Kafka, error: BaseException, doing: str) -> str:
    """What an error of a client means; asks the broker if it does not say.

    Args:
        doing: what we wanted, to follow "cannot".
    """
    if isinstance(error, KafkaConnectionError):
        return await _unreachable(kafka)
    return refusal(kafka, error, doing)


def refusal(kafka: Kafka, error: BaseException, doing: str) -> str:
    """The same for a broker that has answered."""
    for kind, rights in _RIGHTS.items():
        if isinstance(error, kind):
            what = doing + _topics(error, doing)
            return f"{_who(kafka)}: {kafka.bootstrap} does not let us {what}; have it granted: {rights}"
    if isinstance(error, UnknownTopicOrPartitionError):
        return f"{kafka.bootstrap}: cannot {doing}: no such topic; `lanjie topics create` makes those of the pipeline"
    said = f": {error}" if str(error) and not str(error).startswith(type(error).__name__) else ""
    return f"{kafka.bootstrap}: cannot {doing}: {type(error).__name__}{said}"


def _topics(error: BaseException, doing: str) -> str:
    """Those that aiokafka names, as one text or as a set, unless it is said already."""
    if not isinstance(error, TopicAuthorizationFailedError) or not error.args:
        return ""
    named = error.args[0]
    text = named if isinstance(named, str) else ", ".join(sorted(map(str, named)))
    return "" if text in doing else f" ({text})"


async def _unreachable(kafka: Kafka) -> str:
    """The first reason that is more than that nobody is there."""
    reasons = [await _try(kafka, host, port) for host, port, _ in collect_hosts(kafka.bootstrap)]
    nobody = f"LANJIE_BOOTSTRAP={kafka.bootstrap}: no Kafka there; start one with 'lanjie dev kafka up' or name another"
    return next(filter(None, reasons), nobody)


async def _try(kafka: Kafka, host: str, port: int) -> str:
    """Why this address does not take us; "" if nobody is there."""
    options = kafka.options()
    del options["bootstrap_servers"]
    address, connection = f"{host}:{port}", None
    try:
        connection = await create_conn(host, port, request_timeout_ms=ASK_TIMEOUT_MS, **options)
        await connection.send(MetadataRequest([]))
    except (KafkaError, OSError, TimeoutError) as error:
        return _reason(kafka, address, error)
    finally:
        if connection is not None:
            connection.close()
    return f"{address}: did not answer a moment ago, and does now; try again"


def _reason(kafka: Kafka, address: str, error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate(kafka, address, error)
    if isinstance(error, AuthenticationFailedError | SaslAuthenticationFailed):
        files = f"the password in LANJIE_KAFKA_PASSWORD_FILE={kafka.password_file}"
        return f"{_who(kafka)}: {address} refuses this user or {files} ({kafka.mechanism}); correct them"
    if isinstance(error, UnsupportedSaslMechanismError):
        others = " or ".join(each for each in MECHANISMS if each != kafka.mechanism)
        return f"LANJIE_KAFKA_MECHANISM={kafka.mechanism}: {address} does not take it; set {others}"
    if isinstance(error, IllegalSaslStateError):
        return f"{_security(kafka)}: {address} takes no passwords; set what this port speaks"
    if isinstance(error, ConnectionRefusedError) or not _was_closed(error):
        return ""
    hint = "" if kafka.cert or not kafka.security.tls else ", or LANJIE_KAFKA_CERT if it wants to see a certificate"
    return f"{_security(kafka)}: {address} closes the connection; set what this port speaks{hint}"


def _was_closed(error: Exception) -> bool:
    return isinstance(error, KafkaConnectionError | ConnectionError | ssl.SSLError)


def _certificate(kafka: Kafka, address: str, error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _OF_ANOTHER:
        what = error.verify_message.rstrip(".")
        return f"LANJIE_BOOTSTRAP={kafka.bootstrap}: {what}; name the broker as its certificate does"
    ca = f"LANJIE_KAFKA_CA={kafka.ca}" if kafka.ca else "LANJIE_KAFKA_CA is not set"
    what = f"the certificate of {address} is not trusted ({error.verify_message})"
    return f"{ca}: {what}; name the file of the CA that signs the brokers"


def _security(kafka: Kafka) -> str:
    return f"LANJIE_KAFKA_SECURITY={kafka.security.value}"


def _who(kafka: Kafka) -> str:
    if kafka.user:
        return f"LANJIE_KAFKA_USER={kafka.user}"
    return f"LANJIE_KAFKA_CERT={kafka.cert}" if kafka.cert else _security(kafka)


async def start(client: Any, kafka: Kafka, doing: str, as_error: type[Exception]) -> None:
    """Start a client of aiokafka; one that cannot is stopped.

    Raises:
        as_error: with the reason.
    """
    try:
        await client.start()
    except KafkaError as error:
        await stop(client)
        raise as_error(await explain(kafka, error, doing)) from None


async def stop(client: Any) -> None:
    """Stop a client of any kind."""
    await (client.close() if hasattr(client, "close") else client.stop())
