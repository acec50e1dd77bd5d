"""What a section of QUALITY.md is: a text, and findings against requirements."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.sms_data import DATA


class Finding(NamedTuple):
    """One requirement and what was measured."""

    requirement: str
    figure: str
    met: bool


class Section(NamedTuple):
    """What one benchmark says."""

    text: str
    findings: tuple[Finding, ...]

    def markdown(self) -> tuple[str, bool]:
        """The text with the findings on top, and whether all requirements are met."""
        return f"{verdicts(self.findings)}\n\n{self.text}", all(finding.met for finding in self.findings)


def verdicts(findings: Iterable[Finding]) -> str:
    """Requirement, figure, met or not met."""
    rows = [(f.requirement, f.figure, "met" if f.met else "**not met**") for f in findings]
    return table(("requirement", "figure", ""), rows)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; a head that begins with ``>`` puts its column to the right."""
    marks = ("---:" if head.startswith(">") else "---" for head in heads)
    lines = ["| " + " | ".join(head.removeprefix(">") for head in heads) + " |", "|" + "|".join(marks) + "|"]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def percent(part: int, whole: int, places: int = 2) -> str:
    """``part`` of ``whole``; "-" of nothing."""
    return f"{100 * part / whole:.{places}f} %" if whole else "-"


def run(doc: str | None, section: Callable[[Path], Section]) -> None:
    """The command line of one section: print it, and fail if a requirement is not met."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER", help="where the published data is")
    text, passed = section(parser.parse_args().data).markdown()
    print(text)  # noqa: T201
    sys.exit(not passed)
