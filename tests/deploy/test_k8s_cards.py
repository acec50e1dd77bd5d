"""`lanjie cards watch` in deploy/k8s: beside the workers, seen by Prometheus, taken for a worker by nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.deploy.k8s import OVERLAYS, Doc, built, of, one, pods, settings_of
from tests.deploy.monitoring import PROMETHEUS, yaml

pytestmark = pytest.mark.timeout(900)  # the first time, tools are fetched and built


@pytest.fixture(scope="module", params=OVERLAYS)
def docs(request: pytest.FixtureRequest) -> list[Doc]:
    """What an overlay makes."""
    return built(request.param)


def _watch(docs: list[Doc]) -> dict[str, Any]:
    spec: dict[str, Any] = one(docs, "Deployment", "lanjie-cards")["spec"]
    return spec


def test_one_is_started_beside_the_workers(docs: list[Doc]) -> None:
    (container,) = _watch(docs)["template"]["spec"]["containers"]
    assert (_watch(docs)["replicas"], container["args"]) == (1, ["cards", "watch"])
    assert container["resources"]["limits"]["memory"] == "1Gi"
    for scaler in of(docs, "HorizontalPodAutoscaler"):
        assert scaler["spec"]["scaleTargetRef"]["kind"] == "StatefulSet"


def test_selectors_find_it_and_nobody_else(docs: list[Doc]) -> None:
    labels = {kind: pod["metadata"]["labels"] for kind, pod in pods(docs)}
    selectors = [_watch(docs)["selector"]["matchLabels"], one(docs, "Service", "lanjie-cards")["spec"]["selector"]]
    for selector in selectors:
        assert [kind for kind, found in labels.items() if selector.items() <= found.items()] == ["Deployment"]


def test_it_reads_the_group_and_the_cluster_of_the_workers(docs: list[Doc], tmp_path: Path) -> None:
    worker = settings_of(docs, one(docs, "StatefulSet")["spec"]["template"], tmp_path / "worker")
    watch = settings_of(docs, _watch(docs)["template"], tmp_path / "cards")
    for name in ("group", "topic_prefix", "metrics_host", "metrics_port"):
        assert getattr(watch, name) == getattr(worker, name), name
    for name in ("bootstrap", "security", "mechanism", "user"):
        assert getattr(watch.kafka, name) == getattr(worker.kafka, name), name


def test_it_writes_where_it_may_and_ends_in_time(docs: list[Doc], tmp_path: Path) -> None:
    pod = _watch(docs)["template"]
    settings = settings_of(docs, pod, tmp_path)
    (container,) = pod["spec"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    (empty,) = [volume["name"] for volume in pod["spec"]["volumes"] if "emptyDir" in volume]
    assert mounts[empty] == str(settings.data_dir)
    assert pod["spec"]["terminationGracePeriodSeconds"] > settings.shutdown_seconds + 5


def test_probes_ask_what_it_serves(docs: list[Doc], tmp_path: Path) -> None:
    pod = _watch(docs)["template"]
    (container,) = pod["spec"]["containers"]
    asked = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {name: probe["path"] for name, probe in asked.items()} == {
        "startupProbe": "/healthy", "livenessProbe": "/healthy", "readinessProbe": "/ready",
    }  # fmt: skip
    assert {probe["port"] for probe in asked.values()} == {"metrics"}
    (port,) = container["ports"]
    assert (port["name"], port["containerPort"]) == ("metrics", settings_of(docs, pod, tmp_path).metrics_port)


def test_prometheus_knows_it_by_a_job_of_its_own() -> None:
    production = built("production")
    monitor, service = one(production, "ServiceMonitor", "lanjie-cards"), one(production, "Service", "lanjie-cards")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert "jobLabel" not in monitor["spec"]  # the operator then takes the name of the Service
    jobs = {each["job_name"] for each in yaml(PROMETHEUS / "prometheus.yml")["scrape_configs"]}
    assert service["metadata"]["name"] in jobs
    (endpoint,), (port,) = monitor["spec"]["endpoints"], service["spec"]["ports"]
    assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")
    workers = one(production, "ServiceMonitor", "lanjie-worker")
    assert not workers["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert workers["spec"]["endpoints"] == monitor["spec"]["endpoints"]
