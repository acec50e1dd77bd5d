"""A minute of faults under load, and twenty thousand damaged records: see tests/chaos/README.md."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from detectors.engine import Engine, Snapshot
from stream.cli.broker_process import KafkaFailed, KafkaUnavailable
from stream.settings import Settings
from stream.topics import INPUTS
from stream.wire import decode_event, encode_decision
from tests.chaos import mutate
from tests.chaos.faults import SHORT
from tests.chaos.readback import ChunkHeader, Partition, Row
from tests.chaos.run import MODES, Plan, run
from tests.chaos.traffic import PROTECTED, Traffic, write_lists
from tests.chaos.verify import examine, snapshot_of
from tests.support.tcp_proxy import TcpProxy


@pytest.fixture
def quiet() -> Iterator[None]:
    """aiokafka logs every refused connection, thousands of them."""
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@pytest.mark.kafka
@pytest.mark.timeout(200)
@pytest.mark.parametrize("delivery", MODES[:1])
async def test_faults_under_load_lose_nothing_and_change_nothing(delivery: str, tmp_path: Path, quiet: None):
    told: list[str] = []
    try:
        result = await run(Plan(60, SHORT, rate=800, seed=1, delivery=delivery), tmp_path, told.append)
    except KafkaFailed:
        raise
    except KafkaUnavailable as missing:
        pytest.fail(f"{missing}\nWithout it: make test ARGS='-m \"not kafka\"'", pytrace=False)
    failed = [f"{check.name}: {check.found}\n  " + "\n  ".join(check.shown) for check in result.checks if not check.ok]
    assert not failed, "\n".join([*told, *failed, f"logs: {tmp_path / 'workers'}"])
    assert len(result.faults) == sum(SHORT.values())
    assert result.outcome.counts["compared"] > 30_000


@pytest.mark.kafka
@pytest.mark.timeout(200)
async def test_no_damaged_record_stops_a_worker_or_is_lost(tmp_path: Path, quiet: None):
    told = await mutate.run(20_000, 3, tmp_path)
    assert not told.findings
    assert told.counts["records"] > 19_900
    assert told.counts["decisions"] > 4_000
    assert told.counts["dead letters"] > 8_000


async def test_the_proxy_cuts_holds_back_and_slows_down():
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = TcpProxy(server.sockets[0].getsockname()[1])
    port = await proxy.start()
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"plain")
    assert await reader.readexactly(5) == b"plain"
    async with proxy.blackhole():
        writer.write(b"later")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
    assert await reader.readexactly(5) == b"later"
    async with proxy.slow(0.1, 1_000):
        started = loop.time()
        writer.write(b"x" * 100)
        await reader.readexactly(100)
        assert loop.time() - started >= 0.4  # twice 0.1 s, and 100 bytes at 1,000 a second twice
    async with proxy.refusing():
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        again, _ = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await again.readexactly(1)
    writer.close()
    await proxy.stop()
    server.close()


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """As the workers of a run have it."""
    lists = tmp_path_factory.mktemp("chaos") / "lists.csv"
    write_lists(lists)
    return snapshot_of(lists)


@pytest.fixture
def partition(snapshot: Snapshot) -> Partition:
    """Partition 0 as a faultless worker leaves it."""
    traffic, found = Traffic(5), Partition(0, {topic.kind: [] for topic in INPUTS})
    events = []
    for n in range(3_000):
        item = traffic.item(n, 1_790_000_000_000 + n)
        name, offset = item.topic.name, len(found.inputs[item.topic.kind])
        record = SimpleNamespace(topic=name, partition=0, offset=offset, value=item.value, headers=item.headers)
        found.inputs[item.topic.kind].append(record)
        if item.headers:
            about = {"dlq.topic": name.encode(), "dlq.partition": b"0", "dlq.offset": b"%d" % offset, "dlq.code": b"x"}
            found.letters.append(SimpleNamespace(value=item.value, headers=list(about.items())))
        else:
            events.append(decode_event(item.value, item.topic.kind))
    found.rows = [Row(each.event_id, encode_decision(each), None) for each in Engine(snapshot).decide(events)]
    return found


def lose(found: Partition) -> None:
    del found.rows[700]


def lose_letter(found: Partition) -> None:
    del found.letters[3]


def repeat(found: Partition) -> None:
    found.rows.append(found.rows[40])


def repeat_otherwise(found: Partition) -> None:
    row = found.rows[40]
    found.rows.append(Row(row.id, row.value.replace(b'"score":', b'"score":1'), None))


def swap(found: Partition) -> None:
    found.rows[10:1_500] = found.rows[10:1_500][::-1]


def forget(found: Partition) -> None:
    """As a worker that begins in the middle with nothing counted: a caller in a burst is like any other."""
    burst = next(row for row in found.rows if b"CALL_BURST" in row.value)
    plain = next(row for row in found.rows if b'"allow"' in row.value and b"reasons" not in row.value)
    burst.value = plain.value.replace(plain.id.encode(), burst.id.encode())


def block_protected(found: Partition) -> None:
    calls = [decode_event(record.value, "call") for record in found.inputs["call"] if not record.headers]
    ids = {event.id for event in calls if event.b_number in PROTECTED}
    row = next(row for row in found.rows if row.id in ids)
    row.value = row.value.replace(b'"allow"', b'"block"')


def misname_a_chunk(found: Partition) -> None:
    """Its records are not those that it names."""
    found.rows[0].chunk = ChunkHeader("lanjie", INPUTS[0].name, 2_000, 5_999, 4_000)


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (lambda _: None, set()),
        (lose, {"lost"}),
        (lose_letter, {"lost"}),
        (repeat, {"events repeated"}),
        (repeat_otherwise, {"events repeated", "repeated otherwise"}),
        (swap, {"out of order", "different"}),
        (forget, {"different"}),
        (block_protected, {"different", "protected touched"}),
        (misname_a_chunk, {"chunks broken"}),
    ],
)
def test_the_checks_find_what_is_planted_and_nothing_else(
    plant: Callable[[Partition], None], found: set[str], partition: Partition, snapshot: Snapshot
):
    plant(partition)
    counts = examine(partition, Settings(), snapshot).counts
    good = {"inputs", "events", "malformed", "decisions", "dead letters", "compared", "protected"}
    by_the_way = {"chunks", "chunks cut off", "decisions repeated"}
    assert {what for what, count in counts.items() if count} - good - by_the_way == found
    assert counts["inputs"] == 3_000
