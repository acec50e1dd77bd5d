"""What RESULTS.md says is what results.json holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.benchmarks import render, schema
from tests.benchmarks.broker import Decided
from tests.benchmarks.growth import pack_of, table_of
from tests.benchmarks.parts import latency, throughput
from tests.benchmarks.schema import (
    BARE,
    ECHO,
    STOCK,
    WORKER,
    Curve,
    Floor,
    Latency,
    Machine,
    Memory,
    Point,
    Replayed,
    Results,
    Run,
    Scaling,
    Tail,
    Workload,
)  # fmt: skip
from tests.benchmarks.verdict import findings, growth
from tests.benchmarks.workload import rows_of, traffic


def run(rate: float) -> Run:
    return Run(events=1000, rate=rate, cpu_us=1e6 / rate, broker_us=5.0, actions={"allow": 990, "block": 10})


def tail(p99: float) -> Tail:
    return Tail(events=1000, p50=2.0, p99=p99, p999=2 * p99, most=3 * p99, late=0.5, cpu=0.6)


def results(*, worker: float = 30_000.0, p99: float = 6.0) -> Results:
    """A whole run, three rounds; every bar is met unless arguments say otherwise."""
    return Results(
        date="2026-11-26 03:00 UTC",
        seconds=600.0,
        rounds=3,
        commit="abc1234",
        machine=Machine("cpu", 2, 24.0, "Linux", 0.1, [0], [1], {"L2": "1024K"}, {"Python": "3.11.7"}),
        workload=Workload(2_240_000, 1000, 50_690, 112, 1000, 20_000, 0.01, 43.0, 4, 14.0),
        peers={
            WORKER: [run(worker + i) for i in range(3)],
            BARE: [run(32_000.0)] * 3,
            STOCK: [run(1_000.0)] * 3,
        },
        floor={kind: Floor([8.0, 9.0, 8.5], [10.0] * 3, {"decode": [1.0] * 3}) for kind in ("sms", "call", "mix")},
        latency=Latency(
            30_000.0,
            0.6,
            18_000.0,
            5.0,
            {name: [tail(ms)] * 3 for name, ms in ((WORKER, p99), (ECHO, 5.0), (BARE, 8.0))},
        ),
        growth={
            "lists": Curve("Numbers", "numbers", "us", [Point(10, [5.0] * 3), Point(1000, [5.5] * 3)]),
            "callers": Curve(
                "Callers", "callers", "us", [Point(10, [5.0] * 3, [0.1] * 3), Point(1000, [7.0] * 3, [1.1] * 3)]
            ),
        },
        scaling=[Scaling(count, 20_000.0 + 8_000 * count, 1.0, 0.5, 30.0, 10.0) for count in (1, 2)],
        memory=Memory(
            1_000_000,
            {"rss": 200.0, "pss": 180.0, "uss": 170.0},
            {"rss": 500.0, "pss": 480.0, "uss": 470.0},
            {"rss": 22.0, "pss": 11.0},
            [4.0, 4.5],
        ),
        replay=[
            Replayed(job, n, 1000, [n * rate] * 3)
            for job, rate in (("read", 4e5), ("floor", 2e5), ("replay", 1.3e5))
            for n in (1, 2)
        ],
    )


def test_a_file_holds_all_of_it(tmp_path: Path) -> None:
    schema.write(results(), tmp_path / "results.json")
    assert schema.read(tmp_path / "results.json") == results()


def test_the_report_shows_the_medians_and_every_bar(tmp_path: Path) -> None:
    render.render(results(), tmp_path)
    said = (tmp_path / "RESULTS.md").read_text()
    assert "30,001 (30,000-30,002)" in said
    assert "| worker / bare: at least 0.9 | 0.94 (0.94-0.94) | met |" in said
    assert "over that of bare aiokafka with the same engine: 0.75 (0.75-0.75)" in said
    assert "| `lanjie replay` | 130,000 (130,000-130,000) | 260,000 (260,000-260,000) |" in said
    assert "315 bytes a caller" in said  # 300 MiB over a million
    assert len(findings(results())) == 11
    assert "not met" not in said
    for name in re.findall(r"\((plots/.*?)\)", said):
        assert (tmp_path / name).read_text().startswith("<?xml")
    assert set(re.findall(r"plots/(\w+)\.svg", said)) == {"lists", "callers"}


def test_what_misses_its_bar_is_called_so() -> None:
    missed = {each.requirement for each in findings(results(worker=19_000.0, p99=30.0)) if not each.met}
    assert missed == {
        "worker / bare: at least 0.9",
        "worker / stock: at least 20",
        "p99 at 60% of capacity at most 1.5x an echo's",
        "p99.9 within 50 ms",
    }


def test_parts_that_were_not_run_are_named(tmp_path: Path) -> None:
    found = results()
    found.latency = found.growth = found.memory = found.replay = None
    render.render(found, tmp_path)
    said = (tmp_path / "RESULTS.md").read_text()
    assert said.count("Not measured in this run.") == 4
    assert not list((tmp_path / "plots").iterdir())


def test_growth_without_what_memory_costs() -> None:
    curve = (results().growth or {})["callers"]
    assert growth(curve) == pytest.approx([1.0, 1.4])
    assert growth(curve, less_memory=True) == pytest.approx([1.0, 1.2])


def test_the_rate_is_that_after_the_warm_up() -> None:
    slow, fast = [Decided(100 * i, "", "") for i in range(25)], [Decided(2500 + i, "", "") for i in range(75)]
    assert throughput.rate_of(slow + fast) == pytest.approx(75 / 74 * 1000)


def test_latency_runs_from_the_schedule() -> None:
    count, rate = 400, 100.0  # the first 200 are warm-up
    stamps = [1000 + 10 * i for i in range(count)]
    answers = [Decided(stamps[i] + (500 if i < 200 else 7), f"b{i}", "allow") for i in range(count)]
    found = latency.tail_of(answers, stamps, rate, late=0.0, cpu=0.1)
    assert (found.events, found.p50, found.p999, found.most) == (200, 7.5, 7.5, 7.5)


@pytest.mark.parametrize("ids", [["b0", "b1"], ["b0", "b1", "b1"], ["b0", "b1", "b2", "b2"]])
def test_who_leaves_out_or_repeats_is_not_measured(ids: list[str]) -> None:
    with pytest.raises(RuntimeError, match="expected 3 of each"):
        throughput.check("x", [Decided(0, each, "allow") for each in ids], 3)


def test_the_workload_alternates_and_a_caller_stays_in_one_partition() -> None:
    rows = rows_of(traffic(400, [15000000001]))
    assert [row.where[0] for row in rows[:2]] == ["telecom.sms.v1", "telecom.calls.v1"]
    for key in {row.key for row in rows}:
        assert len({row.where[1] for row in rows if row.key == key}) == 1


def test_made_tables_and_packs_hold_what_they_say() -> None:
    table = table_of(1000)
    assert len(table) == 1000
    assert all(any(table.matches(entry.number)) for entry in table.entries())
    assert {len(entry.number) for entry in table.entries()} == {14}
    terms = {term for rule in pack_of(2_000).text for group in rule.all for term in group}
    assert len(terms) == 2_000
