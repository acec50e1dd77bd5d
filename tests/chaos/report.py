"""What a chaos run found, for people and for tools."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.chaos.faults import Fault
from tests.chaos.run import Result


def recoveries(faults: list[Fault]) -> dict[str, dict[str, Any]]:
    """By kind: how many, and seconds from the end of the fault to recovery."""
    found: dict[str, dict[str, Any]] = {}
    for kind in dict.fromkeys(fault.kind for fault in faults):
        mine = [fault for fault in faults if fault.kind == kind]
        took = [fault.seconds for fault in mine if fault.seconds is not None]
        alone = [fault.seconds for fault in mine if fault.seconds is not None and not fault.met]
        found[kind] = {
            "n": len(mine),
            "recovered": len(took),
            "median": round(statistics.median(took), 1) if took else None,
            "max": round(max(took), 1) if took else None,
            "alone": len(alone),
            "median_alone": round(statistics.median(alone), 1) if alone else None,
            "max_from_start": round(max((f.outage for f in mine if f.outage is not None), default=0.0), 1),
        }
    return found


def exits_by_fault(result: Result) -> dict[str, dict[str, int]]:
    """Exit codes of workers by the faults that went on; those that we killed ourselves are left out."""
    found: dict[str, Counter[str]] = {}
    for end in result.exits:
        if end.code in (1, 75):
            found.setdefault(" + ".join(end.during) or "none", Counter())[str(end.code)] += 1
    return {during: dict(codes) for during, codes in found.items()}


def as_json(result: Result) -> dict[str, Any]:
    """All of it."""
    plan = result.plan
    return {
        "ok": result.ok,
        "plan": {"seconds": plan.seconds, "rate": plan.rate, "seed": plan.seed, "delivery": plan.delivery},
        "seconds": result.seconds,
        "publisher_late_seconds": round(result.late, 1),
        "recovery": recoveries(result.faults),
        "faults": [
            {"kind": f.kind, "what": f.what, "started": f.started, "ended": f.ended, "flows": f.flows,
             "recovered": f.recovered, "met": f.met, "stuck": f.stuck}
            for f in result.faults
        ],
        "checks": [check._asdict() for check in result.checks],
        "counts": dict(result.outcome.counts),
        "actions": dict(result.outcome.actions),
        "exits": [
            {"worker": e.worker, "code": e.code, "lived": e.lived, "told": e.told, "during": e.during}
            for e in result.exits
        ],
        "exits_by_fault": exits_by_fault(result),
        "resident_mib": result.resident,
    }  # fmt: skip


def show(result: Result, console: Console) -> None:
    """Two tables."""
    table = Table(title="recovery, seconds from the end of the fault")
    for name in ("fault", "n", "median", "max", "alone", "median alone", "max from its start"):
        table.add_column(name, justify="left" if name == "fault" else "right")
    for kind, row in recoveries(result.faults).items():
        count = f"{row['n']}" if row["recovered"] == row["n"] else f"{row['recovered']} of {row['n']}"
        cells = (row["median"], row["max"], row["alone"], row["median_alone"], row["max_from_start"])
        table.add_row(kind, count, *("-" if cell is None else f"{cell}" for cell in cells))
    console.print(table)
    table = Table(title=f"checks, {result.plan.delivery}, seed {result.plan.seed}")
    table.add_column("")
    table.add_column("check")
    table.add_column("found", overflow="fold")
    for check in result.checks:
        table.add_row("ok" if check.ok else "[red]FAILED[/]", check.name, "\n".join([check.found, *check.shown]))
    console.print(table)
    for during, codes in exits_by_fault(result).items():
        console.print(f"workers that failed during {during}: {codes}", highlight=False)
    resident = ", ".join(f"{name} {mib:.0f} MiB" for name, mib in result.resident.items())
    phases = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in result.seconds.items())
    console.print(f"resident at the end: {resident}\n{phases}; the publisher was {result.late:.1f} s late at most")
