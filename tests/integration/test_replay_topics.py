"""Live = replay: what a worker decided on Kafka and what `lanjie replay` decides of the same, compared one by one."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import pytest

from detectors.model.events import CallEvent, CardEvent, Event, SmsEvent
from loadtest import sample
from stream.logs import LogReader
from stream.settings import Settings
from stream.topics import CALLS
from stream.updates.asof import history
from stream.wire import decode_decision, decode_event, encode_event
from tests.support.changes import change, entry, puts
from tests.support.topics import publish
from tests.support.worker import BLOCKED, Pipeline

T0 = 1_790_000_000_000
TEXTS = [
    "您的工行账户积分今日到期，请登录 http://a.example.com 兑换现金，逾期清零",
    "【建设银行】您的电子密码器将于今日失效，请尽快登录 http://b.example.com 更新",
    "晚上七点老地方见",
    "到家了吗",
]


def mixed(count: int) -> list[Event]:
    """All kinds, few people: what one does in a call counts for what is decided about an SMS."""
    rng = random.Random(3)
    made: list[Event] = []
    for n in range(count):
        a, b = f"+861390000{rng.randrange(40):04d}", f"+861370000{rng.randrange(60):04d}"
        common = {"id": f"m{n}", "time": T0 + n * 211, "a_number": BLOCKED if rng.random() < 0.03 else a}
        match rng.randrange(6):
            case 0:
                made.append(CardEvent(**common, phase=rng.choice(["woke", "roamed", "activated"])))
            case 1 | 2:
                made.append(SmsEvent(**common, b_number=b, text=rng.choice(TEXTS)))
            case _:
                made.append(CallEvent(**common, b_number=b))
    return made


async def live(pipeline: Pipeline, total: int) -> dict[str, bytes]:
    """The decisions of the workers, without what a replay leaves out."""
    records = await pipeline.decisions(total)
    found = {decode_decision(r.value).event_id: re.sub(rb',"latency_us":\d+', b"", r.value) for r in records}
    assert len(found) == len(records) == total
    return found


async def replay(pipeline: Pipeline, *args: str) -> dict[str, bytes]:
    """By the command, in a process of its own: decisions by event."""
    out = pipeline.folder / "replayed"
    lists = str(pipeline.folder / "lists.csv")
    command = [sys.executable, "-m", "stream.cli", "replay", *args, "-o", str(out), "--lists", lists]
    where = ["--bootstrap", pipeline.bootstrap, "--topic-prefix", pipeline.prefix, "--group", pipeline.prefix + "group"]
    process = await asyncio.create_subprocess_exec(
        *command, *where, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    lines = out.read_bytes().splitlines()
    found = {json.loads(line)["event_id"]: line for line in lines}
    assert len(found) == len(lines)
    return found


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
async def test_the_topics_replayed_give_what_was_decided_live(pipeline: Pipeline, delivery: str):
    """Two workers, records that are no events, and between calls, SMS and cards the order that came about."""
    events = mixed(3_000)
    workers = [await pipeline.start(LANJIE_DELIVERY=delivery) for _ in range(2)]
    for worker in workers:
        await worker.until("/", lambda body: len(json.loads(body)["partitions"]) == 6, timeout=60)
    for start in range(0, len(events), 600):
        await pipeline.publish(events[start : start + 600])
        await publish(pipeline.bootstrap, pipeline.prefix + CALLS.name, [(b"x", b"no event\n", ()), (b"y", None, ())])
    decided = await live(pipeline, len(events))
    assert len({json.loads(value)["action"] for value in decided.values()}) >= 4
    replayed = await replay(pipeline, "--from", "2020-01-01")
    assert replayed == decided
    assert (pipeline.folder / "replayed.rejects").read_bytes() == b"no event \n" * 5


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_a_log_through_kafka_and_through_replay_gives_the_same(pipeline: Pipeline, processes: str):
    """Each run of events of one kind is decided before the next comes, so the worker sees the order of the log."""
    events = sorted(mixed(400) + shipped(800), key=lambda event: (event.time, event.id))
    log = pipeline.folder / "log.jsonl"
    log.write_bytes(b"\n".join(map(encode_event, events)))
    await pipeline.start()
    done = 0
    for _, run in groupby(events, key=type):
        await pipeline.publish(some := list(run))
        done += len(some)
        if done < len(events):
            await pipeline.decisions(done)
    assert await replay(pipeline, str(log), "--processes", processes) == await live(pipeline, len(events))


def shipped(count: int) -> list[Event]:
    """Of the shipped sample, in longer runs of one kind than it has; keyed as the pipeline's test records are."""
    lines = LogReader([str(sample.FOLDER / "sample.jsonl.zst")])
    events = [decode_event(line.raw) for line, _ in zip(lines, range(count), strict=False)]
    return sorted((e for e in events if e.a_e164 is None), key=lambda event: type(event).__name__)


async def test_by_lists_as_they_were_at_each_event_and_at_one_moment(pipeline: Pipeline, tmp_path: Path):
    settings = Settings(
        bootstrap=pipeline.bootstrap,
        topic_prefix=pipeline.prefix,
        group=pipeline.prefix + "group",
        data_dir=tmp_path / "cli",
    )
    caller = "+8613900000777"
    await change(settings, puts(entry(caller)))
    await change(settings, puts(entry("+8613900000778")))
    first, second = sorted({link.timestamp for link in await history(settings)})
    times = [first - 1, first, second - 1, second, second + 5]
    log = pipeline.folder / "log.jsonl"
    events = [
        SmsEvent(id=f"{n}-{a[-3:]}", time=time, a_number=a, b_number="+8613700000001", text="好")
        for n, time in enumerate(times)
        for a in (caller, "+8613900000778")
    ]
    log.write_bytes(b"\n".join(map(encode_event, events)))

    def blocked(found: dict[str, bytes]) -> set[str]:
        return {name for name, line in found.items() if b'"action":"block"' in line}

    of_caller = {f"{n}-777" for n, time in enumerate(times) if time >= first}
    of_other = {f"{n}-778" for n, time in enumerate(times) if time >= second}
    summaries = []
    for processes in ("1", "2"):
        summary = tmp_path / processes
        found = await replay(pipeline, str(log), "--as-it-was", "--processes", processes, "--json", str(summary))
        assert blocked(found) == of_caller | of_other
        report = json.loads(summary.read_bytes())
        summaries.append({name: report[name] for name in ("digest", "by_action", "lists", "rules")})
    assert summaries[0] == summaries[1]
    assert blocked(await replay(pipeline, str(log))) == set()
    moment = datetime.fromtimestamp(first / 1000, UTC).isoformat()
    assert blocked(await replay(pipeline, str(log), "--as-of", moment)) == {
        e.id for e in events if e.a_number == caller
    }
    assert blocked(await replay(pipeline, str(log), "--as-of", "2099-01-01")) == {event.id for event in events}
