"""Every query of every panel, asked of a real Prometheus that scrapes a real worker and what counts cards; and an alert
from a worker that is gone to whoever carries the pager.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner

from detectors.model.events import CardEvent
from detectors.rollout import Cap
from stream.cli import main
from stream.cli.kafka_local import free_port
from stream.clock import SystemClock
from stream.settings import Settings
from stream.topics import ALL, CALLS, LISTS, RULES
from stream.updates.publisher import Put, Store
from stream.updates.records import CheckRecord, FeedRecord
from stream.updates.state import State
from stream.wire import encode_event
from tests.deploy import monitoring as here
from tests.integration.test_live_changes import rules, sms
from tests.integration.test_reload import RULE
from tests.support.changes import change, entry, pack, puts, stage, table
from tests.support.topics import create_topics, publish
from tests.support.worker import Pipeline, Worker

WATCH = 'from stream.cli.cards import cards; cards(["watch"])'
SAMPLE = here.ROOT / "loadtest" / "samples" / "sample.jsonl.zst"
#: What of a query has no data, and why.
EMPTY = {
    "topic:lanjie_blocked:usual": "needs an hour of history",
    "lanjie_detector_failures_total": "would need a detector that fails",
    "changes(process_start_time_seconds": "no worker was started again at its address",
}
BARE = EMPTY | {"lanjie_memory_limit_bytes": "this worker runs in no container, or in one without a limit"}
#: Of the stack of containers, whose events are a simulated log and nothing else.
CALM = EMPTY | {
    "lanjie_feed_": "no feed was taken",
    "lanjie_change_": "nothing was changed",
    "lanjie_changes_refused_total": "nobody sent a change that could not be used",
    "lanjie_brake_trips_total": "no rule has a cap",
    "lanjie_degraded_decisions_total": "nothing failed and nothing waited",
    "lanjie_dead_letters_total": "all records can be used",
    "ALERTS": "nothing is wrong",
}


@asynccontextmanager
async def running(*command: object, ready: str) -> AsyncIterator[None]:
    """A server, from its first good answer until the end."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while not await _ready(session, ready):
                with contextlib.suppress(TimeoutError):
                    code = await asyncio.wait_for(process.wait(), 0.1)
                    pytest.fail(f"{command[0]} ended with {code}")
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ready(session: aiohttp.ClientSession, url: str) -> bool:
    with contextlib.suppress(aiohttp.ClientError):
        async with session.get(url) as answer:
            return answer.status == 200
    return False


@asynccontextmanager
async def prometheus(folder: Path, targets: Mapping[str, str], alertmanager: str = "127.0.0.1:9") -> AsyncIterator[str]:
    """With the shipped configuration, but for where things are, and each second.

    Args:
        targets: job -> whom it asks instead of whom it would find by name; nobody, if it is not here.
    """

    def instead(job: re.Match[str]) -> str:
        return f"{job[1]}    static_configs: [{{targets: {[targets[job[2]]] if job[2] in targets else []}}}]\n"

    port = free_port()
    text = (here.PROMETHEUS / "prometheus.yml").read_text("utf-8")
    text = re.sub(r"_interval: \S+", "_interval: 1s", text).replace("scrape_timeout: 4s", "scrape_timeout: 1s")
    text = re.sub(r"(  - job_name: (\S+).*\n)    dns_sd_configs:\n(?: {6,}.*\n)+", instead, text)
    text = text.replace("/etc/prometheus/rules", str(here.PROMETHEUS)).replace("alertmanager:9093", alertmanager)
    config = folder / "prometheus.yml"
    config.write_text(text.replace("localhost:9090", f"127.0.0.1:{port}"))
    url = f"http://127.0.0.1:{port}"
    command = [here.program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    async with running(*command, f"--web.listen-address=127.0.0.1:{port}", ready=f"{url}/-/ready"):
        yield url


async def answers(session: aiohttp.ClientSession, base: str, expr: str) -> bool:
    """Whether a query has at least one value that is a number."""
    async with session.get(f"{base}/api/v1/query", params={"query": expr}) as response:
        said: dict[str, Any] = await response.json()
    assert said["status"] == "success", f"{expr}: {said}"
    found = said["data"]["result"]
    values = [found[1]] if said["data"]["resultType"] == "scalar" else [series["value"][1] for series in found]
    return any(not math.isnan(float(value)) for value in values)


async def without_data(base: str, wanted: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The queries that return nothing."""
    async with aiohttp.ClientSession() as session:
        return [(where, expr) for where, expr in wanted if not await answers(session, base, expr)]


def still_owed(missing: list[tuple[str, str]], empty: Mapping[str, str]) -> list[str]:
    """What should have had data."""
    return [f"{where}: {expr}" for where, expr in missing if not any(name in expr for name in empty)]


async def all_answered(base: str, empty: Mapping[str, str], meanwhile: Callable[[], Awaitable[None]]) -> list[str]:
    """What is still owed after two minutes; ``meanwhile`` is done again before each time of asking."""
    missing = here.queries()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(120):
            while still_owed(missing, empty):
                await meanwhile()
                missing = await without_data(base, missing)
    return still_owed(missing, empty)


async def command(pipeline: Pipeline, *words: object) -> None:
    """``lanjie``, on the topics of this test."""
    environ = {"LANJIE_BOOTSTRAP": pipeline.bootstrap, "LANJIE_TOPIC_PREFIX": pipeline.prefix}
    done = await asyncio.to_thread(CliRunner().invoke, main, list(map(str, words)), env=environ)
    assert done.exit_code == 0, done.output


async def changes(pipeline: Pipeline) -> None:
    """A number listed, a feed on trial, a rule that runs away, a record that nobody can use."""
    now = SystemClock().wall_ms()
    settings = Settings(bootstrap=pipeline.bootstrap, topic_prefix=pipeline.prefix, group=pipeline.prefix + "group")

    async def feed(_: State, store: Store) -> list[Put]:
        content = await store.put(table(["13900000001", "13900000002"]), count=2, serial="1", made=now)
        held = FeedRecord(content, "canary", 0.05, cap=Cap(per_minute=1000), stale_after=3600)
        return [Put(LISTS.name, "feed/op-b", held), Put(LISTS.name, "check/op-b", CheckRecord(now))]

    await change(settings, puts(entry("13900000001")))
    await change(settings, feed)
    wrong = RULE.replace("紫色的大象", "你的").replace("大象来了", "").replace('"大象"', '"我的"')
    armed = stage("TEXT_OF_THIS_TEST", "enforce", version="1", cap=Cap(per_minute=5))
    await change(settings, pack(rules(wrong), armed))
    await publish(pipeline.bootstrap, pipeline.prefix + RULES.name, [(b"pack", b"{", ())])
    await publish(pipeline.bootstrap, pipeline.prefix + CALLS.name, [(b"1", b"not JSON", ())])


async def late(pipeline: Pipeline) -> None:
    """Events that have waited for two minutes: only number lists look at them."""
    at = SystemClock().wall_ms() - 120_000
    async with AIOKafkaProducer(bootstrap_servers=pipeline.bootstrap) as producer:
        for event in sms([f"late-{n}" for n in range(40)]):
            key = event.a_number.encode()
            await producer.send_and_wait(f"{pipeline.prefix}telecom.sms.v1", encode_event(event), key, timestamp_ms=at)


async def many_cards(pipeline: Pipeline) -> None:
    """Six cards of one identity, sold by one agent."""
    sold = {
        "time": SystemClock().wall_ms(),
        "phase": "sold",
        "identity_hash": "1f",
        "agent_id": "2f",
        "channel": "shop",
    }
    await pipeline.publish([CardEvent(id=f"card-{n}", a_number=f"1391111000{n}", **sold) for n in range(6)])


@pytest.fixture
async def processes(kafka: str, tmp_path: Path) -> AsyncIterator[tuple[Pipeline, Worker, Worker]]:
    """A worker and what counts cards, on topics of their own, ready."""
    made = Pipeline(kafka, tmp_path)
    await create_topics(kafka, {made.prefix + topic.name: topic.partitions for topic in ALL})
    try:
        started = await made.start(LANJIE_CHECKPOINT_SECONDS="1"), await made.start(WATCH)
        for each in started:
            await each.until("/ready", lambda body: '"ready":true' in body.replace(" ", ""), timeout=90)
        yield made, *started
    finally:
        for each in made.workers:
            if each.process.returncode is None:
                await each.end(signal.SIGKILL)


async def test_every_query_of_every_panel_returns_data(processes: tuple[Pipeline, Worker, Worker], tmp_path: Path):
    pipeline, worker, watch = processes
    jobs = {"lanjie": worker, "lanjie-cards": watch}
    targets = {job: (await process.url).removeprefix("http://") for job, process in jobs.items()}
    async with prometheus(tmp_path, targets) as base:
        async with asyncio.timeout(60):
            up = [("", f'up{{job="{job}",instance="{target}"}} == 1') for job, target in targets.items()]
            while await without_data(base, up):
                pass
        await command(pipeline, "publish", SAMPLE, "--speed", "max")
        await changes(pipeline)
        await late(pipeline)
        await many_cards(pipeline)

        async def traffic() -> None:
            await command(pipeline, "publish", SAMPLE, "--speed", "max")
            flood = sms([f"flood-{SystemClock().wall_ms()}-{n}" for n in range(100)], "这是你的东西", senders=50)
            await pipeline.publish(flood)

        owed = await all_answered(base, BARE, traffic)
    assert owed == [], "\n".join([*worker.log[-20:], *watch.log[-20:]])


async def test_every_query_of_every_panel_returns_data_from_the_containers(live_prometheus: str):
    async def wait() -> None:
        await asyncio.to_thread(threading.Event().wait, 1)

    assert await all_answered(live_prometheus, CALM, wait) == []


async def test_a_worker_that_is_gone_is_told_to_whoever_carries_the_pager(tmp_path: Path):
    told: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()

    async def hear(request: web.Request) -> web.Response:
        told.put_nowait((request.path, await request.json()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/{to}", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port, at = runner.addresses[0][1], free_port()
    config = tmp_path / "alertmanager.yml"
    shipped = here.ALERTMANAGER.read_text("utf-8")
    config.write_text(shipped.replace("http://alert-receiver:9095", f"http://127.0.0.1:{port}"))
    command = [here.program("alertmanager"), f"--config.file={config}", f"--storage.path={tmp_path / 'am'}"]
    command += ["--cluster.listen-address=", f"--web.listen-address=127.0.0.1:{at}"]
    try:
        async with (
            running(*command, ready=f"http://127.0.0.1:{at}/-/ready"),
            prometheus(tmp_path, {"lanjie": f"127.0.0.1:{free_port()}"}, f"127.0.0.1:{at}"),
            asyncio.timeout(120),
        ):
            path, said = await told.get()
    finally:
        await runner.cleanup()
    assert path == "/page"
    (alert,) = said["alerts"]
    assert (alert["status"], alert["labels"]["alertname"]) == ("firing", "LanjieWorkerDown")
    assert alert["annotations"]["runbook_url"] == "deploy/README.md#lanjieworkerdown"
