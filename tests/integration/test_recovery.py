"""What a worker knows of a shard that it did not have: all that was counted, and what is decided, from the log."""

from __future__ import annotations

import asyncio
import re
import signal
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from prometheus_client import CollectorRegistry

from detectors.engine import Engine
from detectors.model.events import CallEvent, Event
from stream.clock import SystemClock
from stream.kafka import Kafka
from stream.marks import HEADER, Mark, encode
from stream.metrics import Metrics
from stream.rebuild import Rebuild
from stream.settings import DELIVERIES, ListFile, Settings
from stream.sources import load_snapshot
from stream.topics import CALLS, DECISIONS, dlq
from stream.wire import decode_decision, encode_decision
from tests.support.topics import publish, read_all
from tests.support.worker import Pipeline, Worker

T0 = 1_790_000_000_000


def calls(start: int, count: int, callers: int = 20) -> list[Event]:
    """Every caller is in the middle of a burst, wherever this is cut."""
    return [
        CallEvent(id=f"c{i}", time=T0 + 50 * i, a_number=f"1380000{i % callers:04d}", b_number=f"1390{i % 9973:07d}")
        for i in range(start, start + count)
    ]


def uninterrupted(pipeline: Pipeline, events: Sequence[Event]) -> dict[str, bytes]:
    """By one engine in one go. All events are of one input, and of a caller all are in one partition: so the order in
    which partitions are taken does not matter.
    """
    lists = (ListFile(pipeline.folder / "lists.csv"),)
    snapshot = load_snapshot(lists, metrics=Metrics(CollectorRegistry()), clock=SystemClock())
    return {decision.event_id: encode_decision(decision) for decision in Engine(snapshot).decide(events)}


def without_latency(value: bytes) -> bytes:
    return re.sub(rb',"latency_us":\d+', b"", value)


async def decided(pipeline: Pipeline, events: Sequence[Event]) -> dict[str, bytes]:
    """Each exactly once."""
    wanted = {event.id for event in events}
    records = await pipeline.decisions(
        lambda found: wanted <= {decode_decision(record.value).event_id for record in found}
    )
    ids = [decode_decision(record.value).event_id for record in records]
    assert Counter(ids) == Counter(wanted)
    return {name: without_latency(record.value) for name, record in zip(ids, records, strict=True)}


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_after_a_crash_decisions_are_those_of_an_uninterrupted_run(pipeline: Pipeline, delivery: str):
    before, after = calls(0, 900), calls(900, 900)
    await pipeline.publish(before)
    first = await pipeline.start(LANJIE_DELIVERY=delivery)
    await pipeline.decisions(len(before))
    await first.end(signal.SIGKILL)
    await pipeline.publish(after)
    second = await pipeline.start(LANJIE_DELIVERY=delivery)
    found, wanted = await decided(pipeline, before + after), uninterrupted(pipeline, before + after)
    assert found == wanted
    assert any(b"CALL_BURST" in value for value in wanted.values())
    metrics = await second.until("/metrics", lambda text: "lanjie_recovered_events_total" in text)
    assert "lanjie_recovered_events_total 900.0" in metrics
    assert await second.end(signal.SIGTERM) == 0


async def test_a_worker_that_leaves_hands_over_what_was_counted(pipeline: Pipeline):
    parts = [calls(start, 600) for start in (0, 600, 1200)]
    await pipeline.publish(parts[0])
    first = await pipeline.start()
    await pipeline.decisions(600)
    second = await pipeline.start()
    await second.until("/ready", lambda body: '"ready": true' in body)
    await pipeline.publish(parts[1])
    await pipeline.decisions(1200)
    assert await first.end(signal.SIGTERM) == 0
    await pipeline.publish(parts[2])
    events = [event for part in parts for event in part]
    assert await decided(pipeline, events) == uninterrupted(pipeline, events)
    kept = [line for line in second.log if "events decided again" in line]
    assert len(kept) == 4, "a shard that stayed is not rebuilt"
    assert await second.end(signal.SIGTERM) == 0


async def test_a_chunk_that_was_cut_off_goes_on_where_it_was(pipeline: Pipeline):
    """The decisions of half of a chunk are on the topic: the broker had not got the rest when the worker died."""
    events = calls(0, 100, callers=1)
    await pipeline.publish(events)
    wanted = uninterrupted(pipeline, events)
    shard = await _shard_of(pipeline)
    mark = Mark(pipeline.prefix + "group", pipeline.prefix + CALLS.name, 0, 99, 100)
    async with AIOKafkaProducer(bootstrap_servers=pipeline.bootstrap) as producer:
        for i, event in enumerate(events[:41]):
            headers = [(HEADER, encode(mark))] if i == 0 else []
            topic = pipeline.prefix + DECISIONS.name
            await producer.send_and_wait(topic, wanted[event.id], b"k", partition=shard, headers=headers)
    worker = await pipeline.start()
    assert await decided(pipeline, events) == wanted
    assert "lanjie_recovered_events_total 41.0" in (await worker.get("/metrics"))[1]
    await worker.end(signal.SIGKILL)
    another = await pipeline.start()  # sees a chunk that was cut off, and one that is the rest of it
    more = calls(100, 50, callers=1)
    await pipeline.publish(more)
    assert await decided(pipeline, events + more) == uninterrupted(pipeline, events + more)
    assert await another.end(signal.SIGTERM) == 0


async def _shard_of(pipeline: Pipeline) -> int:
    """The partition of the only caller."""
    (record, *_) = await read_all(pipeline.bootstrap, pipeline.prefix + CALLS.name, until=1)
    return record.partition


async def test_another_group_decides_all_again(pipeline: Pipeline):
    events = calls(0, 200)
    await pipeline.publish(events)
    first = await pipeline.start()
    await pipeline.decisions(200)
    assert await first.end(signal.SIGTERM) == 0
    second = await pipeline.start(LANJIE_GROUP=pipeline.prefix + "other")
    records = await pipeline.decisions(400)
    assert set(Counter(decode_decision(record.value).event_id for record in records).values()) == {2}
    assert "lanjie_recovered_events_total 0.0" in (await second.get("/metrics"))[1]
    assert await second.end(signal.SIGTERM) == 0


async def test_what_there_is_no_time_for_is_left_out_and_told(pipeline: Pipeline):
    events = calls(0, 45_000)
    await pipeline.publish(events)
    first = await pipeline.start()
    await pipeline.decisions(len(events))
    await first.end(signal.SIGKILL)
    more = calls(45_000, 400)
    await pipeline.publish(more)
    second = await pipeline.start(LANJIE_RECOVERY_SECONDS="1")
    await decided(pipeline, events + more)
    metrics = (await second.get("/metrics"))[1]
    skipped = float(re.search(r"^lanjie_recovery_skipped_events_total (\S+)", metrics, re.M)[1])
    made = float(re.search(r"^lanjie_recovered_events_total (\S+)", metrics, re.M)[1])
    assert skipped > 0
    assert skipped + made == pytest.approx(
        len(events), abs=4 * Settings().max_chunk
    )  # a start in mid-chunk costs that chunk
    assert [line for line in second.log if "the windows of its callers are not full" in line]
    assert await second.end(signal.SIGTERM) == 0


class Hands(SystemClock):
    """A clock whose seconds go by only where a test says so."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.mark.parametrize(("waited_for_its_turn", "made"), [(True, 200), (False, 0)])
async def test_the_time_for_a_shard_runs_from_its_turn_on(pipeline: Pipeline, waited_for_its_turn: bool, made: int):
    """Not from when it was opened: of many shards some wait for long until it is theirs."""
    events = calls(0, 200, callers=1)
    await pipeline.publish(events)
    worker = await pipeline.start()
    await decided(pipeline, events)
    assert await worker.end(signal.SIGTERM) == 0
    clock, snapshot = Hands(), load_snapshot((), metrics=Metrics(CollectorRegistry()), clock=SystemClock())
    rebuild = Rebuild(
        Kafka.plain(pipeline.bootstrap),
        await _shard_of(pipeline),
        group=pipeline.prefix + "group",
        decisions=pipeline.prefix + DECISIONS.name,
        kinds={pipeline.prefix + CALLS.name: CALLS.kind},
        engine=Engine(snapshot),
        window_ms=600_000,
        seconds=10,
        clock=clock,
    )
    try:
        await rebuild.start()
        assert rebuild.behind == 200
        clock.seconds += 60
        if waited_for_its_turn:
            rebuild.begin()
        while await rebuild.advance():
            pass
    finally:
        await rebuild.stop()
    assert (rebuild.events, rebuild.skipped) == (made, 200 - made)


async def test_topics_of_different_size_are_refused(pipeline: Pipeline):
    admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.bootstrap)
    await admin.start()
    await admin.create_partitions({pipeline.prefix + CALLS.name: NewPartitions(total_count=6)})
    await admin.close()
    worker = await pipeline.start()
    assert await asyncio.wait_for(worker.process.wait(), 30) == 1
    await worker._reader
    assert "expected the same number of all: add partitions to the smaller ones" in worker.log[-1]


@pytest.mark.alone
async def test_a_static_member_that_is_back_in_time_disturbs_nobody(pipeline: Pipeline):
    """KIP-345: it has the shards that it had, without a rebalance."""
    events = calls(0, 400)
    await pipeline.publish(events)
    first, second = await pipeline.start(LANJIE_INSTANCE="a"), await pipeline.start(LANJIE_INSTANCE="b")
    for worker in (first, second):
        await worker.until("/ready", lambda body: '"ready": true' in body)
    await pipeline.decisions(400)
    before = len([line for line in second.log if "Setting newly assigned" in line])
    await first.end(signal.SIGKILL)
    again = await pipeline.start(LANJIE_INSTANCE="a")
    await again.until("/ready", lambda body: '"ready": true' in body)
    more = calls(400, 400)
    await pipeline.publish(more)
    assert await decided(pipeline, events + more) == uninterrupted(pipeline, events + more)
    assert len([line for line in second.log if "Setting newly assigned" in line]) == before
    assert [await worker.end(signal.SIGTERM) for worker in (again, second)] == [0, 0]


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_with_a_checkpoint_only_what_came_after_it_is_read_again(pipeline: Pipeline, delivery: str):
    settings = {"LANJIE_DELIVERY": delivery, "LANJIE_CHECKPOINT_SECONDS": "0.5"}
    before, between, after = calls(0, 600), calls(600, 600), calls(1200, 600)
    await pipeline.publish(before)
    first = await pipeline.start(**settings)
    await pipeline.decisions(600)
    await checkpointed(first)
    await pipeline.publish(between)
    await pipeline.decisions(1200)
    await first.end(signal.SIGKILL)
    await pipeline.publish(after)
    second = await pipeline.start(**settings)
    events = [*before, *between, *after]
    assert await decided(pipeline, events) == uninterrupted(pipeline, events)
    again = float(re.search(r"^lanjie_recovered_events_total (\S+)", (await second.get("/metrics"))[1], re.M)[1])
    assert again <= 600
    assert await second.end(signal.SIGTERM) == 0


async def test_dead_letters_after_a_checkpoint_leave_no_gap(pipeline: Pipeline):
    """A chunk of nothing but dead letters has no decision, so nothing on the decisions topic tells of it."""
    before, after = calls(0, 600), calls(600, 600)
    await pipeline.publish(before)
    first = await pipeline.start(LANJIE_CHECKPOINT_SECONDS="0.5")
    await pipeline.decisions(600)
    await checkpointed(first)
    await first.end(signal.SIGTERM)
    second = await pipeline.start(LANJIE_CHECKPOINT_SECONDS="0")
    bad = [(event.a_number.encode(), b"no event", ()) for event in before[:20]]
    await publish(pipeline.bootstrap, pipeline.prefix + CALLS.name, bad)
    await read_all(pipeline.bootstrap, pipeline.prefix + dlq(CALLS).name, until=20)
    await pipeline.publish(after)
    await pipeline.decisions(1200)
    await second.end(signal.SIGKILL)
    third = await pipeline.start(LANJIE_CHECKPOINT_SECONDS="60")
    metrics = await third.until("/metrics", lambda text: "lanjie_ready 1.0" in text)
    assert float(re.search(r"^lanjie_recovered_events_total (\S+)", metrics, re.M)[1]) == 600
    await pipeline.publish(last := calls(1200, 300))
    events = [*before, *after, *last]
    assert await decided(pipeline, events) == uninterrupted(pipeline, events)
    assert await third.end(signal.SIGTERM) == 0


async def checkpointed(worker: Worker) -> None:
    """All that is decided by now is in a checkpoint: one that began after another was done."""
    pattern = re.compile(r'^lanjie_checkpoints_total\{result="done"\} (\S+)', re.M)

    def count(metrics: str) -> float:
        return float(found[1]) if (found := pattern.search(metrics)) else 0.0

    before = count((await worker.get("/metrics"))[1])
    await worker.until("/metrics", lambda metrics: count(metrics) >= before + 2)


@pytest.mark.parametrize(
    "damage", [bytes.upper, lambda data: data[:-1], lambda _: b"", lambda _: b"{}\ncos\nsystem\n."]
)
async def test_a_damaged_checkpoint_is_as_none(pipeline: Pipeline, damage: Callable[[bytes], bytes]):
    before, after = calls(0, 300), calls(300, 300)
    await pipeline.publish(before)
    first = await pipeline.start(LANJIE_CHECKPOINT_SECONDS="0.5")
    await pipeline.decisions(300)
    await checkpointed(first)
    await first.end(signal.SIGKILL)
    for file in (pipeline.folder / "checkpoints").glob("*.memory"):
        file.write_bytes(damage(file.read_bytes()))
    await pipeline.publish(after)
    second = await pipeline.start()
    assert await decided(pipeline, before + after) == uninterrupted(pipeline, before + after)
    assert "lanjie_recovered_events_total 300.0" in (await second.get("/metrics"))[1]
    assert await second.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_worker_that_was_paused_does_not_go_on_with_what_it_knew(pipeline: Pipeline, delivery: str):
    """Others have its shards and decide. It notices by itself that it stood still, and starts again."""
    settings = {"LANJIE_DELIVERY": delivery, "LANJIE_CHECKPOINT_SECONDS": "0"}
    parts = [calls(start, 600) for start in (0, 600, 1200)]
    workers = [await pipeline.start(**settings), await pipeline.start(**settings)]
    for worker in workers:
        await worker.until("/ready", lambda body: '"ready": true' in body)
    await pipeline.publish(parts[0])
    await pipeline.decisions(600)
    paused, other = workers
    paused.process.send_signal(signal.SIGSTOP)
    await other.until("/", lambda body: body.count("telecom.calls.v1/") == 4, timeout=60)
    await pipeline.publish(parts[1])
    await pipeline.decisions(1200)
    paused.process.send_signal(signal.SIGCONT)
    assert await asyncio.wait_for(paused.process.wait(), 30) == 1
    again = await pipeline.start(**settings)
    await again.until("/ready", lambda body: '"ready": true' in body)
    await pipeline.publish(parts[2])
    events = [event for part in parts for event in part]
    assert await decided(pipeline, events) == uninterrupted(pipeline, events)
    assert [line for line in paused.log if "StoodStill" in line]
    assert [await worker.end(signal.SIGTERM) for worker in (again, other)] == [0, 0]
