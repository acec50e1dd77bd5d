"""The runbook, read from deploy/README.md: a section for each alert."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

README: Final = Path(__file__).parents[1] / "README.md"
_SECTION: Final = re.compile(r"^### (Lanjie\w+)\n+(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)


@cache
def sections() -> dict[str, str]:
    """Alert -> its section, Markdown, in the order of the file."""
    return {name: text.strip() for name, text in _SECTION.findall(README.read_text(encoding="utf-8"))}


def panel_of(alert: str) -> int:
    """The number of its panel on the runbook dashboard.

    Raises:
        KeyError: the runbook does not know this alert.
    """
    known = list(sections())
    if alert not in known:
        raise KeyError(f"deploy/README.md: no section ### {alert}; the panel that names it cannot be linked")
    return known.index(alert) + 1
