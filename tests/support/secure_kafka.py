"""A broker as one meets it in production: TLS, SCRAM and PLAIN users, a port that asks for certificates, ACLs.

Beside those it has a plain port, on which everybody may do everything: there the tests prepare and look.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stream.cli.kafka_local import Listener, LocalKafka, free_port
from stream.settings import variable

SUPER = "operator"  #: may do everything
USER = "lanjie-worker"  #: may do what ACLs say
PASSWORD = "correct horse battery staple"  # noqa: S105 - of a broker that lives for one test
_PLAIN_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
# Kafka's numbers.
TOPIC, GROUP, TRANSACTIONAL_ID = 2, 3, 5
ALL, READ, WRITE, DESCRIBE = 2, 3, 4, 8
_PREFIXED, _LITERAL, _ALLOW = 4, 3, 3


class SecureKafka(NamedTuple):
    """Where it listens, and the files of who may enter."""

    plain: str
    sasl_ssl: str
    mutual: str  #: SSL: asks for a certificate, no password
    folder: Path

    def environ(self, **changed: str) -> dict[str, str]:
        """What a command must be told to be USER over SASL_SSL; ``changed`` by setting, "" takes one away."""
        settings = {
            "bootstrap": self.sasl_ssl,
            "kafka_security": "SASL_SSL",
            "kafka_user": USER,
            "kafka_password_file": str(self.folder / "password"),
            "kafka_ca": str(self.folder / "ca.pem"),
            **changed,
        }
        return {variable(name): value for name, value in settings.items() if value}

    def certified(self) -> dict[str, str]:
        """The same for the port that asks for a certificate."""
        files = {"kafka_cert": str(self.folder / "client.pem"), "kafka_key": str(self.folder / "client.key")}
        return self.environ(bootstrap=self.mutual, kafka_security="SSL", kafka_user="", kafka_password_file="", **files)

    async def allow(self, kind: int, name: str, *operations: int, exact: bool = False) -> None:
        """Give USER rights on all whose name begins with ``name``, or just on that."""
        admin: Any = AIOKafkaAdminClient(bootstrap_servers=self.plain)
        await admin.start()
        try:
            pattern = _LITERAL if exact else _PREFIXED
            for operation in operations:
                request = CreateAclsRequest(kind, name, pattern, f"User:{USER}", "*", operation, _ALLOW)
                answer = await admin._send_to_controller(request)
                for code, message in answer.creation_responses:
                    if code:
                        raise for_code(code)(message)
        finally:
            await admin.close()

    async def allow_pipeline(self, prefix: str) -> None:
        """All that a worker and the commands need on topics, groups and changes that begin with ``prefix``."""
        await self.allow(TOPIC, prefix, ALL)
        await self.allow(GROUP, prefix, ALL)
        await self.allow(TRANSACTIONAL_ID, prefix, ALL)


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """Start one; it is gone at the end."""
    make_certificates(folder)
    (folder / "password").write_text(PASSWORD + "\n")
    (folder / "password").chmod(0o600)
    sasl, mutual = free_port(), free_port()
    listeners = (Listener("SECURE", sasl, protocol="SASL_SSL"), Listener("MUTUAL", mutual, protocol="SSL"))
    broker = LocalKafka(
        folder / "kafka",
        die_with_parent=True,
        listeners=listeners,
        properties=_properties(folder),
        users={SUPER: PASSWORD, USER: PASSWORD},
    )
    try:
        yield SecureKafka(broker.up(), f"127.0.0.1:{sasl}", f"127.0.0.1:{mutual}", folder)
    finally:
        broker.down()


def _properties(folder: Path) -> dict[str, str]:
    found = {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        "listener.name.secure.scram-sha-512.sasl.jaas.config": _SCRAM_LOGIN,
        "listener.name.secure.plain.sasl.jaas.config": f'{_PLAIN_LOGIN} user_{USER}="{PASSWORD}";',
        "listener.name.mutual.ssl.client.auth": "required",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:ANONYMOUS;User:{SUPER}",
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
    }
    for name in ("secure", "mutual"):
        found[f"listener.name.{name}.ssl.keystore.type"] = "PEM"
        found[f"listener.name.{name}.ssl.keystore.location"] = str(folder / "broker.both.pem")
        found[f"listener.name.{name}.ssl.truststore.type"] = "PEM"
        found[f"listener.name.{name}.ssl.truststore.location"] = str(folder / "ca.pem")
    return found


def make_certificates(folder: Path) -> None:
    """``ca.pem``; ``broker`` for 127.0.0.1 and ``client`` (``.pem``, ``.key``, both in ``.both.pem``); another CA that
    has signed none of them, ``stranger.pem``.
    """
    ca, ca_key = _certificate("lanjie test CA")
    stranger, _ = _certificate("somebody else's CA")
    (folder / "ca.pem").write_bytes(_pem(ca))
    (folder / "stranger.pem").write_bytes(_pem(stranger))
    for file, name in (("broker", "broker"), ("client", USER)):
        certificate, key = _certificate(name, ca, ca_key)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{file}.pem").write_bytes(_pem(certificate))
        for target, text in ((f"{file}.key", private), (f"{file}.both.pem", private + _pem(certificate) + _pem(ca))):
            (folder / target).write_bytes(text)
            (folder / target).chmod(0o600)


def _certificate(
    name: str, ca: x509.Certificate | None = None, ca_key: ec.EllipticCurvePrivateKey | None = None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Signed by a CA, or a CA itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signer = (ca.subject, ca_key) if ca and ca_key else (subject, key)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if ca is None:
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        made = made.add_extension(usage, critical=True)
    else:
        names = [x509.IPAddress(ip_address("127.0.0.1"))]
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        made = made.add_extension(x509.ExtendedKeyUsage(both), critical=False)
    return made.sign(signer, hashes.SHA256()), key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
