"""bandit, and semgrep by rules of our own: no finding without a written reason, no reason without a finding."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.deploy.tools import FOLDER, ROOT, python_tool

pytestmark = pytest.mark.timeout(900)  # the first time, tools are fetched

BANDIT: Final = "bandit==1.9.4"
SEMGREP: Final = "semgrep==1.185.0"
CODE: Final = ("detectors", "stream", "loadtest")
RULES: Final = ROOT / "deploy" / "security"
_DIRECTIVE: Final = re.compile(
    r"nosec (?P<bandit>B\d{3}(?:, ?B\d{3})*)|nosemgrep: (?P<semgrep>[a-z-]+)|noqa: [A-Z0-9, ]+"
)
_NAMED: Final = re.compile(r"nosec|nosem")


@dataclass(frozen=True)
class Suppression:
    """A comment that tells a tool to be silent.

    Attributes:
        line: it applies to.
        reason: what else it says, or the comment above.
    """

    path: str
    line: int
    tool: str
    rules: frozenset[str]
    reason: str


def _suppressions() -> Iterator[Suppression]:
    for path in sorted(file for name in CODE for file in (ROOT / name).rglob("*.py")):
        with path.open("rb") as source:
            comments = [token for token in tokenize.tokenize(source.readline) if token.type == tokenize.COMMENT]
        alone = {token.start[0]: token.string for token in comments if token.line.strip() == token.string}
        for token in comments:
            found = [each for each in _DIRECTIVE.finditer(token.string) if each.lastgroup]
            assert len(found) == len(_NAMED.findall(token.string)), (
                f"{path}:{token.start[0]}: names no rule: {token.string}"
            )
            line = token.start[0]
            reason = _DIRECTIVE.sub("", token.string).strip("# -") or alone.get(line - 1, "").strip("# ")
            for each in found:
                of = line + 1 if line in alone else line
                rules = frozenset(re.split(", ?", each[each.lastgroup]))
                yield Suppression(str(path.relative_to(ROOT)), of, each.lastgroup, rules, reason)


def _bandit(*arguments: str) -> dict[str, Any]:
    command = [
        python_tool(BANDIT, "bandit"),
        "--quiet",
        "-f",
        "json",
        "-c",
        RULES / "bandit.yml",
        *arguments,
        "-r",
        *CODE,
    ]
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["errors"] == []
    return report


def _semgrep(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Offline: no rules are fetched, nothing is told, and what it keeps is kept beside it."""
    tool = python_tool(SEMGREP, "semgrep")
    beside = {"SEMGREP_SETTINGS_FILE": FOLDER / "semgrep-settings.yml", "SEMGREP_LOG_FILE": FOLDER / "semgrep.log"}
    environ = {
        **os.environ,
        **{name: str(path) for name, path in beside.items()},
        "PATH": f"{tool.parent}:{os.environ['PATH']}",
        "SEMGREP_SEND_METRICS": "off",
        "SEMGREP_ENABLE_VERSION_CHECK": "0",
    }
    command = [str(tool), "scan", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def _scan(*arguments: str) -> set[tuple[str, int, str]]:
    """File, line and rule of each finding in our code, all of which could be read."""
    done = _semgrep(
        "--json",
        "--quiet",
        "--jobs",
        "1",
        "--timeout",
        "60",
        "--no-git-ignore",
        *arguments,
        "--config",
        RULES / "semgrep.yml",
        *CODE,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["errors"] == []
    scanned = {path for path in report["paths"]["scanned"] if path.endswith(".py")}
    assert scanned == {str(file.relative_to(ROOT)) for name in CODE for file in (ROOT / name).rglob("*.py")}
    return {(each["path"], each["start"]["line"], each["check_id"].rpartition(".")[2]) for each in report["results"]}


def test_bandit_finds_nothing_that_is_not_explained() -> None:
    assert [(each["filename"], each["line_number"], each["issue_text"]) for each in _bandit()["results"]] == []


def test_semgrep_finds_nothing_that_is_not_explained() -> None:
    assert _scan() == set()


def test_what_is_suppressed_has_a_reason_and_is_still_found() -> None:
    suppressions = list(_suppressions())
    assert [each for each in suppressions if len(each.reason.split()) < 2] == []
    bandit = _bandit("--ignore-nosec")["results"]
    semgrep = _scan("--disable-nosem")
    assert len(bandit) + len(semgrep) == len(suppressions)
    for each in suppressions:
        found = semgrep if each.tool == "semgrep" else {
            (finding["filename"], line, finding["test_id"]) for finding in bandit for line in finding["line_range"]
        }  # fmt: skip
        assert {(each.path, each.line, rule) for rule in each.rules} <= found, each


def test_each_rule_has_examples_of_both_kinds() -> None:
    text = (RULES / "semgrep.py").read_text()
    rules = re.findall(r"^  - id: (\S+)$", (RULES / "semgrep.yml").read_text(), re.MULTILINE)
    assert rules
    for kind in ("ruleid", "ok"):
        assert set(re.findall(rf"# {kind}: (\S+)$", text, re.MULTILINE)) == set(rules)


def test_each_rule_finds_its_examples_and_no_others() -> None:
    done = _semgrep("--test", "--config", RULES / "semgrep.yml", RULES / "semgrep.py")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("rule", "was", "becomes"),
    [
        ("lanjie-shell", "# ruleid: lanjie-shell\n", "# ok: lanjie-shell\n"),
        ("lanjie-sql-by-text", "# ok: lanjie-sql-by-text\n", "# ruleid: lanjie-sql-by-text\n"),
        ("lanjie-number-in-log", '"call from %s", mask(event.a_number)', '"call from %s", event.a_number'),
    ],
)
def test_examples_that_say_otherwise_are_refused(rule: str, was: str, becomes: str, tmp_path: Path) -> None:
    text = (RULES / "semgrep.py").read_text()
    assert was in text
    (tmp_path / "semgrep.py").write_text(text.replace(was, becomes, 1))
    (tmp_path / "semgrep.yml").write_bytes((RULES / "semgrep.yml").read_bytes())
    done = _semgrep("--test", "--config", tmp_path / "semgrep.yml", tmp_path / "semgrep.py")
    assert done.returncode == 1
    assert rule in done.stdout + done.stderr
