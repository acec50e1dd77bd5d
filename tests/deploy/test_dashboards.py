"""Dashboards without Grafana: generated, typed, laid out, every query on something that a worker exposes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from stream.metrics import STATES
from tests.deploy import monitoring as here
from tests.deploy.tools import FOLDER, python_tool

#: What Grafana 12.1 of docker-compose.yml reads.
PACKAGES = ("@grafana/schema@12.1.0", "typescript@5.9.3")
#: JSON has a word where the types have a member of an enum. The query of an annotation belongs to its data source: the
#: schema has no field for that of Prometheus.
CHECK = """
import type { AnnotationQuery, Dashboard } from '@grafana/schema';
type Json<T> = T extends string ? `${T}`
  : T extends (infer U)[] ? Json<U>[]
  : T extends object ? { [K in keyof T]: Json<T[K]> }
  : T;
type Ours = Omit<Dashboard, 'annotations'> & { annotations?: { list?: (AnnotationQuery & { expr: string })[] } };
export const made = %s satisfies Json<Ours>;
"""
#: Units of Grafana (packages/grafana-data/src/valueFormats/categories.ts) that are used here.
UNITS = {"none", "short", "percentunit", "cps", "s", "bytes"}


def typed(made: dict[str, Any]) -> tuple[int, str]:
    """What the TypeScript compiler says of a dashboard."""
    home = FOLDER / "grafana-schema"
    if not (home / "node_modules" / "@grafana" / "schema").exists():
        home.mkdir(parents=True, exist_ok=True)
        here.runs("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", home, *PACKAGES)
    source = home / f"{made['uid']}.ts"
    source.write_text(CHECK % json.dumps(made), encoding="utf-8")
    options = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--moduleResolution", "nodenext")
    return here.said_by(home / "node_modules" / ".bin" / "tsc", *options, source)


def needs_node() -> None:
    if shutil.which("npm") is None:
        pytest.skip("no npm on the PATH to fetch Grafana's types: apt-get install nodejs npm")


def test_dashboards_are_those_of_the_code(tmp_path: Path):
    found = here.runs(python_tool(here.SDK, "python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    command = [sys.executable, "-m", "deploy.grafana.generate", str(tmp_path)]
    subprocess.run(command, cwd=here.ROOT, env={**os.environ, "PYTHONPATH": found.strip()}, check=True)
    assert {path.name: json.loads(path.read_text("utf-8")) for path in tmp_path.iterdir()} == here.dashboards(), (
        "generate them again: deploy/README.md says how"
    )


def test_there_are_five_of_them():
    uids = {made["uid"] for made in here.dashboards().values()}
    assert uids == {f"lanjie-{name}" for name in ("overview", "detection", "pipeline", "lists", "runbook")}


@pytest.mark.parametrize("name", here.dashboards())
def test_grafana_s_types_take_the_dashboard(name: str):
    needs_node()
    code, said = typed(here.dashboards()[name])
    assert code == 0, said


def test_grafana_s_types_refuse_what_is_none():
    needs_node()
    made = json.loads(json.dumps(here.dashboards()["lanjie-overview.json"]))
    made["uid"], made["panels"][1]["gridPos"]["w"] = "wrong", "wide"
    code, said = typed(made)
    assert code != 0
    assert "gridPos" in said or "'string' is not assignable to type 'number'" in said


def test_every_query_is_on_something_that_a_worker_exposes():
    found = here.queries()
    assert len(found) > 100
    assert here.unknown(found) == []


def test_every_panel_says_what_it_shows_in_what_unit_and_from_where():
    for name, panel in here.panels():
        where = f"{name}: {panel['title']}"
        assert panel["title"], where
        assert panel["description"].endswith("."), where
        if panel["type"] == "text":
            continue
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, where
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, where
        assert panel["targets"], where
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]), where


def test_panels_lie_on_the_grid_and_on_no_other():
    for name, made in here.dashboards().items():
        boxes = [(panel["gridPos"], panel["title"]) for panel in made["panels"]]
        for box, title in boxes:
            assert 0 <= box["x"] < box["x"] + box["w"] <= 24, f"{name}: {title}"
        for (a, one), (b, other) in combinations(boxes, 2):
            apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"]
            assert apart or b["y"] + b["h"] <= a["y"], f"{name}: {one} lies on {other}"
        for row in {box["y"] for box, _ in boxes} if name != "lanjie-runbook.json" else ():
            assert sum(box["w"] for box, _ in boxes if box["y"] == row) == 24, f"{name}: row at {row} is not full"
        numbers = [panel["id"] for panel in made["panels"]]
        assert len(set(numbers)) == len(numbers), name


def test_the_wall_reads_twelve_figures_first():
    shown = [panel for panel in here.dashboards()["lanjie-overview.json"]["panels"] if panel["type"] != "row"]
    assert [panel["type"] for panel in shown[:12]] == ["stat"] * 12
    assert max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in shown[:12]) <= 12  # without scrolling


def test_links_lead_to_the_section_of_the_runbook_that_they_name():
    sections = {p["id"]: p["title"] for p in here.dashboards()["lanjie-runbook.json"]["panels"]}
    assert sorted(sections.values()) == sorted(here.alerts())
    linked = set()
    for name, panel in here.panels():
        for link in panel.get("links", ()):
            assert link["url"].startswith("/d/lanjie-runbook?viewPanel="), f"{name}: {panel['title']}"
            assert sections[int(link["url"].rpartition("=")[2])] == link["title"]
            linked.add(link["title"])
    # Of these there is no graph: who is gone shows nothing.
    assert here.alerts().keys() - linked == {"LanjieNoWorkers", "LanjieWorkerGone"}


def test_what_is_chosen_at_the_top_is_what_queries_ask_for():
    for name, made in here.dashboards().items():
        if name == "lanjie-runbook.json":
            continue
        assert [v["name"] for v in made["templating"]["list"]] == ["datasource", "job", "instance", "topic"], name
        text = json.dumps(made)
        assert 'job=\\"$job\\",instance=~\\"$instance\\"' in text, name
        assert [each["name"] for each in made["annotations"]["list"]] == ["Lists and rules changed", "Worker started"]


def test_states_have_their_names():
    made = here.dashboards()["lanjie-pipeline.json"]
    (panel,) = (each for each in made["panels"] if each["title"] == "What workers are doing")
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    assert [mapping["options"][str(number)]["text"] for number in range(len(STATES))] == list(STATES)


def test_grafana_is_given_what_compose_mounts():
    (source,) = here.yaml(here.GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = here.yaml(here.GRAFANA / "provisioning" / "dashboards" / "lanjie.yml")["providers"]
    compose = here.yaml(here.ROOT / "docker-compose.yml")["services"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in compose["grafana"]["volumes"]
    assert "prometheus" in compose
