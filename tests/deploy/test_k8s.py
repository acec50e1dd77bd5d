"""deploy/k8s: valid by the schemas, in agreement with itself, with the settings and with the code."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from detectors.model.errors import LanjieError
from stream.clock import SystemClock
from stream.condition import Condition
from stream.metrics import Metrics
from stream.settings import Settings, variable
from stream.web.health import HealthServer
from tests.deploy import k8s
from tests.deploy.k8s import (
    FOLDER,
    OVERLAYS,
    VERSIONS,
    Doc,
    built,
    environ,
    of,
    one,
    pods,
    problems,
    read,
    run,
    settings_of,
)
from tests.deploy.tools import ROOT

pytestmark = pytest.mark.timeout(900)  # the first time, tools are fetched and built

VARIABLES = {variable(field.name) for field in fields(Settings)}


@pytest.fixture(scope="module", params=OVERLAYS)
def docs(request: pytest.FixtureRequest) -> list[Doc]:
    """What an overlay makes."""
    return built(request.param)


@pytest.fixture(scope="module")
def production() -> list[Doc]:
    return built("production")


@pytest.mark.parametrize("version", VERSIONS)
def test_all_is_valid_by_the_schemas(docs: list[Doc], version: str, tmp_path: Path) -> None:
    assert problems(docs, version, tmp_path) == []


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("StatefulSet", lambda doc: doc["spec"].update(replicaz=3), "replicaz"),
        ("StatefulSet", lambda doc: doc["spec"].update(replicas="three"), "replicas"),
        (
            "StatefulSet",
            lambda doc: doc["spec"]["template"]["spec"]["containers"][0].pop("name"),
            "'name' is a required",
        ),
        (
            "Job",
            lambda doc: doc["spec"]["template"]["spec"]["securityContext"].update(runAsNonRooot=True),
            "runAsNonRooot",
        ),
        ("HorizontalPodAutoscaler", lambda doc: doc["spec"].pop("maxReplicas"), "maxReplicas"),
        ("NetworkPolicy", lambda doc: doc["spec"].update(outgress=[]), "outgress"),
        ("PodDisruptionBudget", lambda doc: doc.update(apiVersion="policy/v2"), "Couldn't find schema"),
        ("ServiceMonitor", lambda doc: doc["spec"]["endpoints"][0].update(prot="metrics"), "prot: Extra inputs"),
        (
            "ServiceMonitor",
            lambda doc: doc["spec"]["endpoints"][0].update(interval="5 seconds"),
            "interval: String should",
        ),
    ],
)
def test_the_schemas_refuse(production: list[Doc], kind: str, change: Change, said: str, tmp_path: Path) -> None:
    wrong = copy.deepcopy(of(production, kind)[-1:])
    change(wrong[0])
    (problem,) = problems(wrong, VERSIONS[-1], tmp_path)
    assert said in problem


def test_rules_become_prometheus_rules(tmp_path: Path) -> None:
    files = sorted(ROOT.glob("deploy/prometheus/*.rules.yml"))
    made = read(run([FOLDER / "prometheus-rules.sh"]))
    assert files
    assert [doc["metadata"]["name"] for doc in made] == [
        f"lanjie-{file.name.removesuffix('.rules.yml')}" for file in files
    ]
    assert [[doc["spec"]] for doc in made] == [read(file.read_text()) for file in files]
    assert problems(made, VERSIONS[-1], tmp_path) == []


def test_all_is_in_one_namespace(docs: list[Doc]) -> None:
    name = one(docs, "Namespace")["metadata"]["name"]
    assert {doc["metadata"].get("namespace", name) for doc in docs} == {name}


def test_selectors_find_the_workers_and_nobody_else(docs: list[Doc]) -> None:
    labels = {kind: pod["metadata"]["labels"] for kind, pod in pods(docs)}
    worker = one(docs, "StatefulSet")["spec"]
    selectors = [
        worker["selector"]["matchLabels"],
        one(docs, "Service", "lanjie-worker")["spec"]["selector"],
        one(docs, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in worker["template"]["spec"]["topologySpreadConstraints"]),
    ]
    for selector in selectors:
        assert [kind for kind, found in labels.items() if selector.items() <= found.items()] == ["StatefulSet"]
    for policy in of(docs, "NetworkPolicy"):
        chosen = policy["spec"]["podSelector"].get("matchLabels", {})
        assert all(chosen.items() <= found.items() for found in labels.values())
    for monitor in of(docs, "ServiceMonitor", "lanjie-worker"):
        service = one(docs, "Service", "lanjie-worker")["metadata"]["labels"]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service.items()
        assert service[monitor["spec"]["jobLabel"]] == "lanjie"


def test_names_that_others_name_are_there(docs: list[Doc]) -> None:
    worker = one(docs, "StatefulSet")
    assert worker["spec"]["serviceName"] in {service["metadata"]["name"] for service in of(docs, "Service")}
    assert {pod["spec"]["serviceAccountName"] for _, pod in pods(docs)} == {
        one(docs, "ServiceAccount")["metadata"]["name"]
    }
    for scaler in of(docs, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        assert (target["apiVersion"], target["kind"], target["name"]) == (
            worker["apiVersion"], worker["kind"], worker["metadata"]["name"],
        )  # fmt: skip


def test_every_setting_is_one_and_its_value_is_taken(docs: list[Doc], tmp_path: Path) -> None:
    for config in of(docs, "ConfigMap"):
        assert set(config["data"]) <= VARIABLES
    for kind, pod in pods(docs):
        assert set(environ(docs, pod)) <= VARIABLES
        assert settings_of(docs, pod, tmp_path).instance == ("lanjie-worker-0" if kind == "StatefulSet" else "")


def test_a_value_that_is_not_taken_is_found(production: list[Doc], tmp_path: Path) -> None:
    wrong = copy.deepcopy(production)
    del one(wrong, "StatefulSet")["spec"]["template"]["spec"]["volumes"]
    with pytest.raises(LanjieError, match=r"LANJIE_KAFKA_PASSWORD_FILE=\.\.\.: expected a file that is there"):
        settings_of(wrong, dict(pods(wrong))["StatefulSet"], tmp_path)


def test_times_and_numbers_fit(docs: list[Doc], tmp_path: Path) -> None:
    worker = one(docs, "StatefulSet")["spec"]
    settings = settings_of(docs, worker["template"], tmp_path)
    assert worker["template"]["spec"]["terminationGracePeriodSeconds"] > settings.shutdown_seconds + 5
    assert worker.get("replicas", 1) <= settings.partitions
    for scaler in of(docs, "HorizontalPodAutoscaler"):
        assert "replicas" not in worker  # it is the autoscaler's
        assert scaler["spec"]["maxReplicas"] <= settings.partitions
        assert scaler["spec"]["minReplicas"] > one(docs, "PodDisruptionBudget")["spec"]["maxUnavailable"]


async def test_probes_and_scrapes_get_an_answer(production: list[Doc], tmp_path: Path) -> None:
    (container,) = one(production, "StatefulSet")["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    probes = [container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    (endpoint,) = one(production, "ServiceMonitor", "lanjie-worker")["spec"]["endpoints"]
    (scraped,) = one(production, "Service", "lanjie-worker")["spec"]["ports"]
    settings = settings_of(production, one(production, "StatefulSet")["spec"]["template"], tmp_path)
    assert {probe["port"] for probe in probes} | {scraped["targetPort"]} <= set(ports)
    assert endpoint["port"] == scraped["name"]
    assert ports[scraped["targetPort"]] == settings.metrics_port
    assert settings.metrics_host == "0.0.0.0"  # the kubelet is not on the pod's loopback
    server = HealthServer(Condition("test", SystemClock()), CollectorRegistry(), host="127.0.0.1", port=0)
    try:
        url = await server.start()
        async with aiohttp.ClientSession() as session:
            for path, status in [*((probe["path"], {200, 503}) for probe in probes), (endpoint["path"], {200})]:
                async with session.get(url + path) as response:
                    assert response.status in status, path
    finally:
        await server.stop()


def test_one_image_of_this_version_and_its_user(docs: list[Doc]) -> None:
    (image,) = {container["image"] for _, pod in pods(docs) for container in pod["spec"]["containers"]}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert image.rpartition(":")[2] == version
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "deploy" / "docker" / "Dockerfile").read_text(), re.MULTILINE)
    for _, pod in pods(docs):
        security = pod["spec"]["securityContext"]
        assert user
        assert [security["runAsUser"], security["runAsGroup"], security["fsGroup"]] == [
            int(user[1]),
            *[int(user[2])] * 2,
        ]


def test_no_secret_is_in_a_config_map_or_in_the_repository(docs: list[Doc]) -> None:
    assert of(docs, "Secret") == []
    for config in of(docs, "ConfigMap"):
        secret = {name for name in config["data"] if re.search("PASSWORD|SECRET|TOKEN|KEY", name)}
        assert all(config["data"][name].startswith("/etc/lanjie/") for name in secret), secret


def test_the_example_holds_what_is_mounted(production: list[Doc]) -> None:
    (example,) = read((FOLDER / "overlays" / "production" / "secret.example.yaml").read_text())
    assert set(example["stringData"].values()) == {"REPLACE-ME"}
    for _, pod in pods(production):
        (secret,) = [volume["secret"] for volume in pod["spec"]["volumes"] if "secret" in volume]
        assert secret["secretName"] == example["metadata"]["name"]
        assert {item["key"] for item in secret["items"]} == set(example["stringData"])


def test_pods_may_do_nothing_that_they_need_not(docs: list[Doc]) -> None:
    """What the restricted Pod Security Standard asks for, and more."""
    assert one(docs, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert one(docs, "ServiceAccount")["automountServiceAccountToken"] is False
    for _, pod in pods(docs):
        spec, (container,) = pod["spec"], pod["spec"]["containers"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False  # they would set LANJIE_... variables
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert {*container["resources"]["requests"], *container["resources"]["limits"]} == {"cpu", "memory"}
        assert not [volume for volume in spec.get("volumes", ()) if "hostPath" in volume]


def test_what_is_written_is_on_a_volume(docs: list[Doc], tmp_path: Path) -> None:
    worker = one(docs, "StatefulSet")["spec"]
    settings = settings_of(docs, worker["template"], tmp_path)
    (claim,) = worker["volumeClaimTemplates"]
    (container,) = worker["template"]["spec"]["containers"]
    mounts = {mount["name"]: Path(mount["mountPath"]) for mount in container["volumeMounts"]}
    for written in (settings.data_dir, settings.checkpoint_folder):
        assert written.is_relative_to(mounts[claim["metadata"]["name"]])
    assert worker["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Delete", "whenScaled": "Delete"}


def test_the_network_lets_kafka_names_and_prometheus_through_only(docs: list[Doc], tmp_path: Path) -> None:
    deny, allow = one(docs, "NetworkPolicy", "default-deny")["spec"], one(docs, "NetworkPolicy", "lanjie")["spec"]
    settings = settings_of(docs, one(docs, "StatefulSet")["spec"]["template"], tmp_path)
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (scrape,), (kafka, names) = allow["ingress"], allow["egress"]
    assert scrape["ports"] == [{"port": "metrics"}]
    assert [port["port"] for port in names["ports"]] == [53, 53]
    for address in settings.bootstrap.split(","):
        host, _, port = address.rpartition(":")
        namespace = kafka["to"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        assert (host.split(".")[1], [{"port": int(port)}]) == (namespace, kafka["ports"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_with_traces_the_way_to_the_collector_is_open_and_nothing_else_changes(overlay: str, tmp_path: Path) -> None:
    docs = k8s.built_with(overlay, "traces", tmp_path)
    assert problems(docs, VERSIONS[-1], tmp_path) == []
    settings = settings_of(docs, one(docs, "StatefulSet")["spec"]["template"], tmp_path)
    url = urlsplit(settings.otlp_endpoint)
    *others, way = one(docs, "NetworkPolicy", "lanjie")["spec"]["egress"]
    assert others == one(built(overlay), "NetworkPolicy", "lanjie")["spec"]["egress"]
    namespace = way["to"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    assert (url.hostname or "").split(".")[1] == namespace
    assert way["ports"] == [{"port": url.port}]


def test_arguments_are_verbs_of_the_command(docs: list[Doc]) -> None:
    for _, pod in pods(docs):
        (container,) = pod["spec"]["containers"]
        subprocess.run(
            [sys.executable, "-m", "stream.cli", *container["args"], "--help"], check=True, capture_output=True
        )


def test_what_it_scales_by_is_a_metric_of_ours(production: list[Doc]) -> None:
    metrics = Metrics(registry := CollectorRegistry())
    metrics.watch(Condition("test", SystemClock()))
    pods_metric, _ = one(production, "HorizontalPodAutoscaler")["spec"]["metrics"]
    name = pods_metric["pods"]["metric"]["name"]
    (adapter,) = read((FOLDER / "overlays" / "production" / "prometheus-adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    assert name in {family.name for family in registry.collect()}
    assert re.fullmatch(rf'{name}\{{namespace!="",pod!=""}}', rule["seriesQuery"])
    assert set(rule["resources"]["overrides"]) == {"namespace", "pod"}
