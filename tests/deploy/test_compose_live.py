"""The compose file for real: containers of stand-in images, events in, decisions out, and what happens to it meanwhile.

Tests are in the order in which somebody would try it, and each leaves the stack as the next one expects it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from loadtest.sim.profile import load
from loadtest.sim.write import EVENTS, write
from stream.cli.loadtest_broker import on_loop, partitions_of
from stream.cli.loadtest_kafka import ends, read_back
from stream.clock import SystemClock
from stream.logs import LogReader
from stream.settings import Settings
from stream.topics import CALLS, CARDS, DECISIONS, INPUTS
from stream.wire import decode_event
from tests.deploy.engine import until
from tests.deploy.images import WORKER
from tests.deploy.stack import SERVICES, START, Stack, get

pytestmark = pytest.mark.timeout(1800)

CLOCK = SystemClock()
WORKERS = 3
PARTITIONS = 4
#: What should not be there and is: modules, programs.
LOOK = """
from importlib.util import find_spec
from shutil import which
print([name for name in ("pip", "setuptools", "wheel") if find_spec(name)], end=" ")
print([name for name in ("pip", "gcc", "cc", "make", "java", "curl") if which(name)])
"""


@pytest.fixture(scope="module")
def ids(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """Of the events that the load generator makes: the same profile gives the same bytes."""
    folder = tmp_path_factory.mktemp("log")
    write(load("smoke"), folder)
    return frozenset(decode_event(line.raw).id for line in LogReader([str(folder / EVENTS)]))


def all_decided(stack: Stack, ids: frozenset[str], send: Callable[[], None]) -> None:
    """Whatever ``send`` does: afterwards each event has one decision, and so has what was counted because of it; there
    is no dead letter, and nothing comes twice.
    """
    settings, since, before = settings_of(stack), ends_of(stack), on_inputs(stack)[0]
    begun = CLOCK.monotonic()
    send()
    found = on_loop(read_back(settings, since, ids, CLOCK))
    took = CLOCK.monotonic() - begun
    assert (len(ids - found.actions.keys()), found.dead, found.stalled) == (0, {}, False)
    until("all cards counted", 60, lambda: not on_inputs(stack)[1])
    taken = on_inputs(stack)[0] - before
    until(f"{taken} decisions", 60, lambda: written(stack, since) >= taken)
    assert (written(stack, since), found.duplicates) == (taken, 0)
    stack.notes.append(f"{len(ids):,} events sent, each decided once, none dead-lettered, within {took:.0f} s")
    stack.notes.append(f"counts of cards told meanwhile and decided: {taken - len(ids)}")


def on_inputs(stack: Stack) -> tuple[int, int]:
    """Records of all inputs, and how many of the cards' are not counted yet: with none left, no count is to come."""

    async def ask() -> tuple[int, int]:
        settings = settings_of(stack)
        options = settings.kafka.options() | {"group_id": f"{settings.group}-cards", "enable_auto_commit": False}
        async with AIOKafkaConsumer(**options) as consumer:
            partitions = [tp for topic in INPUTS for tp in await partitions_of(consumer, topic.name)]
            ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
            cards = [tp for tp in partitions if tp.topic == CARDS.name]
            return sum(ends.values()), sum([ends[tp] - (await consumer.committed(tp) or 0) for tp in cards])

    return on_loop(ask())


def settings_of(stack: Stack) -> Settings:
    """From outside of the containers."""
    return replace(Settings(), bootstrap=f"127.0.0.1:{stack.ports['KAFKA']}")


def ends_of(stack: Stack) -> dict[TopicPartition, int]:
    """Of decisions and dead letters."""
    return on_loop(ends(settings_of(stack)))


def written(stack: Stack, since: dict[TopicPartition, int]) -> int:
    """Decisions since then."""
    return sum(end - since[tp] for tp, end in ends_of(stack).items() if tp.topic == DECISIONS.name)


def test_they_start_when_what_they_need_is_there(stack: Stack) -> None:
    first: dict[tuple[str, str], float] = {}
    until(
        "prometheus healthy",
        START,
        lambda: any(e[1:] == ("prometheus", "health_status: healthy") for e in stack.events()),
    )
    for at, service, what in stack.events():
        first.setdefault((service, what), at)
    healthy = "health_status: healthy"
    order = [("kafka", "start"), ("kafka", healthy), ("topics", "start"), ("topics", "die 0"), ("worker", "start")]
    assert sorted(order, key=first.__getitem__) == order
    assert first["worker", "start"] < first["worker", healthy]
    assert first["topics", "die 0"] < first["cards", "start"] < first["cards", healthy]
    assert first["alertmanager", healthy] < first["prometheus", "start"] < first["prometheus", healthy]
    began = first["kafka", "start"]
    for step in (*order[1:], ("worker", healthy), ("cards", healthy)):
        stack.notes.append(f"{first[step] - began:5.1f} s after the start of kafka: {step[0]} {step[1]}")


@pytest.mark.parametrize("service", [service for service in SERVICES if service != "topics"])
def test_they_can_do_nothing_but_their_work(stack: Stack, service: str) -> None:
    (container,) = stack.containers(service)
    host = container["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["CapAdd"], host["Privileged"]) == (True, ["ALL"], None, False)
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Memory"] > 0
    bound = [port["HostIp"] for ports in (host["PortBindings"] or {}).values() for port in ports]
    assert set(bound) <= {"127.0.0.1"}
    inside = stack.docker.run("exec", container["Id"], "sh", "-c", "cat /proc/[0-9]*/status; grep ' / ' /proc/mounts")
    assert re.search(r" / overlay ro,", inside)
    for field, wanted in {"CapEff": {"0000000000000000"}, "CapBnd": {"0000000000000000"}, "NoNewPrivs": {"1"}}.items():
        assert set(re.findall(rf"^{field}:\s+(\w+)$", inside, re.M)) == wanted
    users = {user for line in re.findall(r"^Uid:(.*)$", inside, re.M) for user in line.split()}
    assert users
    assert "0" not in users
    stack.notes.append(f"{service}: user {', '.join(sorted(users))}, CapEff 0, root file system read-only")


def test_the_image_has_the_program_and_nothing_to_build_with(stack: Stack) -> None:
    (worker,) = stack.containers("worker")
    assert stack.docker.run("exec", worker["Id"], "python", "-c", LOOK).strip() == "[] []"
    size = int(stack.docker.run("image", "inspect", "--format", "{{.Size}}", WORKER))
    stack.notes.append(f"image: {size / 1e6:.0f} MB on a stand-in base")
    assert size < 600e6


def test_prometheus_asks_all_of_them_and_has_the_rules(stack: Stack) -> None:
    def asked() -> dict[str, str] | None:
        targets = get(f"{stack.prometheus}/api/v1/targets")["data"]["activeTargets"]
        found = {target["labels"]["job"]: target["health"] for target in targets}
        return found if found.get("lanjie") == "up" and set(found.values()) == {"up"} else None

    assert set(until("all targets up", 60, asked)) == {"lanjie", "lanjie-cards", "prometheus", "alertmanager"}
    until("what counts cards is no worker", 60, lambda: stack.query("lanjie:workers:up == 1"))
    rules = [rule for group in get(f"{stack.prometheus}/api/v1/rules")["data"]["groups"] for rule in group["rules"]]
    assert [rule["name"] for rule in rules if rule["health"] == "err"] == []
    assert {"LanjieWorkerDown", "LanjieCardsNotWatched"} <= {rule["name"] for rule in rules}
    stack.notes.append(f"targets up, {len(rules)} rules loaded")


def test_every_event_is_decided(stack: Stack, ids: frozenset[str]) -> None:
    all_decided(stack, ids, stack.loadgen)
    (worker,) = stack.healthy("worker")
    until("ready", 60, lambda: stack.query("lanjie_ready == 1"))
    assert worker["RestartCount"] == 0
    (cards,) = stack.healthy("cards")
    until("cards counted", 60, lambda: stack.query("lanjie_card_watch_ready == 1 and lanjie_card_counts_total > 0"))
    assert cards["RestartCount"] == 0


def test_a_worker_that_hangs_is_told_to_people(stack: Stack) -> None:
    (worker,) = stack.containers("worker")
    before = len(stack.told())
    stack.docker.run("pause", worker["Id"])
    begun = CLOCK.monotonic()
    try:

        def told() -> list[str]:
            messages = [each for each in stack.told()[before:] if each["path"] == "/page"]
            alerts = [alert for each in messages for alert in each["message"]["alerts"]]
            return [a["labels"]["instance"] for a in alerts if a["labels"]["alertname"] == "LanjieWorkerDown"]

        instances = until("LanjieWorkerDown at the receiver", 180, told)
    finally:
        stack.docker.run("unpause", worker["Id"])
    stack.notes.append(f"worker paused: LanjieWorkerDown at the webhook after {CLOCK.monotonic() - begun:.0f} s")
    assert instances[0].endswith(":9464")
    until("ready again", START, lambda: stack.query('up{job="lanjie"} == 1 and lanjie_ready == 1'))
    restarts = stack.containers("worker")[0]["RestartCount"]
    stack.notes.append(f"ready again {CLOCK.monotonic() - begun:.0f} s after the pause, restarts: {restarts}")


def test_more_workers_share_the_partitions(stack: Stack, ids: frozenset[str]) -> None:
    stack.up(workers=WORKERS)
    stack.healthy("worker", WORKERS)

    seen: dict[str, object] = {}

    def shared() -> dict[str, int] | None:
        series = stack.query(f'lanjie_consumer_lag_records{{topic="{CALLS.name}"}}')
        owners = {each["metric"]["partition"]: each["metric"]["instance"] for each in series}
        ready = stack.query("sum(lanjie_ready) == 3")
        seen.update(owners=owners, series=len(series), states=stack.query("lanjie_worker_state == 1"))
        counts = {owner: list(owners.values()).count(owner) for owner in owners.values()}
        return counts if ready and len(series) == len(owners) == PARTITIONS and len(counts) == WORKERS else None

    try:
        counts = until("each of 4 partitions at one of 3 workers", START, shared)
    except AssertionError as late:
        raise AssertionError(f"{late}\n{seen}\n{stack.logs('worker')}") from None
    stack.notes.append(f"3 workers have {sorted(counts.values())} partitions")
    all_decided(stack, ids, stack.loadgen)
    each = until("all of them counted", 60, lambda: decided(stack, len(ids)))
    assert len(each) == WORKERS
    stack.notes.append(f"decided by each since it started: {each}")


def decided(stack: Stack, total: int) -> list[int] | None:
    """By each worker that decided anything since its start, once Prometheus knows of so many together."""
    found = sorted(int(each["value"][1]) for each in stack.query("sum by (instance) (lanjie_decisions_total) > 0"))
    return found if sum(found) >= total else None


def test_stop_drains(stack: Stack, ids: frozenset[str]) -> None:
    """Stopped in the middle of the load, all exit 0; what they had not taken is decided by those who come after."""

    def send() -> None:
        since = ends_of(stack)
        stack.compose("run", "-d", "--no-deps", "loadgen")
        until("decisions of this load", 120, lambda: written(stack, since) > 1000)
        begun = CLOCK.monotonic()
        stack.compose("stop", "worker", "cards")
        took = CLOCK.monotonic() - begun
        states = [each["State"] for name in ("worker", "cards") for each in stack.containers(name)]
        ends_well = ("exited", 0, False)
        assert [(each["Status"], each["ExitCode"], each["OOMKilled"]) for each in states] == [ends_well] * (WORKERS + 1)
        so_far = written(stack, since)
        assert so_far < len(ids)
        stack.notes.append(
            f"3 workers and cards stopped within {took:.0f} s, exit codes 0, {so_far:,} events decided so far"
        )
        stack.up(workers=WORKERS)

    all_decided(stack, ids, send)
