"""One broker for the whole session, on a free port, gone at the end however the session ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from stream.cli.broker_process import KafkaFailed, KafkaUnavailable
from stream.cli.kafka_local import ExistingKafka, LocalKafka, MockKafka
from stream.kafka import Kafka

settings.register_profile("lanjie", deadline=None)  # a busy machine is no wrong answer
settings.load_profile("lanjie")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of `make test &`: what we start would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m "not kafka"` leaves out whatever needs the broker."""
    for item in items:
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.kafka)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a real Kafka: LANJIE_BOOTSTRAP, else our own."""
    if existing := os.environ.get("LANJIE_BOOTSTRAP"):
        yield ExistingKafka(Kafka.plain(existing)).up()
        return
    broker = LocalKafka(tmp_path_factory.mktemp("kafka"), die_with_parent=True)
    try:
        bootstrap = broker.up()
    except KafkaFailed:
        raise
    except KafkaUnavailable as missing:
        pytest.fail(f"{missing}\nWithout it: make test ARGS='-m \"not kafka\"'", pytrace=False)
    try:
        yield bootstrap
    finally:
        broker.down()


@pytest.fixture(scope="session")
def mock_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of librdkafka's in-memory broker."""
    pytest.importorskip("confluent_kafka")
    broker = MockKafka(tmp_path_factory.mktemp("mock"), die_with_parent=True)
    try:
        yield broker.up()
    finally:
        broker.down()
