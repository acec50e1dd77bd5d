"""A broker with TLS, passwords and ACLs: with the right settings all works, with the wrong ones one line says why."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from detectors.model.events import SmsEvent
from stream.kafka import CODECS
from stream.loop import Loop, LoopPolicy
from stream.settings import Settings
from stream.topics import ALERTS, ALL, CHANGES, CONTENTS, DECISIONS, INPUTS, LISTS, RULES, SMS, WORKERS, dlq
from stream.updates.tail import Tail, TailError
from stream.wire import decode_decision, encode_event
from tests.support import secure_kafka as support
from tests.support.secure_kafka import PASSWORD, USER, SecureKafka
from tests.support.topics import create_topics
from tests.support.worker import BLOCKED, Pipeline

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(shutil.which("java") is None, reason="no Java"),
]
T0 = 1_790_000_000_000
#: Bits 0 to 2 of a batch's attributes, which follow its base offset, length, leader epoch, magic byte and checksum.
NUMBERS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
ATTRIBUTES = slice(21, 23)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with support.secure_kafka(tmp_path_factory.mktemp("secure")) as broker:
        (broker.folder / "wrong").write_text("swordfish\n")
        (broker.folder / "wrong").chmod(0o600)
        yield broker


@pytest.fixture
async def pipeline(secure: SecureKafka, tmp_path: Path) -> AsyncIterator[Pipeline]:
    """Topics of its own. The test looks on through the plain port, as somebody who may do everything."""
    made = Pipeline(secure.plain, tmp_path)
    await create_topics(secure.plain, {made.prefix + topic.name: topic.partitions for topic in ALL})
    yield made
    for worker in made.workers:
        if worker.process.returncode is None:
            await worker.end(signal.SIGKILL)


def sms(name: str, count: int = 20) -> list[SmsEvent]:
    return [
        SmsEvent(id=f"{name}{n}", time=T0 + n, a_number=BLOCKED, b_number="13900000001", text="今晚七点老地方见")
        for n in range(count)
    ]


async def send(bootstrap: str, topic: str, *values: bytes, codec: str = "none") -> None:
    """To partition 0, in one batch."""
    options = {"bootstrap_servers": bootstrap, "compression_type": None if codec == "none" else codec}
    async with AIOKafkaProducer(**options, linger_ms=100) as producer:
        sent = [await producer.send(topic, value, BLOCKED.encode(), partition=0) for value in values]
        await asyncio.gather(*sent)


async def lanjie(*arguments: str, **environ: str) -> tuple[int, str]:
    """A command; its exit code and all that it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream.cli", *arguments, env=environ,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, said.decode()


WAYS = {
    "SCRAM": lambda broker: broker.environ(),
    "PLAIN": lambda broker: broker.environ(kafka_mechanism="PLAIN"),
    "certificate": lambda broker: broker.certified(),
}


@pytest.mark.alone
def test_a_worker_does_not_wait_for_the_end_of_tls(secure: SecureKafka):
    """Without CLOSE_WITHIN one in three of these waits for 30 s."""
    kafka, topic = Settings.from_env(secure.certified()).kafka, f"t{uuid.uuid4().hex[:8]}."

    async def closing() -> float:
        tail, time = Tail(kafka, {topic: 0}), asyncio.get_running_loop().time
        await tail.start()
        await tail.to_end()  # and the next fetch is under way
        start = time()
        await tail.stop()
        return time() - start

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(secure.allow(support.TOPIC, topic, support.READ))
        runner.run(create_topics(secure.plain, {topic: 1}))
        assert max(runner.run(closing()) for _ in range(8)) < 10
    assert isinstance(LoopPolicy().new_event_loop(), Loop)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
async def test_a_worker_decides(secure: SecureKafka, pipeline: Pipeline, way: str, delivery: str):
    await secure.allow_pipeline(pipeline.prefix)
    events = sms("e")
    await pipeline.publish(events)
    worker = await pipeline.start(**WAYS[way](secure), LANJIE_DELIVERY=delivery)
    await worker.until("/ready", lambda body: '"ready": true' in body)
    decisions = [decode_decision(record.value) for record in await pipeline.decisions(len(events))]
    assert {decision.event_id for decision in decisions} == {event.id for event in events}
    assert await worker.end(signal.SIGTERM) == 0
    assert PASSWORD not in "\n".join(worker.log)


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
async def test_the_rights_that_the_readme_names_suffice(secure: SecureKafka, pipeline: Pipeline, delivery: str):
    """Worker and change, each with no more than those."""
    read, write = (support.READ,), (support.WRITE,)
    worker = dict.fromkeys((*INPUTS, LISTS, RULES, CHANGES, CONTENTS), read)
    worker |= dict.fromkeys((*map(dlq, (*INPUTS, LISTS, RULES)), ALERTS), write)
    for topic, rights in {**worker, DECISIONS: read + write, WORKERS: read + write}.items():
        await secure.allow(support.TOPIC, pipeline.prefix + topic.name, *rights, exact=True)
    await secure.allow(support.GROUP, pipeline.prefix + "group", support.READ, exact=True)
    transactions = f"{pipeline.prefix}{pipeline.prefix}group"
    await secure.allow(support.TRANSACTIONAL_ID, transactions, support.WRITE, support.DESCRIBE)
    await pipeline.publish(sms("e"))
    process = await pipeline.start(**secure.environ(), LANJIE_DELIVERY=delivery)
    await process.until("/ready", lambda body: '"ready": true' in body)
    assert len(await pipeline.decisions(20)) == 20

    for topic in (LISTS, RULES, CHANGES, CONTENTS):
        await secure.allow(support.TOPIC, pipeline.prefix + topic.name, *write, exact=True)
    changes = pipeline.prefix + "lanjie-changes"
    await secure.allow(support.TRANSACTIONAL_ID, changes, support.WRITE, support.DESCRIBE, exact=True)
    environ = secure.environ(topic_prefix=pipeline.prefix, group=pipeline.prefix + "group", author="tester")
    code, said = await lanjie("lists", "add", "+8613800000009", "--reason", "a test", **environ)
    assert (code, said.splitlines()[-1].rpartition(" after ")[0]) == (0, "change 1 is in force on 1 workers")
    assert await process.end(signal.SIGTERM) == 0
    assert not any("TopicAuthorizationFailed" in line for line in process.log)


async def test_commands_and_a_change_that_reaches_the_worker(secure: SecureKafka, pipeline: Pipeline):
    await secure.allow_pipeline(pipeline.prefix)
    environ = secure.environ(topic_prefix=pipeline.prefix, group=pipeline.prefix + "group", author="tester")
    code, said = await lanjie("topics", "create", **environ)
    assert (code, said.count("exists")) == (0, len(ALL))
    assert (await lanjie("topics", "list", **environ))[0] == 0

    worker = await pipeline.start(**secure.environ())
    await worker.until("/ready", lambda body: '"ready": true' in body)
    code, said = await lanjie("lists", "add", "+8613800000009", "--reason", "a test", **environ)
    assert (code, said.splitlines()[-1].rpartition(" after ")[0]) == (0, "change 1 is in force on 1 workers")


REFUSED = {
    "wrong password": (
        lambda broker: broker.environ(kafka_password_file=str(broker.folder / "wrong")),
        f"LANJIE_KAFKA_USER={USER}: {{sasl}} refuses this user or the password in LANJIE_KAFKA_PASSWORD_FILE=",
    ),
    "wrong password, PLAIN": (
        lambda broker: broker.environ(kafka_password_file=str(broker.folder / "wrong"), kafka_mechanism="PLAIN"),
        f"LANJIE_KAFKA_USER={USER}: {{sasl}} refuses this user or the password in LANJIE_KAFKA_PASSWORD_FILE=",
    ),
    "another mechanism": (
        lambda broker: broker.environ(kafka_mechanism="SCRAM-SHA-256"),
        "LANJIE_KAFKA_MECHANISM=SCRAM-SHA-256: {sasl} does not take it; set PLAIN or SCRAM-SHA-512",
    ),
    "another CA": (
        lambda broker: broker.environ(kafka_ca=str(broker.folder / "stranger.pem")),
        "LANJIE_KAFKA_CA={folder}/stranger.pem: the certificate of {sasl} is not trusted (",
    ),
    "this machine's CAs": (
        lambda broker: broker.environ(kafka_ca=""),
        "LANJIE_KAFKA_CA is not set: the certificate of {sasl} is not trusted (",
    ),
    "another name": (
        lambda broker: broker.environ(bootstrap=broker.sasl_ssl.replace("127.0.0.1", "localhost")),
        "Hostname mismatch, certificate is not valid for 'localhost'; name the broker as its certificate does",
    ),
    "no certificate": (
        lambda broker: {k: v for k, v in broker.certified().items() if k[13:] not in ("CERT", "KEY")},
        "LANJIE_KAFKA_SECURITY=SSL: {mutual} closes the connection; set what this port speaks, or LANJIE_KAFKA_CERT",
    ),
    "no TLS": (
        lambda broker: {"LANJIE_BOOTSTRAP": broker.sasl_ssl},
        "LANJIE_KAFKA_SECURITY=PLAINTEXT: {sasl} closes the connection; set what this port speaks",
    ),
    "TLS to a plain port": (
        lambda broker: broker.environ(bootstrap=broker.plain),
        "LANJIE_KAFKA_SECURITY=SASL_SSL: {plain} closes the connection; set what this port speaks",
    ),
    "nobody there": (
        lambda broker: broker.environ(bootstrap="127.0.0.1:1"),
        "LANJIE_BOOTSTRAP=127.0.0.1:1: no Kafka there; start one with 'lanjie dev kafka up' or name another",
    ),
    "no rights": (
        lambda broker: broker.environ(topic_prefix="other."),
        f"LANJIE_KAFKA_USER={USER}: {{sasl}} does not let us see or create topics (other.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_command_that_is_refused_says_why_in_one_line(secure: SecureKafka, case: str):
    environ, expected = REFUSED[case]
    code, said = await lanjie("topics", "create", **environ(secure))
    names = {"sasl": secure.sasl_ssl, "mutual": secure.mutual, "plain": secure.plain, "folder": secure.folder}
    assert expected.format(**names) in said
    assert (code, said.count("\n")) == (1, 1), said
    assert "swordfish" not in said
    assert PASSWORD not in said


async def test_rights_that_a_change_lacks_are_named_one_after_the_other(secure: SecureKafka, pipeline: Pipeline):
    environ = secure.environ(topic_prefix=pipeline.prefix, author="tester")
    add = ("lists", "add", "+8613800000009", "--reason", "a test")
    await secure.allow(support.TOPIC, pipeline.prefix, support.READ)
    code, said = await lanjie(*add, **environ)
    assert (code, said.count("\n")) == (1, 1), said
    assert "does not let us change lists and rules; have it granted: on the transactional id WRITE" in said

    await secure.allow(support.TRANSACTIONAL_ID, pipeline.prefix, support.ALL)
    code, said = await lanjie(*add, **environ)
    assert (code, said.count("\n")) == (1, 1), said
    assert f"change lists and rules ({pipeline.prefix}{LISTS.name}); have it granted: on the topic" in said

    await secure.allow(support.TOPIC, pipeline.prefix, support.WRITE)
    assert await lanjie(*add, **environ) == (0, "change 1 is written; no worker is running\n")


async def test_what_may_be_seen_but_not_read_is_told(secure: SecureKafka, pipeline: Pipeline):
    await secure.allow(support.TOPIC, pipeline.prefix, support.DESCRIBE)
    kafka, topic = Settings.from_env(secure.environ()).kafka, pipeline.prefix + LISTS.name
    await send(secure.plain, topic, b"x")
    async with Tail(kafka, {topic: 0}) as tail:
        with pytest.raises(TailError, match=f"does not let us read {topic}; have it granted: on the topic READ"):
            await tail.to_end()


@pytest.mark.parametrize("way", ["wrong password", "another CA"])
async def test_a_worker_that_is_refused_says_why_and_asks_again(secure: SecureKafka, pipeline: Pipeline, way: str):
    environ, expected = REFUSED[way]
    worker = await pipeline.start(**environ(secure))
    line = expected.format(sasl=secure.sasl_ssl, folder=secure.folder)
    await worker.until("/ready", lambda body: line in body)
    assert any(line in each for each in worker.log)
    assert not any("Traceback" in each or "swordfish" in each for each in worker.log)
    assert await worker.end(signal.SIGTERM) == 0


async def test_a_worker_that_may_not_write_decisions_loses_nothing(secure: SecureKafka, pipeline: Pipeline):
    """It has everything but WRITE on the decisions; then that as well."""
    for topic in ALL:
        rights = (support.READ,) if topic is DECISIONS else (support.ALL,)
        await secure.allow(support.TOPIC, pipeline.prefix + topic.name, *rights)
    await secure.allow(support.GROUP, pipeline.prefix, support.ALL)
    events = sms("e")
    await pipeline.publish(events)
    refused = await pipeline.start(**secure.environ())
    assert await asyncio.wait_for(refused.process.wait(), 90) == 1
    await refused._reader
    said = "\n".join(refused.log)
    assert "TopicAuthorizationFailed" in said or "does not let us" in said
    assert DECISIONS.name in said

    await secure.allow(support.TOPIC, pipeline.prefix + DECISIONS.name, support.WRITE)
    await pipeline.start(**secure.environ())
    decided = [decode_decision(record.value).event_id for record in await pipeline.decisions(len(events))]
    assert sorted(decided) == sorted(event.id for event in events)


def codecs_on_disk(broker: SecureKafka, topic: str) -> set[int]:
    """Of the first batch of each partition that has one."""
    found = set()
    for segment in (broker.folder / "kafka" / "data").glob(f"{topic}-*/00000000000000000000.log"):
        if head := segment.read_bytes()[ATTRIBUTES]:
            found.add(int.from_bytes(head) & 7)
    return found


@pytest.mark.parametrize("codec", CODECS)
async def test_what_comes_compressed_is_decided_and_what_goes_can_be(
    secure: SecureKafka, pipeline: Pipeline, codec: str
):
    await secure.allow_pipeline(pipeline.prefix)
    events, topic = sms("e", 200), pipeline.prefix + SMS.name
    await send(secure.plain, topic, *map(encode_event, events), codec=codec)
    assert codecs_on_disk(secure, topic) == {NUMBERS[codec]}
    await pipeline.start(**secure.environ(compression=codec))
    decided = [decode_decision(record.value).event_id for record in await pipeline.decisions(len(events))]
    assert decided == [event.id for event in events]
    assert codecs_on_disk(secure, pipeline.prefix + DECISIONS.name) == {NUMBERS[codec]}
