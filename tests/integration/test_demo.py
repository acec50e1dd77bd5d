"""`lanjie demo` as a user runs it: on a real Kafka, and on the in-memory one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

FIELDS = {
    "published", "decided", "dead_lettered", "lost", "duplicates", "events_per_second", "latency_ms", "by_action",
    "by_reason", "precision", "recall", "by_source", "broker", "lists", "rules", "machine",
}  # fmt: skip
EVENTS, POISON = 3000, 25


def run_demo(tmp_path, bootstrap, **environ):
    command = [sys.executable, "-m", "stream.cli", "demo", "--limit", str(EVENTS), "--bootstrap", bootstrap]
    env = os.environ | {"LANJIE_DATA_DIR": str(tmp_path / "data"), **environ}
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "demo.json")],
        env=env,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    log = tmp_path / "data" / "worker.log"
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{log.read_text() if log.exists() else ''}"
    return json.loads((tmp_path / "demo.json").read_bytes()), done.stdout


def check(report, out):
    assert report.keys() >= FIELDS
    assert report["lost"] == 0
    assert report["duplicates"] == 0
    assert report["dead_lettered"] == POISON
    assert report["published"] == report["decided"] + POISON == EVENTS + POISON
    assert sum(report["by_action"].values()) == EVENTS
    assert set(report["latency_ms"]) == {"p50", "p99", "p999"}
    assert report["by_action"]["block"] >= 1
    assert report["worker_exit_code"] == 0
    assert "3,025" in out


@pytest.mark.alone
@pytest.mark.parametrize("data", ["", "/nowhere"], ids=["data if there", "shipped sample"])
def test_nothing_is_lost_on_a_real_kafka(kafka, tmp_path, data):
    report, out = run_demo(tmp_path, kafka, **({"LANJIE_DATA": data} if data else {}))
    check(report, out)
    assert report["broker"]["kind"] == "existing"
    assert report["decision_time"] == "broker append"
    assert report["change_in_force_seconds"] < 5
    assert report["events_per_second"] > 0
    assert 0 <= report["latency_ms"]["p50"] <= report["latency_ms"]["p99"] <= report["latency_ms"]["p999"]
    if data:
        assert (report["log"], report["scored_over"]) == ("shipped synthetic sample", "synthetic events")


def test_nothing_is_lost_on_the_in_memory_broker(tmp_path, mock_kafka):
    check(*run_demo(tmp_path, mock_kafka))


def test_without_java_it_falls_back_and_says_so_loudly(tmp_path):
    pytest.importorskip("confluent_kafka")
    command = [sys.executable, "-m", "stream.cli", "demo", "--limit", "1000"]
    env = os.environ | {"LANJIE_DATA_DIR": str(tmp_path), "LANJIE_DATA": "/nowhere", "PATH": "/nowhere"}
    env.pop("LANJIE_BOOTSTRAP", None)
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT A REAL KAFKA" in done.stdout
    assert "no Java" in done.stdout
    report = json.loads((tmp_path / "demo.json").read_bytes())
    assert (report["broker"]["kind"], report["lost"], report["dead_lettered"]) == ("mock", 0, POISON)
    assert not list(tmp_path.glob("worker-*.json")), "the worker is gone"
