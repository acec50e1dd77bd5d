"""All contenders in turn, round by round: a slow minute of the machine hits them alike."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from loadtest.driver import Row
from tests.benchmarks.broker import Broker
from tests.benchmarks.contenders import CONTENDERS, PlaceOf, build_streams
from tests.benchmarks.parts.throughput import run_once
from tests.benchmarks.schema import BARE, CONFLUENT, EXACTLY_ONCE, STOCK, STREAMS, WORKER, Run

NAMES = (WORKER, EXACTLY_ONCE, BARE, CONFLUENT, STOCK, STREAMS)


def usable(names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Those that can run here, and why the others cannot."""
    why: dict[str, str] = {}
    if STREAMS in names and (problem := build_streams()):
        why[STREAMS] = problem
    if CONFLUENT in names and find_spec("confluent_kafka") is None:
        why[CONFLUENT] = "the package confluent-kafka is not installed"
    return [name for name in names if name not in why], why


async def measure(
    place_of: PlaceOf, broker: Broker, rows: Sequence[Row], rounds: int, names: Sequence[str]
) -> dict[str, list[Run]]:
    """``rounds`` runs of each."""
    found: dict[str, list[Run]] = {name: [] for name in names}
    for number in range(rounds):
        for name, runs in found.items():
            runs.append(await run_once(CONTENDERS[name], place_of(), broker, rows))
            print(f"round {number + 1}/{rounds}, {name}: {runs[-1].rate:,.0f}/s", file=sys.stderr)  # noqa: T201
    return found
