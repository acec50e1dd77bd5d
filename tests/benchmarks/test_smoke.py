"""The gate itself: it must let noise pass, catch a slower worker, and refuse what it cannot compare with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks import __main__ as command
from tests.benchmarks import schema, smoke
from tests.benchmarks.schema import BARE, STOCK, WORKER, Floor, Machine, Results, ResultsError, Run, Workload
from tests.benchmarks.verdict import SMOKE_RATIOS, ratios


def run(cpu_us: float) -> Run:
    """A contender on a core of its own that it keeps busy."""
    return Run(events=1000, rate=1e6 / cpu_us, cpu_us=cpu_us, broker_us=5.0, actions={"allow": 1000})


def results(*, worker_us: float = 20.0, whole_us: float = 10.0) -> Results:
    """Three rounds of what `make bench-smoke` measures."""
    return Results(
        date="2026-11-26 03:00 UTC",
        seconds=60.0,
        rounds=3,
        commit="",
        machine=Machine("cpu", 2, 24.0, "Linux", 0.0, [0], [1], {}, {}),
        workload=Workload(1000, 10, 50, 5, 1000, 100, 0.01, 43.0, 4, 1.0),
        floor={kind: Floor([8.0, 9.0, 8.5], [whole_us] * 3) for kind in ("sms", "call", "mix")},
        peers={WORKER: [run(worker_us)] * 3, BARE: [run(18.0)] * 3, STOCK: [run(500.0)] * 3},
    )


def committed(folder: Path, found: Results) -> Path:
    schema.write(found, folder / "results.json")
    return folder / "results.json"


def test_equal_results_pass_and_are_measured_once(tmp_path: Path) -> None:
    file, measured = committed(tmp_path, results()), iter([results()])
    found = smoke.judge(ratios(schema.read(file)), lambda: next(measured))
    assert [each.name for each in found] == list(SMOKE_RATIOS)
    assert all(each.holds and each.measured == pytest.approx(each.committed) for each in found)


@pytest.mark.parametrize(
    ("slow", "broken"),
    [
        ({"worker_us": 20.0 / 0.79}, {"worker / bare, per CPU second", "worker / stock, per CPU second"}),
        ({"whole_us": 10.0 / 0.79}, {f"floor / engine, {kind}" for kind in ("sms", "call", "mix")}),
    ],
)
def test_what_is_slower_twice_fails(slow: dict[str, float], broken: set[str]) -> None:
    found = smoke.judge(ratios(results()), lambda: results(**slow))
    assert {each.name for each in found if not each.holds} == broken


def test_a_little_slower_passes() -> None:
    assert all(each.holds for each in smoke.judge(ratios(results()), lambda: results(worker_us=20.0 / 0.81)))


def test_a_bad_moment_is_measured_again() -> None:
    moments: Iterator[Results] = iter([results(worker_us=40.0), results()])
    found = smoke.judge(ratios(results()), lambda: next(moments))
    assert all(each.holds for each in found)
    assert next(moments, None) is None


def test_the_command_fails_on_a_doctored_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = committed(tmp_path, results())
    monkeypatch.setattr(smoke, "measure", lambda _: results())  # minutes on a real broker otherwise
    assert command.main(["smoke", "--against", str(file)]) == 0
    committed(tmp_path, results(worker_us=10.0))  # as if the worker had been twice as fast
    assert command.main(["smoke", "--against", str(file)]) == 1
    said = capsys.readouterr()
    assert said.out.count("FAR BELOW") == 2
    assert "slower than committed" in said.err


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "No such file"),
        (b"{}", "missing required field `date`"),
        (b"[", "expected the results of `make bench`"),
    ],
)
def test_unusable_results_are_told_in_one_line(
    tmp_path: Path, content: bytes | None, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.json"
    if content is not None:
        file.write_bytes(content)
    assert command.main(["smoke", "--against", str(file)]) == 1
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1


def test_results_without_the_ratios_are_refused_before_anything_is_measured(tmp_path: Path) -> None:
    found = results()
    found.peers = None
    with pytest.raises(ResultsError, match="worker / bare"):
        smoke.main(committed(tmp_path, found))
