"""Faults under load, and what is left of the promises: see the README beside this file.

python -m tests.chaos                                  # 20 minutes, 52 faults, 1,500 events/s
python -m tests.chaos --short                          # a minute, 7 faults
python -m tests.chaos --delivery exactly-once --seed 7 --json chaos.json
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import sys
from pathlib import Path

from rich.console import Console

from stream.wire import dump_json
from tests.chaos.faults import FULL, SHORT
from tests.chaos.report import as_json, show
from tests.chaos.run import MODES, Plan, new_folder, run

SHORT_SECONDS = 70.0
SHORT_RATE = 1_000.0
LOADED = 0.84  # of the time there is load; the rest is for start and checks, on two cores


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0, help="for all of it, the checks included")
    parser.add_argument("--short", action="store_true", help=f"{SHORT_SECONDS:.0f} s and few faults")
    parser.add_argument("--rate", type=float, help="records a second")
    parser.add_argument("--delivery", choices=MODES, default=MODES[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="takes the results")
    parser.add_argument("--keep", action="store_true", help="keep the folder also if all is well")
    return parser.parse_args()


def plan_of(args: argparse.Namespace) -> Plan:
    """A run of fewer minutes has fewer faults in proportion, at least one of each kind."""
    if args.short:
        return Plan(SHORT_SECONDS, SHORT, args.rate or SHORT_RATE, args.seed, args.delivery)
    faults = {kind: max(1, round(count * args.minutes / 20)) for kind, count in FULL.items()}
    return Plan(args.minutes * 60 * LOADED, faults, args.rate or 1_500.0, args.seed, args.delivery)


def main() -> int:
    args, folder, console = arguments(), new_folder(), Console(width=140)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is away is what we are here for
    ok = False
    try:
        result = asyncio.run(run(plan_of(args), folder, lambda text: console.print(text, highlight=False)))
        show(result, console)
        if args.json:
            args.json.write_bytes(dump_json(as_json(result)))
        ok = result.ok
    finally:
        shutil.rmtree(folder / "kafka" / "data", ignore_errors=True)
        if ok and not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            console.print(f"logs: {folder}", highlight=False, soft_wrap=True)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
