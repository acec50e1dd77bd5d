"""The contenders on a real broker, small: who is compared with the worker must do its job."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.broker import started
from tests.benchmarks.contenders import CONTENDERS, Place
from tests.benchmarks.parts.latency import once
from tests.benchmarks.parts.throughput import run_once
from tests.benchmarks.schema import BARE, CONFLUENT, ECHO, EXACTLY_ONCE, FLOOR, WORKER, Run
from tests.benchmarks.workload import make_lists, rows_of, traffic

COUNT, RATE = 40_000, 8_000.0


@pytest.mark.kafka
@pytest.mark.timeout(600)  # half a minute alone; starting five processes takes long on a busy machine
async def test_who_has_the_same_engine_decides_the_same(tmp_path: Path) -> None:
    lists = make_lists(tmp_path, 1_000)
    rows = rows_of(traffic(COUNT, lists.listed))
    found: dict[str, Run] = {}
    with started(tmp_path / "kafka") as broker:
        for i, name in enumerate((WORKER, EXACTLY_ONCE, BARE, CONFLUENT)):
            place = Place(broker.bootstrap, f"t{i}.", tmp_path / str(i), lists)
            found[name] = await run_once(CONTENDERS[name], place, broker, rows)
        tails = [
            await once(CONTENDERS[name], Place(broker.bootstrap, f"{i}.", tmp_path / name, lists), rows, RATE)
            for i, name in enumerate((ECHO, FLOOR))
        ]
    assert all(run.actions == found[WORKER].actions for run in found.values())
    assert sum(found[WORKER].actions.values()) == COUNT
    assert found[WORKER].actions["allow"] < COUNT  # who is listed is not let through, so the lists were read
    assert all(run.rate > 0 and run.cpu_us > 0 for run in found.values())
    assert all(tail.events == COUNT - 2 * RATE for tail in tails)  # all but the warm-up
    assert all(0 < tail.p50 <= tail.p99 <= tail.most for tail in tails)
