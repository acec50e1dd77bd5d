"""The worker as a process of its own, on a real broker: what goes in comes out, whatever happens to the worker."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

import pytest
from aiokafka import ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from detectors.model.events import CallEvent, CardEvent, Event, SmsEvent
from stream.settings import DELIVERIES
from stream.topics import CALLS, CARDS, DECISIONS, INPUTS, SMS, dlq
from stream.wire import decode_decision, encode_event
from tests.support.topics import publish, read_all
from tests.support.worker import BLOCKED, COMMAND, Pipeline

T0 = 1_790_000_000_000


def sms(n: int) -> list[Event]:
    return [
        SmsEvent(id=f"s{i}", time=T0 + i, a_number=f"138{i % 500:08d}", b_number="13900000001", text="今晚七点老地方见")
        for i in range(n)
    ]


def mixed(n: int) -> list[Event]:
    made: list[Event] = sms(n)
    for i in range(n):
        number = f"138{i % 500:08d}"
        made.append(CallEvent(id=f"c{i}", time=T0 + i, a_number=number, b_number="13900000001"))
        made.append(CardEvent(id=f"k{i}", time=T0 + i, a_number=number, phase="woke"))
    return made


def ids(records: list[ConsumerRecord]) -> list[str]:
    return [decode_decision(record.value).event_id for record in records]


def holds_all(events: list[Event]) -> Callable[[list[ConsumerRecord]], bool]:
    wanted = {event.id for event in events}
    return lambda records: len(records) >= len(wanted) and wanted <= set(ids(records))


async def test_every_event_gets_one_decision_in_the_order_of_its_partition(pipeline: Pipeline):
    events = mixed(1000)
    await pipeline.publish(events)
    worker = await pipeline.start()
    records = await pipeline.decisions(len(events))

    decided = [(record.partition, decode_decision(record.value), record.key) for record in records]
    assert Counter(decision.event_id for _, decision, _ in decided) == Counter(event.id for event in events)
    for topic in INPUTS:
        taken = await read_all(pipeline.bootstrap, pipeline.prefix + topic.name, until=1000)
        order_in, order_out = defaultdict(list), defaultdict(list)
        for record in sorted(taken, key=lambda record: record.offset):
            order_in[record.partition].append(json.loads(record.value)["id"])
        for partition, decision, _ in decided:
            if decision.kind == topic.kind:
                order_out[partition].append(decision.event_id)
        assert order_out == order_in
    assert all(key == decision.subject.encode() and decision.latency_us > 0 for _, decision, key in decided)
    blocked = {decision.subject for _, decision, _ in decided if decision.action == "block"}
    assert blocked == {"+86" + BLOCKED}

    state = json.loads((pipeline.folder / f"worker-{worker.process.pid}.json").read_text())
    assert state["metrics_url"] == await worker.url + "/metrics"
    assert await worker.get("/ready") == (200, '{\n  "ready": true,\n  "reasons": []\n}\n')
    assert (await worker.get("/healthy"))[0] == 200
    lag = f'lanjie_consumer_lag_records{{partition="0",topic="{pipeline.prefix}{SMS.name}"}} 0.0'
    metrics = await worker.until("/metrics", lambda text: lag in text)
    assert f'lanjie_events_total{{topic="{pipeline.prefix}{CARDS.name}"}} 1000.0' in metrics
    assert f'lanjie_end_to_end_latency_seconds_count{{topic="{pipeline.prefix}{CALLS.name}"}} 1000.0' in metrics
    assert await worker.end(signal.SIGTERM) == 0
    assert not list(pipeline.folder.glob("worker-*.json"))
    assert not [line for line in worker.log if "13800000007" in line or "老地方" in line]


async def test_decisions_are_cloudevents_if_that_is_wanted(pipeline: Pipeline):
    """CloudEvents 1.0, Kafka binding 3.2: binary mode; beside the trace and the mark of the chunk, which stay."""
    parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    events = sms(3)
    await pipeline.start(LANJIE_CLOUDEVENTS="on")
    await publish(
        pipeline.bootstrap,
        pipeline.prefix + SMS.name,
        [(b"one", encode_event(event), [("traceparent", parent)] * (i == 1)) for i, event in enumerate(events)],
    )
    decided = await pipeline.decisions(3)
    assert "lanjie.chunk" in dict(decided[0].headers)
    for i, record in enumerate(decided):
        attributes = {name: value for name, value in record.headers if name.startswith("ce_")}
        assert attributes == {
            "ce_specversion": b"1.0",
            "ce_id": events[i].id.encode(),
            "ce_source": b"/lanjie/decisions",
            "ce_type": b"lanjie.decision.sms.v1",
        }
        headers = dict(record.headers)
        assert headers["content-type"] == b"application/json"
        assert (b"4bf92f3577b34da6a3ce929d0e0e4736" in headers.get("traceparent", b"")) == (i == 1)
        assert json.loads(record.value)["event_id"] == events[i].id


def poison(n: int) -> Iterator[tuple[bytes, bytes | None]]:
    """Code and value of what must not stop a worker."""
    rng = random.Random(7)
    good = encode_event(sms(1)[0])
    for i in range(n):
        yield from (
            (b"malformed", b"\xff" + rng.randbytes(rng.randrange(1, 200))),
            (b"malformed", good[: rng.randrange(44, len(good))]),  # before 44 the time is cut, and its value is wrong
            (b"invalid_field", json.dumps({**json.loads(good), "a_number": i}).encode()),
            (b"nul", json.dumps({**json.loads(good), "text": f"a\0{i}"}).encode()),
            (b"tombstone", None),
            (b"unknown_version", json.dumps({**json.loads(good), "v": 99}).encode()),
            (b"invalid_field", json.dumps({**json.loads(good), "time": -i}).encode()),
            (b"wrong_kind", json.dumps({**json.loads(good), "kind": "card"}).encode()),
        )
        if i % 10 == 0:
            yield b"invalid_field", json.dumps({**json.loads(good), "text": "x" * 1_000_000}).encode()


async def test_poison_goes_to_the_dlq_as_it_came_with_a_reason_that_names_the_field(pipeline: Pipeline):
    bad = [(b"k%d" % i, code, value) for i, (code, value) in enumerate(poison(125))]
    good = sms(len(bad))
    topic = pipeline.prefix + SMS.name
    mixed_in = [
        record
        for event, (key, _, value) in zip(good, bad, strict=True)
        for record in ((key, value, [("ce_id", key)]), (event.a_number.encode(), encode_event(event), ()))
    ]
    worker = await pipeline.start()
    await publish(pipeline.bootstrap, topic, mixed_in)

    letters = await read_all(pipeline.bootstrap, pipeline.prefix + dlq(SMS).name, until=len(bad), timeout=60)
    assert len(bad) >= 1000
    assert {letter.key: letter.value for letter in letters} == {key: value for key, _, value in bad}
    wanted = {key: code for key, code, _ in bad}
    for letter in letters:
        headers = dict(letter.headers)
        assert headers["dlq.code"] == wanted[letter.key]
        assert headers["dlq.reason"].startswith(b"$")
        assert headers["dlq.code"] in {b"malformed", b"tombstone"} or headers["dlq.reason"].startswith(b"$.")
        assert headers["dlq.topic"] == topic.encode()
        assert headers["ce_id"] == letter.key
        assert {"dlq.partition", "dlq.offset", "dlq.timestamp"} < headers.keys()
    assert len({(dict(each.headers)["dlq.partition"], dict(each.headers)["dlq.offset"]) for each in letters}) == len(
        bad
    )
    assert sorted(ids(await pipeline.decisions(len(good)))) == sorted(event.id for event in good)
    assert (await worker.get("/healthy"))[0] == 200
    assert await worker.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_sigterm_in_mid_stream_loses_nothing_and_repeats_nothing(pipeline: Pipeline, delivery: str):
    events = sms(60_000)
    await pipeline.publish(events)
    first = await pipeline.start(LANJIE_DELIVERY=delivery)
    await pipeline.decisions(5_000)
    assert await first.end(signal.SIGTERM, within=10) == 0
    second = await pipeline.start(LANJIE_DELIVERY=delivery)
    taken = await second.until("/metrics", lambda text: "lanjie_events_total" in text)
    assert "lanjie_events_total" in taken, "the first worker was not stopped in mid-stream"
    records = await pipeline.decisions(holds_all(events))
    assert Counter(ids(records)) == Counter(event.id for event in events)
    assert await second.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_kill_9_in_mid_stream_loses_nothing_and_repeats_nothing(pipeline: Pipeline, delivery: str):
    """What was decided and not committed is known from the decisions themselves."""
    events = sms(60_000)
    await pipeline.publish(events)
    first = await pipeline.start(LANJIE_DELIVERY=delivery)
    await pipeline.decisions(5_000)
    assert await first.end(signal.SIGKILL) == -signal.SIGKILL
    second = await pipeline.start(LANJIE_DELIVERY=delivery)
    await second.until("/metrics", lambda text: "lanjie_events_total{" in text)
    records = await pipeline.decisions(holds_all(events))
    assert Counter(ids(records)) == Counter(event.id for event in events)
    assert await second.end(signal.SIGTERM) == 0


async def test_a_second_worker_takes_its_share_in_mid_stream_and_nothing_is_lost(pipeline: Pipeline):
    before, after = sms(40_000), mixed(2_000)
    after = [type(event)(**{**_fields(event), "id": "x" + event.id}) for event in after]
    await pipeline.publish(before)
    first = await pipeline.start()
    await pipeline.decisions(2_000)
    second = await pipeline.start()
    await second.until("/", lambda body: bool(json.loads(body)["partitions"]))
    await pipeline.publish(after)
    records = await pipeline.decisions(holds_all(before + after))
    assert Counter(ids(records)) == Counter(event.id for event in before + after)

    shares = [set(json.loads((await each.get("/"))[1])["partitions"]) for each in (first, second)]
    assert len(shares[0] | shares[1]) == 12
    assert not shares[0] & shares[1]
    for share in shares:  # one worker sees the calls, SMS and cards of a number
        numbers = defaultdict(set)
        for topic, _, partition in (each.rpartition("/") for each in share):
            numbers[topic].add(partition)
        assert len(numbers) == 3
        assert len({frozenset(each) for each in numbers.values()}) == 1
    assert [await each.end(signal.SIGTERM) for each in (first, second)] == [0, 0]


def _fields(event: Event) -> dict[str, object]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


RAISING = """
from detectors.engine import Engine
stock = Engine._conclude
def conclude(self, batch, *args, **kwargs):
    if any(event.id == "s13" for event in batch.events):
        raise ZeroDivisionError("13900000001")
    return stock(self, batch, *args, **kwargs)
Engine._conclude = conclude
"""


async def test_an_event_on_which_the_engine_raises_goes_to_the_dlq_alone(pipeline: Pipeline):
    await pipeline.publish(sms(100))
    worker = await pipeline.start(RAISING + COMMAND)
    records = await pipeline.decisions(99)
    assert sorted(ids(records)) == sorted(f"s{i}" for i in range(100) if i != 13)
    (letter,) = await read_all(pipeline.bootstrap, pipeline.prefix + dlq(SMS).name, until=1)
    headers = dict(letter.headers)
    assert headers["dlq.code"] == b"engine_error"
    assert headers["dlq.reason"].startswith(b"$: ZeroDivisionError at ")
    assert "lanjie_engine_errors_total 1.0" in (await worker.get("/metrics"))[1]
    assert not [line for line in worker.log if "13900000001" in line]
    assert await worker.end(signal.SIGTERM) == 0


async def test_a_delivery_that_the_broker_refuses_stops_the_worker_and_nothing_is_committed(pipeline: Pipeline):
    admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.bootstrap)
    await admin.start()
    await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, pipeline.prefix + DECISIONS.name, {"max.message.bytes": "64"})]
    )
    await pipeline.publish(sms(10))
    worker = await pipeline.start()
    assert await asyncio.wait_for(worker.process.wait(), 30) == 1
    assert not await admin.list_consumer_group_offsets(pipeline.prefix + "group")
    await admin.close()


async def test_without_lists_it_works_and_is_not_ready(pipeline: Pipeline):
    worker = await pipeline.start(LANJIE_LISTS="")
    await pipeline.publish(sms(10))
    await pipeline.decisions(10)
    status, body = await worker.get("/ready")
    assert status == 503
    assert json.loads(body)["reasons"] == ["the number lists are empty: set LANJIE_LISTS, or say `lanjie lists import`"]
    assert (await worker.get("/healthy"))[0] == 200
    metrics = await worker.until("/metrics", lambda body: 'lanjie_worker_state{state="running"} 1.0' in body)
    assert "lanjie_ready 0.0" in metrics  # what LanjieNoWorkerReady is told apart by
    assert await worker.end(signal.SIGTERM) == 0


async def test_without_a_broker_it_waits_says_so_in_one_line_and_stops_when_told(pipeline: Pipeline):
    worker = await pipeline.start(LANJIE_BOOTSTRAP="127.0.0.1:1")
    body = await worker.until("/ready", lambda body: "no Kafka there" in body)
    assert "LANJIE_BOOTSTRAP=127.0.0.1:1: no Kafka there" in json.loads(body)["reasons"][0]
    assert await worker.end(signal.SIGTERM) == 0
    assert [line for line in worker.log if "no Kafka there" in line]


NO_DISK = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
"""


async def test_a_disk_that_takes_nothing_is_no_reason_not_to_decide(pipeline: Pipeline):
    """Every write to a file fails, as on a full disk."""
    await pipeline.publish(sms(100))
    worker = await pipeline.start(NO_DISK + COMMAND)
    await pipeline.decisions(100)
    assert [line for line in worker.log if "a restart reads the topics from the start" in line]
    assert (await worker.get("/ready"))[0] == 200
    assert await worker.end(signal.SIGTERM) == 0
