"""A replay that was killed goes on where it rested, and gives what a whole one gives."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from detectors.model.events import CallEvent, SmsEvent
from stream.wire import encode_event

T0 = 1_790_000_000_000
REST = 2_000


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    """Some callers that go on for the whole log, many texts, and lines that are no events."""
    rng, path = random.Random(5), tmp_path_factory.mktemp("log") / "log.jsonl"
    with path.open("wb") as file:
        for n in range(40_000):
            common = {"id": f"r{n}", "time": T0 + n * 97, "a_number": f"1390000{rng.randrange(300):04d}"}
            b = f"1370000{rng.randrange(900):04d}"
            call = CallEvent(**common, b_number=b)
            text = SmsEvent(**common, b_number=b, text=f"您的积分{n}今日到期，请登录 http://a.example.com 兑换")
            file.write(encode_event(call if n % 5 else text) + b"\n")
            if n % 997 == 0:
                file.write(b"no event\n")
    return path


def command(log: Path, folder: Path, *more: str) -> list[str]:
    out = ["-o", str(folder / "out"), "--json", str(folder / "json")]
    return [sys.executable, "-m", "stream.cli", "replay", str(log), *out, *more]


def results(folder: Path) -> tuple[bytes, bytes, dict]:
    report = json.loads((folder / "json").read_bytes())
    for name in ("seconds", "events_per_second"):
        del report[name]
    return (folder / "out").read_bytes(), (folder / "out.rejects").read_bytes(), report


def run(args: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(args, capture_output=True, text=True, timeout=200, check=False)


@pytest.fixture(scope="module")
def whole(log, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    done = run(command(log, folder))
    assert done.returncode == 0, done.stderr
    return results(folder)


@pytest.mark.parametrize(("before", "after"), [("2", "2"), ("2", "1"), ("1", "3")])
def test_killed_and_called_again_it_gives_what_a_whole_run_gives(log, whole, tmp_path, before, after):
    resting = tmp_path / "resting"
    more = ["--resume", str(resting), "--rest-every", str(REST)]
    process = subprocess.Popen(command(log, tmp_path, *more, "--processes", before), stdout=subprocess.DEVNULL)
    while not (resting / "kept.json").exists():
        assert process.poll() is None, "it ended before it rested"
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = json.loads((resting / "kept.json").read_bytes())
    assert 0 < kept["position"] < 40_000
    again = run(command(log, tmp_path, *more, "--processes", after))
    assert again.returncode == 0, again.stderr
    assert results(tmp_path) == whole
    assert not resting.exists()


def test_another_replay_does_not_go_on_there(log, tmp_path):
    resting = tmp_path / "resting"
    more = ["--resume", str(resting), "--rest-every", str(REST)]
    process = subprocess.Popen(command(log, tmp_path, *more), stdout=subprocess.DEVNULL)
    while not (resting / "kept.json").exists():
        assert process.poll() is None
    process.kill()
    process.wait()
    other = run(command(log, tmp_path, *more, "--partitions", "7"))
    assert (other.returncode, other.stderr.count("\n")) == (1, 1)
    assert "of another replay (partitions)" in other.stderr
