"""How Kafka is reached: what settings become for aiokafka and Faust, what does not fit together, no secret in sight."""

from __future__ import annotations

import ssl
from pathlib import Path

import faust
import pytest
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth, server_list
from yarl import URL

from stream import kafka as module
from stream.kafka import CODECS, Kafka, KafkaFileError, Security
from stream.refused import refusal
from stream.settings import Settings, SettingsError, variable
from tests.support.secure_kafka import PASSWORD, make_certificates


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    (folder / "password").write_text(PASSWORD + "\n")
    (folder / "password").chmod(0o600)
    return folder


def settings(**given: object) -> Settings:
    return Settings.from_env({variable(name): str(value) for name, value in given.items()})


def sasl_ssl(files: Path, **more: object) -> Settings:
    known = {"kafka_user": "w", "kafka_password_file": files / "password", "kafka_ca": files / "ca.pem"}
    return settings(kafka_security="sasl_ssl", **{**known, **more})


def test_without_settings_it_is_plain():
    kafka = Settings.from_env({}).kafka
    assert kafka == Kafka.plain("127.0.0.1:9092")
    assert kafka.options() == {"bootstrap_servers": ["127.0.0.1:9092"], "security_protocol": "PLAINTEXT"}
    assert kafka.faust_options() == {"broker": "kafka://127.0.0.1:9092"}
    assert kafka.producer_options()["compression_type"] is None


def test_sasl_ssl(files: Path):
    options = sasl_ssl(files, bootstrap="a:1,b:2").kafka.options()
    context = options.pop("ssl_context")
    assert options == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "w",
        "sasl_plain_password": PASSWORD,
    }
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert [dict(each[0] for each in ca["subject"]) for ca in context.get_ca_certs()] == [
        {"commonName": "lanjie test CA"}
    ]


def test_the_context_is_built_once(files: Path):
    first, second = sasl_ssl(files), sasl_ssl(files)
    assert first.kafka.options()["ssl_context"] is second.kafka.options()["ssl_context"]


@pytest.mark.parametrize("security", list(Security))
def test_what_faust_hands_to_aiokafka_is_what_we_hand_to_it(files: Path, security: Security):
    given: dict[str, object] = {"kafka_security": security.value, "bootstrap": "a:1,b:2"}
    if security.sasl:
        given |= {"kafka_user": "w", "kafka_password_file": files / "password", "kafka_mechanism": "plain"}
    if security.tls:
        given |= {"kafka_ca": files / "ca.pem", "kafka_cert": files / "client.pem", "kafka_key": files / "client.key"}
    kafka = settings(**given).kafka
    app = faust.App("test", **kafka.faust_options())
    ours = kafka.options()
    assert server_list(app.conf.broker, 9092) == ours.pop("bootstrap_servers")
    theirs = credentials_to_aiokafka_auth(app.conf.broker_credentials, app.conf.ssl_context)
    assert {name: value for name, value in theirs.items() if value is not None} == ours
    assert all(isinstance(each, URL) for each in app.conf.broker)


@pytest.mark.parametrize("name", ["client.pem", "client.both.pem"])
def test_a_key_may_be_in_the_file_of_the_certificate(files: Path, name: str):
    tls = {"kafka_security": "SSL", "kafka_cert": files / name}
    if name == "client.both.pem":
        assert settings(**tls).kafka.options()["ssl_context"]
        return
    with pytest.raises(KafkaFileError, match=r"LANJIE_KAFKA_CERT=.*client\.pem: .*; expected a certificate"):
        settings(**tls).kafka.options()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kafka_security": "TLS"}, "LANJIE_KAFKA_SECURITY='TLS': expected PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
        (
            {"kafka_mechanism": "GSSAPI"},
            "LANJIE_KAFKA_MECHANISM='GSSAPI': expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        ),
        ({"kafka_security": "SASL_SSL"}, "LANJIE_KAFKA_SECURITY=SASL_SSL: LANJIE_KAFKA_USER is not set"),
        (
            {"kafka_security": "SASL_SSL", "kafka_user": "w"},
            "LANJIE_KAFKA_SECURITY=SASL_SSL: LANJIE_KAFKA_PASSWORD_FILE is not set",
        ),
        (
            {"kafka_user": "w"},
            "LANJIE_KAFKA_USER=w: LANJIE_KAFKA_SECURITY=PLAINTEXT would not use it; expected SASL_SSL",
        ),
        ({"kafka_ca": "{}/ca.pem"}, "LANJIE_KAFKA_SECURITY=PLAINTEXT would not use it; expected SSL or SASL_SSL"),
        ({"kafka_security": "SSL", "kafka_key": "{}/client.key"}, "LANJIE_KAFKA_CERT is not set; expected the cert"),
        ({"compression": "brotli"}, "LANJIE_COMPRESSION='brotli': expected none, gzip, lz4, snappy, zstd"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(files: Path, given: dict[str, str], message: str):
    with pytest.raises(SettingsError) as refused:
        settings(**{name: value.format(files) for name, value in given.items()})
    assert message in str(refused.value)


def test_a_password_in_the_place_of_its_file_is_not_shown():
    with pytest.raises(SettingsError) as refused:
        settings(kafka_password_file=PASSWORD)
    assert str(refused.value) == (
        "LANJIE_KAFKA_PASSWORD_FILE=...: expected a file that is there and holds the password"
    )


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines\n", b"\xff\xfe"])
def test_a_password_file_that_holds_no_password(files: Path, tmp_path: Path, content: bytes):
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(KafkaFileError, match=r"LANJIE_KAFKA_PASSWORD_FILE=.*password: .*; expected ") as refused:
        sasl_ssl(files, kafka_password_file=tmp_path / "password").kafka.options()
    assert "two" not in str(refused.value)


@pytest.mark.parametrize("kind", ["ca", "cert"])
def test_a_file_that_is_no_certificate(files: Path, kind: str):
    given = {"kafka_ca": files / "ca.pem", f"kafka_{kind}": files / "password"}
    with pytest.raises(KafkaFileError, match=rf"LANJIE_KAFKA_{kind.upper()}=.*password: .*; expected .* in PEM"):
        settings(kafka_security="SSL", **given).kafka.options()


def test_secrets_that_all_may_read_are_warned_of(files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    sasl_ssl(files, kafka_password_file=secret).kafka.options()
    (line,) = caplog.messages
    assert line == (
        f"LANJIE_KAFKA_PASSWORD_FILE={secret}: everybody on this machine can read it (-rw-r--r--): chmod 600"
    )


def test_no_secret_is_in_what_can_be_shown(files: Path):
    known = sasl_ssl(files)
    shown = repr(known) + repr(known.kafka) + repr(known.kafka.faust_options())
    assert PASSWORD not in shown


@pytest.mark.parametrize("codec", CODECS)
def test_codecs(codec: str):
    wanted = None if codec == "none" else codec
    assert settings(compression=codec.upper()).kafka.producer_options()["compression_type"] == wanted
    assert "compression_type" not in settings(compression=codec).kafka.options(), "consumers take no such option"


def test_a_codec_whose_package_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    assert settings(compression="gzip").compression == "gzip"
    with pytest.raises(SettingsError, match="LANJIE_COMPRESSION='zstd': expected "):
        settings(compression="zstd")


@pytest.mark.parametrize(
    ("kafka", "error", "said"),
    [
        (
            Kafka(bootstrap="b:1", user="w"),
            TopicAuthorizationFailedError({"t.v1", "s.v1"}),
            "LANJIE_KAFKA_USER=w: b:1 does not let us write (s.v1, t.v1); have it granted: on the topic",
        ),
        (
            Kafka(bootstrap="b:1", cert=Path("c.pem")),
            GroupAuthorizationFailedError("g"),
            "LANJIE_KAFKA_CERT=c.pem: b:1 does not let us write; have it granted: on the group READ",
        ),
        (
            Kafka.plain("b:1"),
            UnknownTopicOrPartitionError(),
            "b:1: cannot write: no such topic; `lanjie topics",
        ),
        (Kafka.plain("b:1"), TimeoutError(), "b:1: cannot write: TimeoutError"),
    ],
)
def test_what_a_broker_refuses_is_told_in_one_line(kafka: Kafka, error: Exception, said: str):
    line = refusal(kafka, error, "write")
    assert line.startswith(said)
    assert "\n" not in line
