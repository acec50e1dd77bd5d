"""What tests of rules and dashboards share: the files as data, the tools that read them, a Prometheus of their own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from stream.cards.metrics import CardMetrics
from stream.metrics import Metrics
from tests.deploy.tools import python_tool

ROOT: Final = Path(__file__).parents[2]
PROMETHEUS: Final = ROOT / "deploy" / "prometheus"
ALERTMANAGER: Final = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
GRAFANA: Final = ROOT / "deploy" / "grafana"
RULES: Final = tuple(sorted(PROMETHEUS.glob("*.rules.yml")))
TESTS: Final = tuple(sorted(PROMETHEUS.glob("*.test.yml")))
#: Program -> package of Debian, which is also what Debian calls the server in it.
PACKAGE: Final = {
    "promtool": "prometheus", "prometheus": "prometheus",
    "amtool": "prometheus-alertmanager", "alertmanager": "prometheus-alertmanager",
}  # fmt: skip
SDK: Final = "grafana-foundation-sdk==1769699379!11.6.0"
#: What Grafana puts in the place of its variables; the interval still has events in it when a log is through.
VARIABLES: Final = {
    "$__rate_interval": "2m",
    "$__interval": "15s",
    "$__range": "10m",
    "$job": "lanjie",
    "$instance": ".*",
    "$topic": ".*",
}
#: Of every target, and of what Prometheus makes itself.
TARGET_LABELS: Final = {"job", "instance"}
OWN: Final = {"up": set(), "ALERTS": {"alertname", "alertstate", "severity"}}


def program(name: str) -> str:
    """Where it is; a test without it fails, and says what to install."""
    if found := shutil.which(name) or (name == "alertmanager" and shutil.which(PACKAGE[name])):
        return found
    pytest.fail(f"{name} is not on the PATH: apt-get install {PACKAGE[name]}", pytrace=False)


def said_by(*command: object) -> tuple[int, str]:
    """Exit code, and all that it printed."""
    done = subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout


def runs(*command: object) -> str:
    """What it printed; anything but exit 0 fails the test."""
    code, said = said_by(*command)
    assert code == 0, f"{' '.join(map(str, command))}: exit {code}\n{said}"
    return said


@cache
def yaml(path: Path) -> Any:
    """A YAML file as data."""
    read = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1], encoding='utf-8'))))"
    return json.loads(runs(python_tool("pyyaml==6.0.2", "python"), "-c", read, path))


@dataclass(frozen=True)
class Rule:
    """A rule of one of ``RULES``. ``alert`` or ``record`` is ""."""

    file: str
    alert: str
    record: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]


@cache
def rules() -> tuple[Rule, ...]:
    """All of them."""
    return tuple(
        Rule(path.name, rule.get("alert", ""), rule.get("record", ""), rule["expr"], rule.get("labels", {}),
             rule.get("annotations", {}))
        for path in RULES for group in yaml(path)["groups"] for rule in group["rules"]
    )  # fmt: skip


def alerts() -> dict[str, Rule]:
    """By name."""
    return {rule.alert: rule for rule in rules() if rule.alert}


@cache
def dashboards() -> dict[str, dict[str, Any]]:
    """File name -> dashboard."""
    return {path.name: json.loads(path.read_text("utf-8")) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}


def panels() -> list[tuple[str, dict[str, Any]]]:
    """File name and panel, of all panels that show something; rows are headings."""
    return [(name, panel) for name, made in dashboards().items() for panel in made["panels"] if panel["type"] != "row"]


def queries() -> list[tuple[str, str]]:
    """Where it stands, and the query, with Grafana's variables replaced."""
    found = [(f"{name}: {p['title']}", target["expr"]) for name, p in panels() for target in p.get("targets", ())]
    for name, made in dashboards().items():
        found += [(f"{name}: annotation {a['name']}", a["expr"]) for a in made["annotations"].get("list", ())]
    return [(where, replaced(expr)) for where, expr in found]


def replaced(expr: str) -> str:
    """The query as Grafana sends it. ``$1`` is label_replace's."""
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    assert not re.search(r"\$(?!1\")", expr), f"a variable that no dashboard has: {expr}"
    return expr


PARSE: Final = r"""
import json, sys
import promql_parser as promql

def walk(node, found):
    if isinstance(node, promql.VectorSelector):
        found["selectors"].append([node.name, [m.name for m in node.matchers.matchers]])
    if isinstance(node, promql.AggregateExpr) and node.modifier:
        found["by"] += node.modifier.labels
    if isinstance(node, promql.Call) and node.func.name == "label_replace":
        found["made"].append(node.args[1].val)
    for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
        if (child := getattr(node, name, None)) is not None:
            walk(child, found)
    for child in getattr(node, "args", None) or ():
        walk(child, found)

said = []
for text in json.load(sys.stdin):
    found = {"selectors": [], "by": [], "made": []}
    try:
        walk(promql.parse(text), found)
    except ValueError as error:
        sys.exit(f"{text}: {error}")
    said.append(found)
print(json.dumps(said))
"""


def parsed(exprs: list[str]) -> list[dict[str, Any]]:
    """Of each: ``selectors``, pairs of metric and labels; ``by``, labels of aggregations; ``made``, labels it makes."""
    python = python_tool("promql-parser==0.12.0", "python")
    done = subprocess.run(
        [str(python), "-c", PARSE], input=json.dumps(exprs), capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def declared() -> dict[str, set[str]]:
    """Series name -> labels, of all that workers and `cards watch` expose, from their registries, and of what is
    recorded.
    """
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    lag = {("t", 0): 1}
    metrics.watch(SimpleNamespace(state="running", in_flight=0, recovering=0, lag=lambda: lag, unready=list))
    metrics.end_to_end.observe_ms("t", [1000])
    metrics.versions.info({"lists": "1", "rules": "1"})
    for each in vars(metrics).values():  # one child each: without, those with labels show no series
        if getattr(each, "_labelnames", ()) and hasattr(each, "labels"):
            each.labels(*each._labelnames)
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    CardMetrics(registry)
    found: dict[str, set[str]] = {"lanjie_memory_limit_bytes": set()}  # there only where there is a limit
    for family in registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    for rule in rules():
        if rule.record:
            level = rule.record.split(":")[0]
            found[rule.record] = set() if level == "lanjie" else set(re.findall("topic", level))
    return found | OWN


def unknown(where_exprs: list[tuple[str, str]]) -> list[str]:
    """What the queries name that nobody exposes: metrics, labels to match, labels to group by."""
    known, faults = declared(), []
    for (where, _), found in zip(where_exprs, parsed([expr for _, expr in where_exprs]), strict=True):
        carried = set(TARGET_LABELS) | {*found["made"]}
        for name, labels in found["selectors"]:
            if name not in known:
                faults.append(f"{where}: no metric {name}")
                continue
            carried |= known[name]
            strange = set(labels) - known[name] - TARGET_LABELS - {"__name__"}
            faults += [f"{where}: {name} has no label {label}" for label in sorted(strange)]
        faults += [f"{where}: by ({label}), which none of its metrics has" for label in {*found["by"]} - carried]
    return faults
