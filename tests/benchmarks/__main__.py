"""How fast it is, beside the floor and its peers: see the README beside this file.

python -m tests.benchmarks                          # everything, RESULTS.md, results.json and plots
python -m tests.benchmarks run --parts floor peers --rounds 3 -o .lanjie/bench
python -m tests.benchmarks smoke                    # ratios only, against the committed results
python -m tests.benchmarks render                   # RESULTS.md and plots again, from results.json
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from detectors.model.errors import LanjieError
from stream.cli.broker_process import KafkaUnavailable
from tests.benchmarks import render, run, schema, smoke
from tests.benchmarks.parts.peers import NAMES
from tests.benchmarks.verdict import findings
from tests.benchmarks.workload import NUMBERS

COMMITTED = Path(__file__).parent
ELSEWHERE = Path(".lanjie/bench")  # of a run that is not the whole one
QUICK = {
    "rounds": 2, "fewer": 1, "events": 30_000, "fewer_events": 30_000, "floor_events": 4_000, "numbers": 100_000,
    "memory_callers": 50_000, "quick": True,
}  # fmt: skip
COMMANDS = ("run", "smoke", "render")


def arguments(given: list[str]) -> argparse.Namespace:
    """``run`` may be left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    whole = commands.add_parser("run", help="measure, and write results and report")
    whole.add_argument("--parts", nargs="+", choices=run.PARTS, default=run.PARTS)
    whole.add_argument("--contenders", nargs="+", choices=NAMES, default=NAMES)
    whole.add_argument("--rounds", type=int, default=run.Plan.rounds)
    whole.add_argument("--events", type=int, default=run.Plan.events, help="of a contender in a round")
    whole.add_argument("--lists", "--numbers", dest="numbers", type=int, default=NUMBERS, help="numbers on them")
    whole.add_argument("--quick", action="store_true", help="small and rough, to try the benchmark itself")
    whole.add_argument("-o", "--output", type=Path, metavar="FOLDER", help=f"default: {ELSEWHERE} unless all is run")
    checked = commands.add_parser("smoke", help="ratios against committed ones; exit 1 if one is far below")
    checked.add_argument("--against", type=Path, default=COMMITTED / render.RESULTS, metavar="FILE")
    again = commands.add_parser("render", help="report and plots from a results file")
    again.add_argument("-o", "--output", type=Path, default=COMMITTED, metavar="FOLDER")
    if not given or (given[0] not in COMMANDS and given[0] not in ("-h", "--help")):
        given = ["run", *given]
    return parser.parse_args(given)


def plan_of(args: argparse.Namespace) -> run.Plan:
    """The whole plan, or a part of it."""
    plan = run.Plan(
        parts=tuple(args.parts),
        contenders=tuple(args.contenders),
        rounds=args.rounds,
        fewer=min(args.rounds, run.Plan.fewer),
        events=args.events,
        numbers=args.numbers,
    )
    return replace(plan, **QUICK) if args.quick else plan


def measure(args: argparse.Namespace) -> int:
    """Exit 0 also where a bar is not met: the report says so."""
    plan = plan_of(args)
    out = args.output or (COMMITTED if plan == run.Plan() else ELSEWHERE)
    results = run.measure(plan)
    schema.write(results, out / render.RESULTS)
    render.render(results, out)
    for finding in findings(results):
        print(f"{'met    ' if finding.met else 'NOT MET'}  {finding.requirement}: {finding.figure}")  # noqa: T201
    print(f"written: {out / render.REPORT}, {out / render.RESULTS}, {out / render.PLOTS}/")  # noqa: T201
    return 0


def main(given: list[str]) -> int:
    args = arguments(given)
    try:
        if args.command == "smoke":
            return smoke.main(args.against)
        if args.command == "render":
            render.render(schema.read(args.output / render.RESULTS), args.output)
            return 0
        return measure(args)
    except (LanjieError, KafkaUnavailable) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
