"""One stack of containers for the session. What needs it has the marker ``deploy``: ``make test-deploy`` runs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.deploy.engine import engine
from tests.deploy.stack import Stack, running
from tests.deploy.tools import ToolMissing

NOTES: Final[list[str]] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs the stack, and leave it out unless it is asked for."""
    for item in items:
        if {"stack", "live_prometheus"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("deploy")
    if "deploy" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("deploy")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """``docker-compose up`` with stand-in images; its worker is healthy."""
    try:
        with engine() as docker, running(docker) as found:
            found.notes = NOTES
            yield found
    except ToolMissing as missing:
        raise pytest.fail.Exception(str(missing), pytrace=False) from None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What the exercise measured."""
    for note in NOTES:
        terminalreporter.write_line(f"exercise: {note}")


@pytest.fixture(scope="session")
def live_prometheus(stack: Stack) -> str:
    """Base URL of the Prometheus of the stack; the workers that it asks have just decided 21,000 events."""
    stack.healthy("worker", len(stack.containers("worker")))
    stack.loadgen()
    return stack.prometheus
