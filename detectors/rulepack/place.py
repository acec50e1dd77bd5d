"""Where in a TOML file something stands: ``text/loan.toml:12``. The TOML reader itself does not say."""

from __future__ import annotations

import re

_STEP = re.compile(r"\.?([A-Za-z_][\w-]*)|\[(\d+)\]|\[\.\.\.\]")
_SYNTAX = re.compile(r"\(at line (\d+), column \d+\)")


def ids(name: str, toml: str) -> dict[str, str]:
    """``id -> file:line`` of every ``id = "..."`` in a file."""
    found = {}
    for n, line in enumerate(toml.splitlines(), 1):
        if match := re.match(r'\s*id\s*=\s*"([^"]+)"', line):
            found[match[1]] = f"{name}:{n}"
    return found


def of_error(name: str, toml: str, message: str) -> str:
    """``file:line`` of what msgspec complains about: a syntax error, or a value at ``$.rule[3].weight``."""
    if syntax := _SYNTAX.search(message):
        return f"{name}:{syntax[1]}"
    path = re.search(r"`\$([^`]*)`", message)
    return f"{name}:{_line(toml.splitlines(), path[1])}" if path else name


def _line(lines: list[str], path: str) -> int:
    """The line of ``.rule[3].weight``, or of the nearest table around it (1 if there is none)."""
    at, table = 0, ""
    for name, index in _STEP.findall(path):
        if index:
            heads = [n for n, line in enumerate(lines) if line.startswith(f"[[{table}]]")]
            at = heads[int(index)] if int(index) < len(heads) else at
        elif name:
            table = f"{table}.{name}".lstrip(".")
            own = re.compile(rf"\[+{re.escape(table)}\b|\s*{re.escape(name)}\s*=")
            at = next((n for n in range(at, _end(lines, at)) if own.match(lines[n])), at)
    return at + 1


def _end(lines: list[str], at: int) -> int:
    """Where the ``[[table]]`` that begins at ``at`` ends; the end of the file for what is in none."""
    following = range(at + 1, len(lines)) if at else ()
    return next((n for n in following if lines[n].startswith("[[")), len(lines))
