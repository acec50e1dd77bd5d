"""`lanjie loadtest run` as a user runs it: a small log with known truth through a real Kafka and a worker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest
import zstandard
from aiokafka.admin import AIOKafkaAdminClient

from detectors.model.decision import ACTIONS
from loadtest import sample, scenario
from loadtest.sim.truth import EventTruth, SubjectTruth
from stream.cli.loadtest_kafka import ReadBackError, ends, read_back
from stream.clock import SystemClock
from stream.settings import Settings
from stream.topics import DECISIONS
from tests.support.topics import publish

EVENTS = 1_500


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped sample as the simulator would write it, a part of it."""
    log, made = sample.load().limited(EVENTS), tmp_path / "tiny"
    made.mkdir()
    rows = [
        EventTruth(
            event.id, label.label, label.cls, label.source, operation=_operation(label), victim=bool(_operation(label))
        )
        for event in log.events
        for label in [log.labels[event.id]]
    ]
    robocaller = SubjectTruth(scenario.ROBOCALLER, "fraud", "robocaller", log.events[0].time, "robo-1")
    put(made / "events.jsonl.zst", log.events)
    put(made / "truth.jsonl.zst", rows)
    put(made / "subjects.jsonl.zst", [robocaller])
    (made / "lists.csv").write_text(log.lists, encoding="utf-8")
    (made / "profile.json").write_text('{"profile": {"name": "tiny"}}', encoding="utf-8")
    return made


def _operation(label):
    return "robo-1" if label.cls == "robocaller" else ""


def put(path: Path, rows) -> None:
    path.write_bytes(zstandard.compress(b"".join(msgspec.json.encode(row) + b"\n" for row in rows)))


def start(tmp_path: Path, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    env = {name: value for name, value in os.environ.items() if name != "LANJIE_BOOTSTRAP"} | environ
    return subprocess.Popen(
        [sys.executable, "-m", "stream.cli", "loadtest", *arguments],
        env=env | {"LANJIE_DATA_DIR": str(tmp_path / "data"), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def loadtest(tmp_path: Path, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    process = start(tmp_path, *arguments, **environ)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def leftovers(tmp_path: Path, bootstrap: str) -> list[str]:
    """State files of processes, scratch folders, topics."""
    data = tmp_path / "data"
    files = [path.name for what in ("worker", "cards") for path in data.glob(f"loadtest-*/{what}-*.json")]
    kept = ("loadtest-worker-", "loadtest-cards")
    folders = [path.name for path in data.glob("loadtest-*") if not path.name.startswith(kept)]
    return files + folders + [name for name in asyncio.run(topics(bootstrap)) if name.startswith("loadtest-")]


async def topics(bootstrap: str) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return await admin.list_topics()
    finally:
        await admin.close()


def test_every_event_has_an_outcome_and_the_figures_add_up(kafka, tmp_path, folder):
    out = tmp_path / "out"
    code, *said = loadtest(
        tmp_path, "run", str(folder), "--bootstrap", kafka, "--workers", "2", "--rate", "500", "--out", str(out)
    )
    assert code == 0, said
    report = json.loads((out / "report.json").read_bytes())
    counts, detection = report["counts"], report["detection"]
    assert (report["schema"], report["log"]["name"], report["log"]["events"]) == ("lanjie.loadtest/1", "tiny", EVENTS)
    assert counts["published"] == counts["decided"] + counts["dead_lettered"] == EVENTS
    assert (counts["lost"], counts["duplicates"], counts["stalled"]) == (0, 0, False)
    assert (report["worker_exit_codes"], report["cards_exit_codes"]) == ([0, 0], [0])
    assert report["decision_time"] == "broker append"
    latency = report["latency_ms"]
    assert latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p999"] <= latency["max"]
    assert report["driver"]["seconds"] >= (EVENTS - 1) / 500
    over = report["over_time"]
    assert sum(over["due_per_second"]) * over["step_seconds"] == EVENTS
    assert sum(over["decided_per_second"]) * over["step_seconds"] == counts["decided"]

    labels = Counter(label.label for label in sample.load().limited(EVENTS).labels.values())
    fraud = sum(row["events"]["of"] for row in detection["patterns"].values())
    assert fraud == labels["fraud"] + labels["illegal"]
    assert sum(row["events"] for row in detection["benign"].values()) == EVENTS - fraud
    assert sum(detection["by_action"].values()) == EVENTS
    assert detection["by_action"].keys() <= ACTIONS.keys()
    robocaller = detection["patterns"]["robocaller"]
    assert (robocaller["numbers"]["of"], robocaller["operations"]["of"]) == (1, 1)

    page = (out / "report.html").read_text(encoding="utf-8")
    assert "robocaller" in page
    assert page.count("<svg") >= 5
    for number in (scenario.ROBOCALLER, scenario.BLOCKED, scenario.ROBOCALLER.removeprefix("+86")):
        assert number not in page + json.dumps(report) + str(said)
    assert leftovers(tmp_path, kafka) == []


async def test_through_workers_that_are_there_only_its_own_events_count(pipeline, kafka, tmp_path, folder):
    worker = await pipeline.start()
    await pipeline.publish(sample.load().events[:7])
    await pipeline.decisions(7)
    arguments = [
        "run",
        str(folder),
        "--bootstrap",
        kafka,
        "--workers",
        "0",
        "--speed",
        "max",
        "--json",
        str(tmp_path / "r"),
    ]
    code, *said = await asyncio.to_thread(loadtest, tmp_path, *arguments, LANJIE_TOPIC_PREFIX=pipeline.prefix)
    assert code == 0, said
    report = json.loads((tmp_path / "r").read_bytes())
    assert (report["counts"]["published"], report["counts"]["decided"], report["counts"]["lost"]) == (EVENTS, EVENTS, 0)
    assert report["counts"]["duplicates"] == 0
    assert (report["latency_ms"], report["driver"]["schedule"]) == (None, "full speed")
    assert report["decision_time"] == "worker send"
    assert (tmp_path / "data" / "loadtest" / "tiny" / "report.html").is_file()
    assert len(await pipeline.decisions(EVENTS + 7)) == EVENTS + 7
    assert await worker.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_it_half_way_finds_nothing_left(kafka, tmp_path, folder, how):
    process = start(tmp_path, "run", str(folder), "--bootstrap", kafka, "--rate", "20")
    assert process.stdout is not None
    said = next((line for line in process.stdout if "ready to go" in line), None)  # from here on it sends, for 75 s
    assert said, process.communicate()
    assert leftovers(tmp_path, kafka) != []
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in out + err
    assert "written" not in out
    assert leftovers(tmp_path, kafka) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "nothing-of-this-name"], "nothing-of-this-name"),
        (["run", "{folder}", "--rate", "5", "--speed", "max"], "--speed and --rate exclude each other"),
        (["run", "{folder}", "--workers", "0"], "--workers 0 needs a --bootstrap"),
        (["run", "{folder}", "--seed", "3"], "holds a log already"),
        (["run", "{folder}", "--out", "/proc/nowhere"], "/proc/nowhere"),
        (["simulate", "nothing-of-this-name", "-o", "x"], "nothing-of-this-name"),
    ],
)
def test_what_a_user_gets_wrong_is_told_in_a_line(tmp_path, folder, arguments, told):
    code, out, err = loadtest(tmp_path, *(text.format(folder=folder) for text in arguments))
    assert code != 0
    assert told in err
    assert "Traceback" not in out + err


def test_a_damaged_log_is_named_with_its_line(kafka, tmp_path, folder):
    put(folder / "events.jsonl.zst", [*sample.load().events[:3], {"kind": "sms", "a_number": scenario.BLOCKED}])
    code, out, err = loadtest(tmp_path, "run", str(folder), "--bootstrap", kafka)
    assert code == 1
    assert "events.jsonl.zst:4: $.id" in err
    assert scenario.BLOCKED not in out + err
    assert leftovers(tmp_path, kafka) == []


class Hasty:
    """A clock to which every look is ten seconds."""

    now = 0.0

    def monotonic(self):
        self.now += 10
        return self.now


async def test_what_gets_no_outcome_is_given_up_and_what_is_no_decision_is_named(pipeline, kafka):
    settings = Settings(bootstrap=kafka, topic_prefix=pipeline.prefix)
    since = await ends(settings)
    found = await read_back(settings, since, {"never"}, Hasty())
    assert (found.stalled, found.found) == (True, 0)
    await publish(kafka, settings.named(DECISIONS).name, [(b"k", b"{}", ())])
    with pytest.raises(ReadBackError, match=r"intercept.decisions.v1/\d/0: no decision"):
        await read_back(settings, since, {"never"}, SystemClock())


def test_the_driver_alone_is_measured(tmp_path, kafka):
    code, _, err = loadtest(
        tmp_path, "bench", "--events", "4000", "--rate", "20000", "--bootstrap", kafka, "--json", str(tmp_path / "b")
    )
    assert code == 0, err
    found = json.loads((tmp_path / "b").read_bytes())
    assert [(row["into"], row["schedule"]) for row in found["rows"]] == [
        (into, schedule) for into in ("nothing", "Kafka") for schedule in ("full speed", "20,000/s")
    ]
    assert all(row["events_per_cpu_second"] > 0 for row in found["rows"])
    assert leftovers(tmp_path, kafka) == []
