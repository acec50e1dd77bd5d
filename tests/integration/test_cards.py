"""`lanjie cards watch` as a process of its own, on a real broker: what it tells, what it keeps, how it ends."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from detectors.model.events import CardEvent, SmsEvent
from stream.cli.kafka_local import LocalKafka, free_port
from stream.topics import CARDS
from stream.wire import decode_decision, decode_event, encode_event
from tests.support.topics import create_topics, publish, read_all
from tests.support.worker import Pipeline, Worker

T0 = 1_790_000_000_000
WATCH = 'from stream.cli.cards import cards; cards(["watch"])'
#: Of one identity; Kafka's hash puts them into these of four partitions.
NUMBERS = ("13800000104", "13800000102", "13800000101", "13800000107", "13800000106", "13800000103")
PLACES = (0, 1, 2, 3, 0, 1)
CHANNELS = ("shop", "online", "campus")
SUSPICIOUS = "您的银行卡积分即将过期,点击 http://t.cn/abc 兑换"


def opened(n: int, identity: str = "i", number: str = "", agent: str | None = None) -> CardEvent:
    return CardEvent(
        id=f"{identity}-{n}", time=T0 + n * 1_000, a_number=number or NUMBERS[n], phase="sold",
        identity_hash=identity, agent_id=agent, channel=CHANNELS[n % 3],
    )  # fmt: skip


def sms(name: str, number: str) -> SmsEvent:
    return SmsEvent(id=name, time=T0 + 60_000, a_number=number, b_number="13911112222", text=SUSPICIOUS)


def counted(records: Iterable[ConsumerRecord]) -> list[CardEvent]:
    return [decode_event(each.value, CARDS.kind) for each in records if b'"counted"' in (each.value or b"")]


async def told(pipeline: Pipeline, count: int) -> list[CardEvent]:
    """All that is counted once there is so much; those of one partition in their order."""
    topic = pipeline.prefix + CARDS.name
    return counted(await read_all(pipeline.bootstrap, topic, until=lambda found: len(counted(found)) >= count))


def metric(text: str, name: str) -> float:
    found = re.search(rf"^lanjie_card_{name} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else -1


async def has_read(watch: Worker, records: int) -> str:
    return await watch.until("/metrics", lambda text: metric(text, "events_total") >= records)


async def ready(watch: Worker) -> None:
    assert json.loads(await watch.until("/ready", lambda body: json.loads(body)["ready"]))["reasons"] == []


async def ended(watch: Worker, within: float = 60) -> None:
    """By itself, as something is wrong."""
    try:
        code = await asyncio.wait_for(watch.process.wait(), within)
    except TimeoutError:
        pytest.fail(f"it still runs after {within:g} s:\n" + "\n".join(watch.log[-20:]))
    await watch._reader
    assert code == 1


def critical(watch: Worker) -> list[str]:
    return [line for line in watch.log if " CRITICAL " in line]


async def committed(pipeline: Pipeline, watch: Worker, records: int) -> None:
    """Wait until so many are behind the watch's offsets."""
    admin, group = AIOKafkaAdminClient(bootstrap_servers=pipeline.bootstrap), json.loads((await watch.get("/"))[1])
    await admin.start()
    offsets = {}
    try:
        async with asyncio.timeout(30):
            while sum(each.offset for each in offsets.values()) < records:
                offsets = await admin.list_consumer_group_offsets(group["group"])
    except TimeoutError:
        pytest.fail(f"{records} records are not committed: {offsets}\n" + "\n".join(watch.log[-20:]))
    finally:
        await admin.close()


async def test_six_cards_of_one_identity_are_known_in_the_partition_of_each(pipeline: Pipeline):
    worker, watch = await pipeline.start(), await pipeline.start(WATCH)
    events = [opened(n, agent="a") for n in range(6)]
    await pipeline.publish(events)
    # From the third on all cards are told of each one more, whichever comes when: 3 + 4 + 5 + 6.
    counts = await told(pipeline, 18)
    assert Counter(event.identity_cards for event in counts) == {3: 3, 4: 4, 5: 5, 6: 6}
    # Of one sales agent, from the fifth on: the same events say both.
    assert Counter(event.agent_cards for event in counts) == {None: 7, 5: 5, 6: 6}
    last = {event.id: event.a_number for event in counts if event.identity_cards == 6}
    assert sorted(last.values()) == sorted(NUMBERS)
    assert {event.identity_channels for event in counts if event.id in last} == {3}

    decided = [(each.partition, decode_decision(each.value)) for each in await pipeline.decisions(24)]
    assert len(decided) == 24
    found = {decision.event_id: (place, decision) for place, decision in decided}
    assert [found[event.id][0] for event in events] == list(PLACES)
    for name, number in last.items():
        place, decision = found[name]
        assert place == PLACES[NUMBERS.index(number)]
        assert {reason.code for reason in decision.reasons} == {"CARD_IDENTITY_MANY", "CARD_MANY_CHANNELS"}
        assert decision.action == "warn"

    await pipeline.publish([sms("of a card", NUMBERS[3]), sms("of another", "13800000199")])
    codes = {
        decision.event_id: {reason.code for reason in decision.reasons}
        for decision in (decode_decision(each.value) for each in await pipeline.decisions(26))
        if decision.kind == "sms"
    }
    assert codes["of a card"] - codes["of another"] == {"CARD_IDENTITY_MANY", "CARD_MANY_CHANNELS"}
    assert codes["of another"]
    assert [await each.end(signal.SIGTERM) for each in (worker, watch)] == [0, 0]


async def test_what_is_opened_while_it_is_dead_is_counted_on_from_what_was_before(pipeline: Pipeline):
    watch = await pipeline.start(WATCH)
    # Of four more identities the third card comes later, to each partition that of another one.
    await pipeline.publish(
        [opened(k, f"j{place}", NUMBERS[(place + k) % 4]) for place in range(4) for k in (1, 2)]
        + [opened(n) for n in range(3)]
    )
    before = await told(pipeline, 3)
    await committed(pipeline, watch, 8 + 3 + 3)
    assert await watch.end(signal.SIGKILL) == -signal.SIGKILL
    await pipeline.publish([opened(0, f"j{place}", NUMBERS[place]) for place in range(4)] + [opened(3), opened(4)])
    again = await pipeline.start(WATCH)
    counts = await told(pipeline, 3 + 4 + 5 + 4 * 3)
    last = await has_read(again, 8 + 5 + 4 + len(counts))
    assert metric(last, "counts_total") == 4 + 5 + 4 * 3, "what was told is told again"
    assert len({event.id for event in counts}) == len(counts) == 3 + 4 + 5 + 4 * 3
    assert {event.id for event in before} < {event.id for event in counts}
    # All cards of the identity were told of the third, the fourth and the fifth; those of the others of the third.
    assert Counter(event.identity_cards for event in counts) == {3: 3 + 4 * 3, 4: 4, 5: 5}
    assert {event.a_number for event in counts if event.identity_cards == 5} == set(NUMBERS[:5])
    assert await again.end(signal.SIGTERM) == 0


async def one_by_one(pipeline: Pipeline, *watches: Worker) -> list[CardEvent]:
    """Five cards of one identity, each once all that the one before caused is there."""
    counts: list[CardEvent] = []
    for n, due in enumerate((0, 0, 3, 3 + 4, 3 + 4 + 5)):
        await pipeline.publish([opened(n)])
        counts = await told(pipeline, due * len(watches))
        for watch in watches:
            await has_read(watch, n + 1 + due * len(watches))
    return counts


async def test_what_was_told_and_not_committed_is_told_again(pipeline: Pipeline):
    """Partitions are read side by side, so which cards are the first three may be others then; in the end all five know
    the same, by the same events.
    """
    watch = await pipeline.start(WATCH)
    before = await one_by_one(pipeline, watch)
    await committed(pipeline, watch, 5 + 12)
    group = json.loads((await watch.get("/"))[1])["group"]
    assert await watch.end(signal.SIGKILL) == -signal.SIGKILL
    partitions = [TopicPartition(pipeline.prefix + CARDS.name, place) for place in range(4)]
    async with AIOKafkaConsumer(bootstrap_servers=pipeline.bootstrap, group_id=group) as consumer:
        consumer.assign(partitions)
        await consumer.commit(dict.fromkeys(partitions, 0))  # as if it had come to none
    again = await pipeline.start(WATCH)
    counts = await told(pipeline, 2 * 12)
    assert Counter(event.identity_cards for event in counts) == {3: 2 * 3, 4: 2 * 4, 5: 2 * 5}
    last = [event.id for event in before if event.identity_cards == 5]
    assert Counter(event.id for event in counts if event.identity_cards == 5) == dict.fromkeys(last, 2)
    assert metric(await has_read(again, 5 + 2 * 12), "counts_total") == 12
    assert await again.end(signal.SIGTERM) == 0


async def test_two_at_once_tell_what_one_tells(pipeline: Pipeline):
    watches = [await pipeline.start(WATCH), await pipeline.start(WATCH)]
    for watch in watches:
        await ready(watch)
    counts = await one_by_one(pipeline, *watches)
    assert sorted(Counter(event.id for event in counts).values()) == [2] * 12
    assert {(event.a_number, event.identity_cards, event.identity_channels) for event in counts} == {
        (NUMBERS[n], cards, 3) for cards in (3, 4, 5) for n in range(cards)
    }
    assert [await each.end(signal.SIGTERM) for each in watches] == [0, 0]


async def test_what_it_says_of_itself(pipeline: Pipeline):
    """Also that what is no card event stops nothing."""
    topic = pipeline.prefix + CARDS.name
    bad = (b"no card", encode_event(sms("s", NUMBERS[0])), None)
    await publish(pipeline.bootstrap, topic, [(b"k%d" % n, value, ()) for n, value in enumerate(bad)])
    watch = await pipeline.start(WATCH)
    await pipeline.publish([opened(n, agent="a") for n in range(3)])
    assert len(await told(pipeline, 3)) == 3
    text = await has_read(watch, 3 + 3 + 3)
    await ready(watch)
    text = await watch.until(
        "/metrics", lambda text: metric(text, "watch_ready") == 1 and metric(text, "lag_records") == 0
    )
    values = {name: metric(text, name) for name in ("events_total", "events_unusable_total", "counts_total")}
    assert values == {"events_total": 9, "events_unusable_total": 3, "counts_total": 3}
    assert (metric(text, "identities"), metric(text, "agents")) == (1, 1)
    assert (await watch.get("/ready"))[0] == 200
    assert (await watch.get("/healthy"))[0] == 200
    state = json.loads((pipeline.folder / f"cards-{watch.process.pid}.json").read_text())
    assert state["url"] == await watch.url
    assert await watch.end(signal.SIGTERM) == 0
    assert not list(pipeline.folder.glob("cards-*.json"))
    assert not [line for line in watch.log if NUMBERS[0] in line or "Traceback" in line]


async def test_a_topic_that_is_made_anew_ends_it_and_the_next_one_begins_anew(pipeline: Pipeline):
    """Else what comes would be taken for told up to the old offsets."""
    topic = pipeline.prefix + CARDS.name
    watch = await pipeline.start(WATCH)
    await pipeline.publish([opened(n) for n in range(3)])
    await told(pipeline, 3)
    await committed(pipeline, watch, 3 + 3)
    admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.bootstrap)
    await admin.start()
    await admin.delete_topics([topic])
    async with asyncio.timeout(30):
        while topic in await admin.list_topics():
            pass  # each turn is a round trip to the broker
    await admin.close()
    await create_topics(pipeline.bootstrap, {topic: CARDS.partitions})
    await ended(watch)
    assert ["made anew" in line and "a restart reads what is there" in line for line in critical(watch)] == [True]

    await pipeline.publish([opened(3), opened(4), opened(5)])
    again = await pipeline.start(WATCH)
    counts = await told(pipeline, 3)
    assert {(event.a_number, event.identity_cards) for event in counts} == {(number, 3) for number in NUMBERS[3:]}
    assert await again.end(signal.SIGTERM) == 0


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Takes connections and says nothing."""
    held = []
    server = await asyncio.start_server(lambda *ends: held.append(ends), "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for _, writer in held:
            writer.close()
        server.close()


async def test_it_is_not_ready_before_kafka_answers_and_stops_meanwhile(pipeline: Pipeline):
    async with silent() as address:
        watch = await pipeline.start(WATCH, LANJIE_BOOTSTRAP=address)
        async with asyncio.timeout(30):
            status, body = await watch.get("/ready")
        assert (status, json.loads(body)["reasons"]) == (503, ["Kafka has not answered yet"])
        assert metric((await watch.get("/metrics"))[1], "lag_records") == 0
        assert await watch.end(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"LANJIE_TOPIC_PREFIX": "nobodys."}, "no such topic; `lanjie topics create` makes those of the pipeline"),
        ({"LANJIE_BOOTSTRAP": "127.0.0.1:1"}, "no Kafka there; start one with 'lanjie dev kafka up' or name another"),
    ],
)
async def test_where_it_cannot_work_it_says_what_to_do(pipeline: Pipeline, environ: dict[str, str], says: str):
    watch = await pipeline.start(WATCH, **environ)
    await ended(watch)
    assert [says in line for line in critical(watch)] == [True]
    assert "Traceback" not in "".join(watch.log)
    assert not list(pipeline.folder.glob("cards-*.json"))


async def test_it_outlives_its_broker_and_stops_without_one(tmp_path: Path):
    broker = LocalKafka(tmp_path / "kafka", free_port(), die_with_parent=True)
    pipeline = Pipeline(await asyncio.to_thread(broker.up), tmp_path)
    try:
        await create_topics(pipeline.bootstrap, {pipeline.prefix + CARDS.name: CARDS.partitions})
        watch = await pipeline.start(WATCH)
        await pipeline.publish([opened(n) for n in range(3)])
        await told(pipeline, 3)
        await asyncio.to_thread(broker.down)
        await asyncio.to_thread(broker.up)
        await pipeline.publish([opened(3)])
        counts = await told(pipeline, 3 + 4)
        assert Counter(event.identity_cards for event in counts) == {3: 3, 4: 4}
        await has_read(watch, 4 + 7)
        await asyncio.to_thread(broker.down)
        assert await watch.end(signal.SIGTERM) == 0, "\n".join(watch.log[-20:])
        assert not critical(watch)
    finally:
        await asyncio.to_thread(broker.down)
        for each in pipeline.workers:
            if each.process.returncode is None:
                await each.end(signal.SIGKILL)
