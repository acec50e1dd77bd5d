"""Rules and routes: that Prometheus and Alertmanager take them, that every alert fires when it should and only then,
and that whoever is woken finds what to do.
"""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from pathlib import Path

import click
import pytest

from stream.cli import main
from stream.metrics import MemoryLimitCollector
from tests.deploy import monitoring as here

RUNBOOK = here.ROOT / "deploy" / "README.md"
SECTION = re.compile(r"^### (\w+)\n+(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)
PARTS = ("Means", "Look", "Do", "Escalate")


def sections() -> dict[str, str]:
    runbook = RUNBOOK.read_text("utf-8").partition("\n## Runbook\n")[2]
    return dict(SECTION.findall(runbook))


def complained_about(folder: Path, expr: str) -> set[str]:
    """Alerts whose tests fail when every alert has this expression."""
    for path in (*here.RULES, *here.TESTS):
        text = path.read_text("utf-8")
        if path in here.RULES:
            text = re.sub(r"(- alert: \w+\n +expr: ).*", lambda found: found[1] + expr, text)
        (folder / path.name).write_text(text)
    promtool = here.program("promtool")
    said = [here.said_by(promtool, "test", "rules", folder / path.name)[1] for path in here.TESTS]
    return {name for text in said for name in re.findall(r"alertname: ?(\w+)", text)}


def test_prometheus_takes_the_configuration_with_the_rules_that_it_names(tmp_path: Path):
    for path in here.RULES:
        shutil.copy(path, tmp_path)
    text = (here.PROMETHEUS / "prometheus.yml").read_text("utf-8")
    assert "/etc/prometheus/rules/" in text
    config = tmp_path / "prometheus.yml"
    config.write_text(text.replace("/etc/prometheus/rules/", f"{tmp_path}/"))
    said = here.runs(here.program("promtool"), "check", "config", config)
    assert f"SUCCESS: {len(here.RULES)} rule files found" in said


def test_rules_are_valid_and_none_is_there_twice():
    here.runs(here.program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *here.RULES)


@pytest.mark.parametrize("path", here.TESTS, ids=lambda path: path.name)
def test_alerts_fire_when_they_should_and_only_then(path: Path):
    here.runs(here.program("promtool"), "test", "rules", path)


def test_every_alert_is_tested_to_fire_and_not_to_fire():
    tested = defaultdict(set)
    for path in here.TESTS:
        for group in here.yaml(path)["tests"]:
            for case in group["alert_rule_test"]:
                tested[case["alertname"]].add(bool(case.get("exp_alerts")))
    assert dict(tested) == {name: {True, False} for name in here.alerts()}


def test_an_alert_that_never_fires_fails_its_tests(tmp_path: Path):
    assert complained_about(tmp_path, "vector(1) > 2") == here.alerts().keys()


def test_an_alert_that_always_fires_fails_its_tests(tmp_path: Path):
    assert complained_about(tmp_path, "vector(1)") == here.alerts().keys()


def test_every_alert_says_how_bad_it_is_and_where_to_read_on():
    for name, alert in here.alerts().items():
        assert alert.labels["severity"] in ("page", "ticket"), name
        assert alert.annotations.keys() == {"summary", "runbook_url"}, name
        assert alert.annotations["runbook_url"] == f"deploy/README.md#{name.lower()}"


def test_every_alert_has_its_section_and_every_section_its_alert():
    assert sections().keys() == here.alerts().keys()
    for name, text in sections().items():
        assert re.findall(r"^- \*\*(\w+)\*\*: ", text, re.MULTILINE) == [*PARTS], name


def test_the_runbook_names_panels_metrics_and_alerts_that_there_are():
    titles = {panel["title"] for made in here.dashboards().values() for panel in made["panels"]}
    known = here.declared()
    for name, text in sections().items():
        look = text.partition("**Look**")[2].partition("**Do**")[0]
        assert set(re.findall(r'"([^"]+)"', re.sub(r"`[^`]*`", "", look))) <= titles, name
        assert set(re.findall(r"`(Lanjie\w+)`", text)) <= here.alerts().keys(), name
        assert set(re.findall(r"[a-z_:]*lanjie_[a-z0-9_:]+", text)) <= known.keys(), name


def test_every_command_of_the_runbook_is_one():
    said = re.findall(r"`lanjie ([^`]+)`", RUNBOOK.read_text("utf-8"))
    assert len(said) > 50
    for words in said:
        command: click.Command = main
        context = click.Context(main)
        rest = words.replace('"..."', "").split()
        while isinstance(command, click.Group) and rest and rest[0] != "...":
            found = command.get_command(context, rest[0])
            assert found, f"lanjie {words}: no command {rest[0]}"
            command, rest = found, rest[1:]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options, f"lanjie {words}"
        needed = {p.opts[0] for p in command.params if isinstance(p, click.Option) and p.required}
        assert not rest or needed <= {*rest}, f"lanjie {words}: needs {needed}"


def test_rules_name_metrics_and_labels_that_a_worker_exposes():
    assert here.unknown([(rule.alert or rule.record, rule.expr) for rule in here.rules()]) == []


def test_a_query_on_something_that_nobody_exposes_is_found():
    wrong = [("a", "sum by (colour) (rate(lanjie_events_total{shape='x'}[5m]))"), ("b", "lanjie_event_total > 1")]
    assert here.unknown(wrong) == [
        "a: lanjie_events_total has no label shape",
        "a: by (colour), which none of its metrics has",
        "b: no metric lanjie_event_total",
    ]


def test_alertmanager_takes_its_configuration():
    assert "2 receivers" in here.runs(here.program("amtool"), "check-config", here.ALERTMANAGER)


@pytest.mark.parametrize(("severity", "receiver"), [("page", "pager"), ("ticket", "tickets"), ("", "tickets")])
def test_who_is_told(severity: str, receiver: str):
    route = ("config", "routes", "test", "--config.file", here.ALERTMANAGER)
    said = here.runs(here.program("amtool"), *route, f"severity={severity}", "alertname=LanjieLag")
    assert said.splitlines()[-1] == receiver


def test_what_silences_and_what_is_silenced_are_alerts():
    for rule in here.yaml(here.ALERTMANAGER)["inhibit_rules"]:
        for (matcher,) in (rule["source_matchers"], rule["target_matchers"]):
            names = re.fullmatch(r'alertname=~?"([\w|]+)"', matcher)[1]
            assert {*names.split("|")} <= here.alerts().keys()


def test_the_memory_limit_is_that_of_the_container(tmp_path: Path):
    second, first = tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"

    def limit() -> list[float]:
        (family,) = MemoryLimitCollector((second, first)).collect()
        return [sample.value for sample in family.samples]

    assert limit() == []
    first.write_text("9223372036854771712\n")
    second.write_text("max\n")
    assert limit() == []
    first.write_text("1073741824\n")
    assert limit() == [1 << 30]
    second.write_text("536870912\n")
    assert limit() == [1 << 29]
