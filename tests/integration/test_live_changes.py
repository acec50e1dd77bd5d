"""Two workers on the real broker, and lists and rules that change under them while events flow."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from detectors.model.decision import Decision
from detectors.model.events import SmsEvent
from detectors.rollout import Cap
from loadtest.driver import Driver, Schedule, record_of
from stream.clock import SystemClock
from stream.kafka import Kafka
from stream.rule_files import pack_files
from stream.settings import Settings
from stream.topics import ALERTS, LISTS, RULES, dlq
from stream.updates.publisher import Put, read_state
from stream.updates.records import Content, FeedRecord
from stream.updates.workers import wait_until_applied, worker_states
from stream.wire import decode_decision
from tests.integration.test_reload import RULE, WEIGHT
from tests.support.changes import change, entry, feed, pack, puts, stage, table
from tests.support.topics import publish, read_all
from tests.support.worker import Pipeline, Worker

T0 = 1_790_000_000_000
FLOW = 8000
LISTED = "+8613900000001"
WEIGHTS = "weights.toml"


def settings_of(pipeline: Pipeline) -> Settings:
    return Settings(
        bootstrap=pipeline.bootstrap,
        topic_prefix=pipeline.prefix,
        group=pipeline.prefix + "group",
        data_dir=pipeline.folder / "cli",
    )


def sms(names: Sequence[str], text: str = "你好", senders: int = 40) -> list[SmsEvent]:
    """One SMS each, from many senders, so that all partitions have some."""
    return [
        SmsEvent(id=name, time=T0 + n, a_number=f"1390000{n % senders:04d}", b_number="13700000001", text=text)
        for n, name in enumerate(names)
    ]


def rules(rule: str = RULE, weight: str = WEIGHT) -> dict[str, bytes]:
    shipped = pack_files(None)
    return {"text/test.toml": rule.encode(), WEIGHTS: shipped[WEIGHTS] + weight.encode()}


async def flow(pipeline: Pipeline, total: int, *, rate: float) -> None:
    """Events by a schedule, while something else goes on."""
    async with Driver(Kafka.plain(pipeline.bootstrap), SystemClock()) as driver:
        events = sms([f"during-{n}" for n in range(total)])
        await driver.publish([record_of(event, prefix=pipeline.prefix) for event in events], Schedule(rate=rate))


async def two(pipeline: Pipeline) -> list[Worker]:
    """Two workers that share the partitions."""
    workers = [await pipeline.start(), await pipeline.start()]
    for worker in workers:
        await worker.until("/", lambda body: len(json.loads(body)["partitions"]) == 6, timeout=60)
        await worker.until("/ready", lambda body: json.loads(body)["ready"])
    return workers


async def applied(pipeline: Pipeline, serial: int, workers: int = 2) -> float:
    """Wait until all have it; returns the seconds."""
    found = await wait_until_applied(settings_of(pipeline), serial, within=20)
    assert (found.workers, found.missing) == (workers, 0)
    return found.seconds


async def decided(pipeline: Pipeline, total: int) -> dict[str, Decision]:
    """All decisions, each event exactly once."""
    found = [decode_decision(record.value) for record in await pipeline.decisions(total)]
    assert Counter(d.event_id for d in found).most_common(1)[0][1] == 1
    assert len(found) == total
    return {d.event_id: d for d in found}


@pytest.mark.alone
async def test_a_change_is_in_force_on_both_workers_and_no_event_is_left_out(pipeline: Pipeline):
    await two(pipeline)
    settings = settings_of(pipeline)
    before = sms([f"before-{n}" for n in range(100)])
    await pipeline.publish(before)
    first = await decided(pipeline, 100)
    assert {d.action for d in first.values()} == {"allow"}

    flowing = asyncio.create_task(flow(pipeline, FLOW, rate=1000))
    listed = await change(settings, puts(entry(LISTED)))
    assert await applied(pipeline, listed.serial) < 5
    ruled = await change(settings, pack(rules()))
    assert await applied(pipeline, ruled.serial) < 5
    await flowing

    text = "一头紫色的大象"
    await pipeline.publish(sms([f"after-{n}" for n in range(100)], text))
    found = await decided(pipeline, 200 + FLOW)
    after = {name: d for name, d in found.items() if name.startswith("after")}
    states = await worker_states(settings)
    assert {(s.lists, s.rules) for s in states.values()} == {(d.lists, d.rules) for d in after.values()}
    assert {d.lists for d in first.values()}.isdisjoint(d.lists for d in after.values())
    assert {d.rules for d in first.values()}.isdisjoint(d.rules for d in after.values())
    actions = defaultdict(set)
    for d in after.values():
        actions[d.subject == LISTED].add(d.action)
    assert actions == {True: {"block"}, False: {"challenge"}}
    steps = len({d.lists for d in found.values()}), len({d.rules for d in found.values()})
    assert steps == (2, 2)


async def test_a_runaway_rule_is_stopped_on_both_and_only_a_person_lets_it_go_on(pipeline: Pipeline):
    workers = await two(pipeline)
    settings, cap = settings_of(pipeline), 40
    wrong = RULE.replace("紫色的大象", "你的").replace("大象来了", "").replace('"大象"', '"我的"')
    armed = stage("TEXT_OF_THIS_TEST", "enforce", version="1", cap=Cap(per_minute=cap))
    receipt = await change(settings, pack(rules(wrong), armed))
    await applied(pipeline, receipt.serial)
    await pipeline.publish(sms([f"flood-{n}" for n in range(2000)], "这是你的东西", senders=500))
    found = await decided(pipeline, 2000)
    touched = [d for d in found.values() if d.action != "allow"]
    assert 0 < len(touched) <= cap

    async with asyncio.timeout(20):
        while (await read_state(settings)).stages["TEXT_OF_THIS_TEST", "1"].value.stage != "shadow":
            pass
    state = await read_state(settings)
    held = state.stages["TEXT_OF_THIS_TEST", "1"]
    assert (held.change.author, held.value.cap) == ("brake", Cap(per_minute=cap))
    await applied(pipeline, state.serial)
    tripped = [await worker.until("/metrics", lambda text: "lanjie_brake_trips_total{" in text) for worker in workers]
    assert len(tripped) == 2
    alerts = await read_all(pipeline.bootstrap, settings.named(ALERTS).name, until=2)
    assert {json.loads(record.value)["target"] for record in alerts} == {"TEXT_OF_THIS_TEST"}

    await pipeline.publish(sms([f"later-{n}" for n in range(200)], "这是你的东西", senders=200))
    later = [d for name, d in (await decided(pipeline, 2200)).items() if name.startswith("later")]
    assert {d.action for d in later} == {"allow"}
    assert {d.shadow.action for d in later if d.shadow} == {"challenge"}
    again = stage("TEXT_OF_THIS_TEST", "enforce", version="1", cap=Cap(per_minute=100_000))
    await applied(pipeline, (await change(settings, puts(again))).serial)
    await pipeline.publish(sms([f"last-{n}" for n in range(50)], "这是你的东西", senders=50))
    last = [d for name, d in (await decided(pipeline, 2250)).items() if name.startswith("last")]
    assert {d.action for d in last} == {"challenge"}


async def test_going_back_gives_the_same_decisions_bit_by_bit(pipeline: Pipeline):
    await two(pipeline)
    settings = settings_of(pipeline)
    data = table([LISTED])
    first = await change(settings, feed("operator-b", data, 1))
    await applied(pipeline, first.serial)
    state = await read_state(settings)
    good = state.feeds["operator-b"].value

    def stripped(found: dict[str, Decision], name: str) -> list[bytes]:
        kept = sorted((d for each, d in found.items() if each.startswith(name)), key=lambda d: d.time)
        return [repr((d.time, d.subject, d.action, d.score, d.lists, d.rules, d.reasons)).encode() for d in kept]

    await pipeline.publish(sms([f"one-{n}" for n in range(80)]))
    before = stripped(await decided(pipeline, 80), "one")
    bad = await change(settings, feed("operator-b", table([f"+861390000{n:04d}" for n in range(40)]), 40))
    await applied(pipeline, bad.serial)
    await pipeline.publish(sms([f"two-{n}" for n in range(80)]))
    during = stripped(await decided(pipeline, 160), "two")
    back = await change(settings, puts(Put(LISTS.name, "feed/operator-b", good)))
    await applied(pipeline, back.serial)
    await pipeline.publish(sms([f"three-{n}" for n in range(80)]))
    after = stripped(await decided(pipeline, 240), "three")
    assert before == after != during


async def test_a_malformed_record_is_counted_and_dead_lettered_and_what_was_in_force_stays(pipeline: Pipeline):
    worker = await pipeline.start()
    settings = settings_of(pipeline)
    await worker.until("/ready", lambda body: json.loads(body)["ready"])
    good = await change(settings, puts(entry(LISTED)))
    await applied(pipeline, good.serial, workers=1)
    header = [("change", b'{"serial":2,"author":"x","action":"x","target":"x","reason":"x","time":%d}' % (1 << 50))]
    key = f"entry/block/{LISTED}".encode()
    lists, ruled = settings.named(LISTS).name, settings.named(RULES).name
    await publish(
        pipeline.bootstrap, lists, [(key, b"{", header), (key, b"\xff\x00", header), (b"\xff", b"{}", header)]
    )
    await publish(pipeline.bootstrap, lists, [(key, b"{}", ())])
    await publish(pipeline.bootstrap, ruled, [(b"pack", b'{"content":1}', header), (b"stage/X/1", None, ())])
    await worker.until(
        "/metrics", lambda text: 'lanjie_changes_refused_total{code="untrusted",topic="rules.v1"}' in text
    )
    dead = await read_all(pipeline.bootstrap, settings.named(dlq(LISTS)).name, until=4)
    dead += await read_all(pipeline.bootstrap, settings.named(dlq(RULES)).name, until=2)
    reasons = [dict(record.headers)["dlq.code"].decode() for record in dead]
    assert Counter(reasons) == {"malformed": 3, "untrusted": 2, "invalid_field": 1}
    await pipeline.publish(sms([f"e-{n}" for n in range(40)]))
    found = await decided(pipeline, 40)
    assert {d.subject for d in found.values() if d.action == "block"} == {LISTED}


@pytest.mark.parametrize("when", ["import", "swap"])
async def test_a_worker_killed_in_an_import_or_a_swap_comes_back_to_the_right_version(pipeline: Pipeline, when: str):
    settings = settings_of(pipeline)
    numbers = [LISTED, *(f"+86135{n:08d}" for n in range(400_000))]
    data = table(numbers)
    worker = await pipeline.start()
    await worker.until("/ready", lambda body: json.loads(body)["ready"])
    importing = asyncio.create_task(change(settings, feed("operator-b", data, len(numbers))))
    if when == "swap":
        await importing  # now it is on its topic, and the worker about to fetch, map and swap
    else:
        await asyncio.wait({importing}, timeout=0.4)
    assert await worker.end(signal.SIGKILL) == -signal.SIGKILL
    receipt = await importing
    again = await pipeline.start()
    await again.until("/ready", lambda body: json.loads(body)["ready"], timeout=60)
    metrics = await again.until("/metrics", lambda text: "lanjie_change_serial" in text)
    assert f"lanjie_change_serial {receipt.serial:.1f}" in metrics
    assert f'lanjie_feed_entries{{feed="operator-b"}} {len(numbers):.1f}' in metrics
    await pipeline.publish(sms([f"e-{n}" for n in range(40)]))
    found = await decided(pipeline, 40)
    assert {d.subject for d in found.values() if d.action == "block"} == {LISTED}


async def test_a_restart_goes_on_from_the_state_file(pipeline: Pipeline):
    settings = settings_of(pipeline)
    receipt = await change(settings, puts(entry(LISTED), stage("CAMPAIGN_HIT", "shadow")))
    for _ in range(2):
        worker = await pipeline.start()
        await worker.until("/ready", lambda body: json.loads(body)["ready"])
        metrics = await worker.until("/metrics", lambda text: "lanjie_change_serial" in text)
        assert f"lanjie_change_serial {receipt.serial:.1f}" in metrics
        assert await worker.end(signal.SIGTERM) == 0
    states = list(pipeline.folder.glob("updates-*state.json"))
    assert len(states) == 1
    states[0].write_bytes(b"{damaged")
    worker = await pipeline.start()
    await worker.until("/ready", lambda body: json.loads(body)["ready"])
    assert any("read from the start" in line for line in worker.log)


def lost(name: str, live: FeedRecord | None) -> Put:
    """A feed whose new content is on no topic."""
    gone = Content("0" * 64, 0, 1, 10, 1, "9", 0)
    return Put(LISTS.name, f"feed/{name}", FeedRecord(gone, "shadow", live=live.content if live else None))


async def test_content_that_is_not_there_delays_nobody_and_what_was_in_force_stays(pipeline: Pipeline):
    worker = await pipeline.start()
    await worker.until("/ready", lambda body: json.loads(body)["ready"])
    settings = settings_of(pipeline)
    await applied(pipeline, (await change(settings, feed("operator-b", table([LISTED]), 1))).serial, workers=1)
    good = (await read_state(settings)).feeds["operator-b"].value
    await change(settings, puts(lost("operator-b", good)))
    other = "+8613900000002"
    receipt = await change(settings, puts(entry(other)))
    metric = f"lanjie_change_serial {receipt.serial:.1f}"
    await worker.until("/metrics", lambda text: metric in text, timeout=5)
    await pipeline.publish(sms([f"e-{n}" for n in range(40)]))
    found = await decided(pipeline, 40)
    assert {d.subject for d in found.values() if d.action == "block"} == {LISTED, other}
    states = (await worker_states(settings)).values()
    assert all("parts are there" in state.refused for state in states)


async def test_a_worker_that_starts_with_content_missing_waits_and_sees_the_repair(pipeline: Pipeline):
    settings = settings_of(pipeline)
    await change(settings, puts(lost("operator-b", None)))
    worker = await pipeline.start()
    await worker.until("/ready", lambda body: "being loaded" in body)
    while not any("not ready: feed operator-b" in line for line in worker.log):
        await worker.get("/ready")
    await change(settings, puts(Put(LISTS.name, "feed/operator-b", None)))
    await worker.until("/ready", lambda body: json.loads(body)["ready"])


async def test_topics_that_cannot_be_read_change_nothing_and_stop_nobody(mock_kafka: str, tmp_path: Path):
    """The in-memory broker marks the end of a transaction with a batch whose checksum is wrong."""
    pipeline = Pipeline(mock_kafka, tmp_path)
    worker = await pipeline.start()
    try:
        await worker.until("/ready", lambda body: json.loads(body)["ready"], timeout=60)
        await change(settings_of(pipeline), puts(entry("+8613900000002")))
        while not any("what was in force stays" in line and "CorruptRecord" in line for line in worker.log):
            await worker.get("/ready")
        await pipeline.publish(sms([f"e-{n}" for n in range(40)]))
        assert len(await decided(pipeline, 40)) == 40
    finally:
        assert await worker.end(signal.SIGTERM) == 0
