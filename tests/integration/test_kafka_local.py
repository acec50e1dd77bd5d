"""The local broker: starts, answers, keeps its data, stops, and never mistakes another process for itself."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from click.testing import CliRunner

from stream.cli import kafka_local
from stream.cli.broker_process import KafkaFailed, KafkaUnavailable, Status
from stream.cli.dev import dev
from stream.cli.kafka_local import ExistingKafka, LocalKafka, MockKafka, find_kafka, free_port
from stream.kafka import Kafka
from tests.support.topics import create_topics, publish, read_all

RECORDS = [(b"key %d" % n, b"value %d" % n, [("n", b"%d" % n)]) for n in range(20)]
needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="no Java")
needs_confluent = pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import confluent_kafka"], capture_output=True, check=False).returncode != 0,
    reason="no confluent-kafka wheel",
)


def as_sent(records: list) -> list:
    return sorted((each.key, each.value, list(each.headers)) for each in records)


async def topic_settings(bootstrap: str, topic: str) -> dict[str, str]:
    """What the broker will really do, not what we wrote into its file."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return {name: value for name, value, *_ in answers[0].resources[0][4]}
    finally:
        await admin.close()


def state(home: Path, name: str, pid: int) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    file = home / f"{name}.json"
    file.write_bytes(msgspec.json.encode(Status(pid, "127.0.0.1:1", "4", "log")))
    return file


@needs_java
async def test_up_status_down_and_data_survive_a_restart_on_another_port(tmp_path):
    state(tmp_path, "kafka", os.getpid())  # left behind by another life; must not stop the start
    first = LocalKafka(tmp_path, die_with_parent=True)
    try:
        bootstrap = first.up()
        running = first.status()
        assert running is not None
        assert running.bootstrap == bootstrap
        assert running.pid != os.getpid()
        assert running.log == str(tmp_path / "logs" / "kafka.log")
        assert LocalKafka(tmp_path).up() == bootstrap, "a second up finds the first"
        await create_topics(bootstrap, {"kept": 3})
        settings = await topic_settings(bootstrap, "kept")
        assert settings["retention.ms"] == "-1", "record timestamps are event time: a replayed log is years old"
        await publish(bootstrap, "kept", RECORDS)
        assert as_sent(await read_all(bootstrap, "kept", until=len(RECORDS))) == sorted(RECORDS)
    finally:
        first.down()
    assert first.status() is None
    assert not (tmp_path / "kafka.json").exists()

    second = LocalKafka(tmp_path, die_with_parent=True)
    try:
        again = second.up()
        assert again != bootstrap
        assert as_sent(await read_all(again, "kept", until=len(RECORDS))) == sorted(RECORDS)
    finally:
        second.down()


async def test_read_all_says_what_it_saw(kafka):
    await create_topics(kafka, {"local-kafka-short": 1})
    await publish(kafka, "local-kafka-short", RECORDS)
    with pytest.raises(TimeoutError, match=r"20 records in 1 s, wanted 21; by partition \{0: 20\}"):
        await read_all(kafka, "local-kafka-short", until=len(RECORDS) + 1, timeout=1)
    seen = await read_all(kafka, "local-kafka-short", until=lambda records: records[-1:] and records[-1].offset == 19)
    assert [each.value for each in seen] == [value for _, value, _ in RECORDS]


@needs_confluent
async def test_mock_broker_produces_and_consumes(mock_kafka):
    await publish(mock_kafka, "on-first-use", RECORDS)
    assert as_sent(await read_all(mock_kafka, "on-first-use", until=len(RECORDS))) == sorted(RECORDS)


@needs_confluent
def test_mock_up_status_down(tmp_path):
    broker = MockKafka(tmp_path, die_with_parent=True)
    try:
        bootstrap = broker.up()
        assert MockKafka(tmp_path).up() == bootstrap
    finally:
        broker.down()
    assert broker.status() is None
    with pytest.raises(KafkaUnavailable, match="no Kafka answered at"):
        ExistingKafka(Kafka.plain(bootstrap)).up(timeout=0.3)


@pytest.mark.parametrize(("broker", "name"), [(LocalKafka, "kafka"), (MockKafka, "mock")])
def test_state_file_of_another_process_counts_for_nothing(tmp_path, broker, name):
    ours = state(tmp_path, name, os.getpid())  # the pid was reused: by us, who must survive down()
    assert broker(tmp_path).status() is None
    broker(tmp_path).down()
    assert not ours.exists()


def test_state_file_of_a_dead_process_or_of_nonsense_counts_for_nothing(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    state(tmp_path, "kafka", dead.pid)
    assert LocalKafka(tmp_path).status() is None
    (tmp_path / "kafka.json").write_bytes(b"{")
    assert LocalKafka(tmp_path).status() is None


def executable(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o755)
    return file


def test_without_java_the_message_says_what_to_install(tmp_path):
    with pytest.raises(KafkaUnavailable, match=r"no Java on the PATH.*apt-get install openjdk-17-jre-headless"):
        LocalKafka(tmp_path, path=str(tmp_path)).up()


def test_old_java_is_named(tmp_path):
    executable(tmp_path / "java", "#!/bin/sh\necho 'openjdk version \"1.8.0_392\"' >&2\n")
    with pytest.raises(KafkaUnavailable, match=r"is Java 8\. Kafka needs Java >= 17: apt-get install"):
        LocalKafka(tmp_path, path=str(tmp_path)).up()


def test_without_maven_and_jars_the_message_says_what_to_install(tmp_path, monkeypatch):
    shutil.copy(kafka_local.DEPLOY / "pom.xml", tmp_path)
    monkeypatch.setattr(kafka_local, "DEPLOY", tmp_path)
    executable(tmp_path / "java", "#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n")
    with pytest.raises(KafkaUnavailable, match=r"no Maven.*apt-get install maven"):
        LocalKafka(tmp_path / "home", path=str(tmp_path)).up()


def test_failing_maven_is_quoted(tmp_path, monkeypatch):
    shutil.copy(kafka_local.DEPLOY / "pom.xml", tmp_path)
    monkeypatch.setattr(kafka_local, "DEPLOY", tmp_path)
    executable(tmp_path / "java", "#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n")
    executable(tmp_path / "mvn", "#!/bin/sh\necho '[ERROR] repository is offline'; exit 1\n")
    with pytest.raises(KafkaUnavailable, match=r"could not fetch(.|\n)*repository is offline"):
        LocalKafka(tmp_path / "home", path=str(tmp_path)).up()


@needs_confluent
def test_find_kafka_falls_back_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_kafka(tmp_path, die_with_parent=True)
    try:
        assert found.kind == "mock"
        assert found.kafka.started
        assert "no Java" in found.why
        existing = find_kafka(tmp_path, Kafka.plain(found.bootstrap))
        assert (existing.kind, existing.bootstrap, existing.why) == ("existing", found.bootstrap, "")
        assert not existing.kafka.started
    finally:
        found.kafka.down()


@needs_confluent
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux only: waits for a process that is not our child")
def test_a_killed_parent_takes_its_broker_along(tmp_path):
    script = (
        "import sys; from pathlib import Path; from stream.cli.kafka_local import MockKafka\n"
        "broker = MockKafka(Path(sys.argv[1]), die_with_parent=True); broker.up()\n"
        "print(broker.status().pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        broker = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.send_signal(signal.SIGKILL)
            assert select.select([broker], [], [], 10)[0], "the broker outlived its parent"
        finally:
            os.close(broker)


@needs_confluent
def test_the_mock_process_ends_when_its_stdin_closes():
    command = [sys.executable, "-m", "stream.cli.mock_broker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"127.0.0.1:")
        process.stdin.close()
        assert process.wait(10) == 0


@needs_java
def test_a_taken_port_is_named_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) != port
        with pytest.raises(KafkaFailed, match=f"port {port} is in use"):
            LocalKafka(tmp_path, port).up()


@needs_confluent
def test_commands(tmp_path):
    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(dev, ["kafka", *arguments, "--home", str(tmp_path)])
        return result.exit_code, result.output

    assert run("down") == (0, "")
    try:
        code, output = run("up", "--mock")
        assert code == 0
        assert "bootstrap  127.0.0.1:" in output
        assert run("status")[0] == 0
        assert "already running" in run("up", "--mock")[1]
    finally:
        assert "stopped in-memory" in run("down")[1]
    assert run("status") == (3, "not running (lanjie dev kafka up starts it)\n")


def test_command_without_java_is_one_error_and_no_traceback(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(dev, ["kafka", "up", "--home", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output.startswith("Error: no Java on the PATH")
    assert "Traceback" not in result.output
