"""`lanjie config`, and `--config` of all verbs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stream.cli import main


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch):
    for name in [each for each in os.environ if each.startswith("LANJIE_")]:
        monkeypatch.delenv(name)

    def run(*words: str, **environ: str) -> Result:
        return CliRunner().invoke(main, words, env=environ)

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lanjie.toml"
    path.write_text('# ours\ngroup = "from-the-file"\nmetrics_port = 0\n')
    return path


def test_the_table_says_value_origin_and_meaning(say, file: Path):
    lines = say("config", "--config", str(file), LANJIE_METRICS_PORT="7").stdout.splitlines()
    shown = {line.split()[0]: line.split()[1:] for line in lines if not line.startswith(" ")}
    assert shown["group"] == ["from-the-file", f"{file}:2"]
    assert shown["metrics_port"] == ["7", "LANJIE_METRICS_PORT"]
    assert shown["kafka_user"] == ["-", "default"]
    assert (
        "    Consumer group; workers of one group share the partitions. "
        "Allowed: letters, digits, dots, dashes and underscores." in lines
    )


def test_json(say, file: Path):
    found = json.loads(say("config", "--json", LANJIE_CONFIG=str(file)).stdout)
    assert found["group"]["variable"] == "LANJIE_GROUP"
    assert (found["group"]["value"], found["group"]["default"]) == ("from-the-file", "lanjie")
    assert found["group"]["origin"] == f"{file}:2"


def test_toml_is_a_file_that_says_the_same(say, file: Path, tmp_path: Path):
    toml = say("config", "--toml", "--config", str(file), LANJIE_UPDATES="off").stdout
    again = tmp_path / "again.toml"
    again.write_text(toml)
    first = json.loads(say("config", "--json", "--config", str(file), LANJIE_UPDATES="off").stdout)
    second = json.loads(say("config", "--json", "--config", str(again)).stdout)
    assert {name: row["value"] for name, row in first.items()} == {name: row["value"] for name, row in second.items()}
    assert say("config", "check", str(again)).stdout == f"{again}: 3 settings, all can be used\n"


def test_check_tells_all_that_is_wrong_and_heeds_no_variable(say, file: Path):
    file.write_text('partitions = 0\ngroup = "a b"\nupdates = true\n')
    told = say("config", "check", str(file), LANJIE_PARTITIONS="3")
    assert told.exit_code == 1
    assert told.stderr.splitlines() == [
        f"{file}:1: partitions='0': expected a whole number from 1 to 10000",
        f"{file}:2: group='a b': expected letters, digits, dots, dashes and underscores",
    ]


def test_check_tells_what_does_not_fit_together(say, file: Path):
    file.write_text('kafka_security = "SASL_SSL"\n')
    told = say("config", "check", str(file))
    assert told.exit_code == 1
    assert f"LANJIE_KAFKA_USER is not set; expected a user and the file of the password ({file}:1" in told.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("config",),
        ("worker",),
        ("topics", "list"),
        ("lists", "add", "+8613900001111", "--reason", "r"),
        ("dlq", "list"),
    ],
)
def test_every_verb_takes_the_file_and_tells_a_mistake_in_one_line(say, file: Path, words: tuple[str, ...]):
    file.write_text("gruop = 1\n")
    for said in (say(*words, "--config", str(file)), say(*words, LANJIE_CONFIG=str(file))):
        assert said.exit_code == 2
        assert said.stderr.splitlines()[-1] == (
            f"Error: {file}:1: gruop: no such setting, perhaps group; `lanjie config --toml` shows them all"
        )
    assert "LANJIE_CONFIG" not in os.environ


def test_json_and_toml_exclude_each_other(say):
    assert "exclude each other" in say("config", "--json", "--toml").stderr
