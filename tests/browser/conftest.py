"""A real Chromium, and the pages that the commands make of the shipped sample and of the smoke profile.

Playwright drives the system's browser and downloads none. Where one of the two is not there, these tests are skipped
with the reason; with ``REQUIRE_BROWSER=1`` they fail instead.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest
from click.testing import CliRunner

from stream.cli import main
from stream.logs import LogReader
from stream.rule_files import shipped
from tests.support.trial_rule import LABELS, LISTS, LOG, TRIAL

REQUIRED = os.environ.get("REQUIRE_BROWSER") == "1"
NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Nothing of its own goes out: what a page asks for is then all that is asked for.
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")


class Made(NamedTuple):
    """A page, the JSON that was written beside it, and the numbers of those who are in the log."""

    html: Path
    figures: dict[str, Any]
    numbers: frozenset[str]


def missing(why: str) -> NoReturn:
    """Skip, unless a browser is required."""
    if REQUIRED:
        pytest.fail(f"{why}; REQUIRE_BROWSER=1", pytrace=False)
    pytest.skip(f"{why}; required with REQUIRE_BROWSER=1")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser."""
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - not everybody has a browser
    except ImportError:
        missing("playwright is not installed")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        missing(f"none of {', '.join(NAMES)} is on the path")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses its sandbox to root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=[*QUIET, *root])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def backtest_page(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Of a rule more, a weaker one, labels and gates: every part of the page."""
    folder = tmp_path_factory.mktemp("backtest")
    pack = shutil.copytree(shipped(), folder / "pack", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (pack / "text" / "trial.toml").write_text(TRIAL, encoding="utf-8")
    weights = (pack / "weights.toml").read_text(encoding="utf-8")
    weaker = weights.replace('weight = 80, group = "text", ceiling = "restrict"', 'weight = 80, group = "text"')
    new = 'TEXT_TRIAL = { weight = 100, group = "text", ceiling = "block" }\n'
    (pack / "weights.toml").write_text(weaker.replace('weight = 80, group = "text" }',
        'weight = 80, group = "text", ceiling = "delay" }') + new, encoding="utf-8")  # fmt: skip
    arguments = ["backtest", LOG, "--rules", pack, "--lists", LISTS, "--labels", LABELS, "--blocked-from", "restrict"]
    return made(folder, [*arguments, "--max-new-blocks", "1000"], LOG)


@pytest.fixture(scope="session")
def report_page(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Of some hours, so that there is a drawing."""
    folder = tmp_path_factory.mktemp("report")
    decisions = folder / "decisions.jsonl"
    run(["replay", LOG, "-o", decisions, "--lists", LISTS])
    return made(folder, ["report", decisions, "--events", LOG, "--by", "hour"], LOG)


@pytest.fixture(scope="session")
def loadtest_page(chromium: Any, kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Of the smoke profile through a real Kafka and a worker."""
    folder = tmp_path_factory.mktemp("loadtest")
    run(["loadtest", "simulate", "smoke", "-o", folder / "smoke"])
    arguments = ["loadtest", "run", folder / "smoke", "--bootstrap", kafka, "--rate", "3000", "--out", folder]
    done = subprocess.run(
        [sys.executable, "-m", "stream.cli", *map(str, arguments)],
        env=os.environ | {"LANJIE_DATA_DIR": str(folder / "data")}, capture_output=True, text=True, timeout=200,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads((folder / "report.json").read_bytes())
    return Made(folder / "report.html", figures, numbers(str(folder / "smoke" / "events.jsonl.zst")))


def made(folder: Path, arguments: Sequence[object], log: str) -> Made:
    """What a command writes."""
    run([*arguments, "--html", folder / "page.html", "--json", folder / "page.json"])
    return Made(folder / "page.html", json.loads((folder / "page.json").read_bytes()), numbers(log))


def run(arguments: Sequence[object]) -> None:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 0, result.output


def numbers(log: str) -> frozenset[str]:
    """All numbers of subscribers, as in the log and without a country code."""
    events = [json.loads(line.raw) for line in LogReader([log])]
    found = {event[name] for event in events for name in ("a_number", "b_number", "a_e164") if event.get(name)}
    return frozenset(number.removeprefix("+86").removeprefix("0086") for number in found if len(number) >= 11)
