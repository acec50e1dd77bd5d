"""Measures what the project promises and writes QUALITY.md: `make quality`.

    python -m tests.benchmarks.quality --date 2026-11-25 [--data FOLDER] [--report-only]

Each section is a module beside this one and can be run by itself. Ends with 1 if a requirement is not met.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import time  # noqa: TID251 - a benchmark reads the clock
from importlib.metadata import PackageNotFoundError, version
from inspect import signature
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.report import Finding, Section, verdicts
from tests.benchmarks.sms_data import DATA

OUT = Path(__file__).with_name("QUALITY.md")
LIBRARIES = ("numpy", "pyahocorasick", "rapidfuzz", "opencc", "msgspec", "scikit-learn", "jieba", "pypinyin")


class Part(NamedTuple):
    """A section of the report."""

    title: str
    module: str
    requirement: str  #: said as a whole where the module does not say its requirements one by one


PARTS = (
    Part("Messages: rules alone", "sms", "Messages, rules alone"),
    Part("Messages: rules and the fitted score", "sms_score", "Messages, with the fitted score"),
    Part("Evasion", "evasion", "Evasion"),
    Part("Block-list churn", "churn", "Churn: as-of answers right for every date"),
    Part("Number lists at scale", "lists_scale", "Number lists"),
    Part("Campaigns", "campaign", "Campaigns"),
    Part("50,000 patterns", "patterns", "50,000 patterns: cost of a message at most 2 x of that at 2,000"),
)


def measure(part: Part, data: Path) -> Section:
    """Run one section. One that is not there is a requirement that is not met."""
    name = f"tests.benchmarks.{part.module}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        text = f"Not measured: `{error.name}` is missing.\n"
        return Section(text, (Finding(part.requirement, "not measured", met=False),))
    if hasattr(module, "section"):
        found: Section = module.section(data)
        return found
    text, met = module.markdown(*([data] if signature(module.markdown).parameters else []))
    return Section(text, (Finding(part.requirement, "see the section", met),))


def machine() -> str:
    """Where the figures come from."""
    versions = ", ".join(f"{name} {_version(name)}" for name in LIBRARIES)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} CPUs ({platform.machine()}, {platform.system()} {platform.release()}), load before the run "
        f"{load}; Python {platform.python_version()}; {versions}"
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def report(date: str, where: str, sections: list[tuple[Part, Section, float]]) -> str:
    """The whole file."""
    findings = [finding for _, section, _ in sections for finding in section.findings]
    missed = sum(not finding.met for finding in findings)
    seconds = sum(took for _, _, took in sections)
    head = (
        "# Quality\n\n"
        "Written by `make quality`; do not edit. The data are published collections that stay outside the repository "
        "(`../shared/data` beside the checkout, or `--data FOLDER`).\n\n"
        f"- date: {date}\n- machine: {where}\n- took: {seconds:.0f} s\n"
        f"- requirements: {len(findings) - missed} of {len(findings)} met\n\n## Summary\n\n{verdicts(findings)}\n"
    )
    body = (
        f"## {part.title}\n\n`python -m tests.benchmarks.{part.module}` ({took:.0f} s)\n\n{section.text}"
        for part, section, took in sections
    )
    return "\n".join((head, *body))


def main() -> None:
    """Measure, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER", help="where the published data is")
    parser.add_argument("--date", required=True, help="to be written into the report")
    parser.add_argument("-o", "--output", type=Path, default=OUT, metavar="FILE")
    parser.add_argument("--report-only", action="store_true", help="end with 0 also if a requirement is not met")
    args = parser.parse_args()
    if not (args.data / "sms").is_dir() or not (args.data / "number_lists").is_dir():
        sys.exit(
            f"nothing measured: {args.data} has no sms/ and number_lists/. The published data is no part of the "
            "repository; put it into ../shared/data beside the checkout, or name its folder with --data FOLDER."
        )
    where, sections = machine(), []
    for part in PARTS:
        started = time.perf_counter()
        section = measure(part, args.data)
        sections.append((part, section, time.perf_counter() - started))
        met = sum(finding.met for finding in section.findings)
        print(f"{part.title}: {met} of {len(section.findings)} met, {sections[-1][2]:.0f} s", file=sys.stderr)  # noqa: T201
    args.output.write_text(report(args.date, where, sections), encoding="utf-8")
    findings = [finding for _, section, _ in sections for finding in section.findings]
    print(verdicts(findings))  # noqa: T201
    sys.exit(not args.report_only and not all(finding.met for finding in findings))


if __name__ == "__main__":
    main()
