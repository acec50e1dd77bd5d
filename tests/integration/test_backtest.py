"""`lanjie backtest` over the shipped sample, in one process and in several."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from detectors.model.decision import ACTIONS, Action
from stream.cli import main
from stream.logs import LogReader
from stream.rule_files import shipped
from tests.support.trial_rule import LABELS, LISTS, LOG, TRIAL


@pytest.fixture
def pack(tmp_path):
    """The shipped one and a rule more."""
    for path in shipped().rglob("*"):
        if path.suffix in (".toml", ".json"):
            to = tmp_path / "pack" / path.relative_to(shipped())
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(path.read_bytes())
    (tmp_path / "pack" / "text" / "trial.toml").write_text(TRIAL)
    with (tmp_path / "pack" / "weights.toml").open("a") as weights:
        weights.write('TEXT_TRIAL = { weight = 100, group = "text", ceiling = "block" }\n')
    return tmp_path / "pack"


def run(*args):
    return CliRunner().invoke(main, [*map(str, args)])


def test_it_finds_the_same_in_any_number_of_processes_and_shows_no_number(pack, tmp_path):
    written = []
    for processes in (1, 2, 3):
        path = tmp_path / f"{processes}.json"
        result = run(
            "backtest", LOG, "--rules", pack, "--lists", LISTS, "--labels", LABELS, "--cost", "none",
            "--processes", processes, "--partitions", 3, "--json", path, "--html", path.with_suffix(".html"),
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        written.append((path.read_bytes(), path.with_suffix(".html").read_bytes(), result.stdout))
    assert written[0] == written[1] == written[2]
    report = json.loads(written[0][0])
    assert report["events"] == 3316
    trial = next(row for row in report["rules"] if row["code"] == "TEXT_TRIAL")
    sent = [json.loads(line.raw) for line in LogReader([LOG])]
    plainly = [event for event in sent if "验证码" in event.get("text", "")]
    assert trial["fired"] == {"before": 0, "after": len(plainly)}
    assert report["changed_subscribers"]["newly_blocked"] == len({event["a_number"] for event in plainly}), (
        "the only block of the sample is a listed number's"
    )
    numbers = {event[name] for event in sent for name in ("a_number", "b_number") if name in event}
    numbers = {number.removeprefix("+86") for number in numbers if len(number) > 6}
    assert len(numbers) > 500
    for text in (written[0][0].decode(), written[0][1].decode(), written[0][2]):
        assert not any(number in text for number in numbers)


def test_of_one_shard_it_is_the_difference_of_two_replays(pack, tmp_path):
    """A replay keeps all callers together, as a back-test of one shard does."""
    result = run("backtest", LOG, "--rules", pack, "--lists", LISTS, "--cost", "none", "--partitions", 1,
                 "--json", tmp_path / "r.json")  # fmt: skip
    assert result.exit_code == 0, result.output
    decided = []
    for rules in (shipped(), pack):
        assert run("replay", LOG, "--rules", rules, "--lists", LISTS, "-o", tmp_path / "out").exit_code == 0
        rows = [json.loads(line) for line in (tmp_path / "out").read_bytes().splitlines()]
        decided.append([ACTIONS[row["action"]] for row in rows])
    pairs = list(zip(*decided, strict=True))
    found = json.loads((tmp_path / "r.json").read_bytes())["changed_events"]
    assert found["newly_blocked"] == sum(before < Action.BLOCK <= after for before, after in pairs) > 0
    assert found["newly_acted_on"] == sum(before < Action.WARN <= after for before, after in pairs) > 0
    assert found["released"] == found["weaker"] == 0
