"""What kustomize makes of deploy/k8s, and what the schemas of Kubernetes and of the Prometheus operator say of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from stream.settings import Settings
from tests.deploy.tools import ROOT, go_tool, python_tool

FOLDER: Final = ROOT / "deploy" / "k8s"
OVERLAYS: Final = sorted(path.parent.name for path in FOLDER.glob("overlays/*/kustomization.yaml"))
VERSIONS: Final = ("1.31", "1.37")  #: of Kubernetes: the oldest and the newest that we say it runs on
KUSTOMIZE: Final = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.0"
SCHEMAS: Final = "kubernetes-validate==1.37.0"  # carries those of the Kubernetes project; brings PyYAML
OPERATOR: Final = "cloudcoil-models-prometheus-operator==0.80.1.0"  # pydantic models made from the operator's CRDs

Doc = dict[str, Any]
_TO_JSON: Final = "import json, sys, yaml; json.dump([d for d in yaml.safe_load_all(sys.stdin) if d], sys.stdout)"
_OPERATOR: Final = """
import json, sys
import cloudcoil.models.prometheus_operator.v1 as models
for doc in json.load(sys.stdin):
    try:
        getattr(models, doc["kind"]).model_validate(doc, extra="forbid")
    except ValueError as error:
        print(doc["kind"], *(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()))
"""


def run(command: Iterable[str | Path], given: str = "") -> str:
    """What a command prints; its own words if it fails."""
    done = subprocess.run([*map(str, command)], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr}{done.stdout}"
    return done.stdout


def read(text: str) -> list[Doc]:
    """The documents of a YAML text."""
    docs: list[Doc] = json.loads(run([python_tool(SCHEMAS, "python"), "-c", _TO_JSON], text))
    return docs


def built(overlay: str) -> list[Doc]:
    """What would be applied."""
    return read(run([go_tool(KUSTOMIZE), "build", FOLDER / "overlays" / overlay]))


def built_with(overlay: str, component: str, folder: Path) -> list[Doc]:
    """What would be applied if an overlay also took a component; ``folder`` is for a file of our own."""
    parts = {"resources": FOLDER / "overlays" / overlay, "components": FOLDER / component}
    relative = {kind: [os.path.relpath(path, folder)] for kind, path in parts.items()}  # kustomize takes no others
    (folder / "kustomization.yaml").write_text(json.dumps(relative))
    return read(run([go_tool(KUSTOMIZE), "build", folder]))


def problems(docs: list[Doc], version: str, folder: Path) -> list[str]:
    """What is wrong by the schemas, a line each. Strict: a field that no schema knows is wrong, and so is a kind.

    Args:
        version: of Kubernetes.
        folder: for a file of our own.
    """
    ours = [doc for doc in docs if doc["apiVersion"].startswith("monitoring.coreos.com/")]
    theirs = [doc for doc in docs if doc not in ours]
    return (_by_operator(ours) if ours else []) + (_by_kubernetes(theirs, version, folder) if theirs else [])


def _by_operator(docs: list[Doc]) -> list[str]:
    return run([python_tool(OPERATOR, "python"), "-c", _OPERATOR], json.dumps(docs)).splitlines()


def _by_kubernetes(docs: list[Doc], version: str, folder: Path) -> list[str]:
    file = folder / "docs.yaml"
    file.write_text("\n---\n".join(map(json.dumps, docs)))
    command = [python_tool(SCHEMAS, "kubernetes-validate"), "--strict", "-k", version, file]
    said = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False).stdout.splitlines()
    assert len(said) == len(docs), said  # a line for each: valid, wrong, or of a kind without a schema
    return [line for line in said if not line.startswith("INFO")]


def one(docs: list[Doc], kind: str, name: str = "") -> Doc:
    """The only one of a kind, or of a name."""
    (found,) = of(docs, kind, name)
    return found


def of(docs: list[Doc], kind: str, name: str = "") -> list[Doc]:
    """All of a kind."""
    return [doc for doc in docs if doc["kind"] == kind and name in ("", doc["metadata"]["name"])]


def pods(docs: list[Doc]) -> Iterator[tuple[str, Doc]]:
    """Kind of who makes it, and the template, of each pod."""
    for doc in docs:
        if "template" in doc.get("spec", {}):
            yield doc["kind"], doc["spec"]["template"]


def environ(docs: list[Doc], pod: Doc) -> dict[str, str]:
    """The variables of a pod's only container; what the node fills in is the name of a pod."""
    (container,) = pod["spec"]["containers"]
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        found |= one(docs, "ConfigMap", source["configMapRef"]["name"])["data"]
    for each in container.get("env", ()):
        assert each["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}, each
        found[each["name"]] = "lanjie-worker-0"
    return found


def settings_of(docs: list[Doc], pod: Doc, root: Path) -> Settings:
    """As a container with ``root`` as its root reads them; each file of a mounted Secret is named by a setting."""
    (container,) = pod["spec"]["containers"]
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", ())}
    given = environ(docs, pod)
    for mount in container.get("volumeMounts", ()):
        folder = root / mount["mountPath"].strip("/")
        for item in volumes.get(mount["name"], {}).get("secret", {}).get("items", ()):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / item["path"]).write_text("from the Secret")
            (named,) = [name for name, value in given.items() if value == f"{mount['mountPath']}/{item['path']}"]
            given[named] = str(folder / item["path"])
    return Settings.from_env(given)
