"""Settings as people and tools see them: rows, a TOML file, the README's table. All from what ``Settings`` declares.

Nothing here is secret: settings hold the names of files, never what is in them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, Final, NamedTuple

from stream.given import Given
from stream.setting_kinds import ListFile
from stream.settings import Settings, known, variable

DEFAULT: Final = "default"
_HEAD: Final = """\
# Settings of lanjie, for --config or LANJIE_CONFIG. What is commented out is at its default.
# Files are looked for from where lanjie is started. Variables (LANJIE_GROUP) win over this file, options over both.
"""


class Row(NamedTuple):
    """A setting, its value in force as a text ("": none), and where that comes from."""

    name: str
    value: str
    origin: str
    default: str
    allowed: str
    meaning: str


def rows(settings: Settings, given: Mapping[str, Given]) -> list[Row]:
    """All settings, in the order in which they are declared."""
    defaults = {each.name: each.default for each in fields(Settings)}
    return [
        Row(
            name,
            _plain(getattr(settings, name)),
            given[name].place if name in given else DEFAULT,
            _plain(defaults[name]),
            setting.expected,
            setting.meaning,
        )
        for name, setting in known().items()
    ]


def page(found: list[Row]) -> Iterator[str]:
    """Lines for a person."""
    wide, wider = (max(len(row[n]) for row in found) for n in (0, 1))
    for row in found:
        yield f"{row.name:<{wide}}  {row.value or '-':<{min(wider, 40)}}  {row.origin}"
        yield f"    {row.meaning} Allowed: {row.allowed}."


def as_json(found: list[Row]) -> dict[str, dict[str, str]]:
    """By name."""
    return {row.name: {"variable": variable(row.name), **row._asdict()} for row in found}


def as_toml(settings: Settings, given: Mapping[str, Given]) -> str:
    """A file that is read as these settings; what nobody gave is there, commented out."""
    parts = [_HEAD]
    for name, setting in known().items():
        line = f"{name} = {_toml(getattr(settings, name), parted=bool(setting.parted))}"
        parts.append(f"# {setting.meaning}\n# Allowed: {setting.expected}\n{line if name in given else f'#{line}'}\n")
    return "\n".join(parts)


def readme_table() -> Iterator[str]:
    """The lines of the table in ``stream/README.md``."""
    yield "| variable | default | allowed | |"
    yield "|---|---|---|---|"
    for row in rows(Settings(), {}):
        default = f"`{row.default}`" if row.default else ""
        yield f"| `{variable(row.name)}` | {default} | {row.allowed} | {row.meaning} |"


def _plain(value: Any) -> str:
    """As a variable has it."""
    match value:
        case None | bool():
            return {None: "", True: "on", False: "off"}[value]
        case float():
            return f"{value:g}"
        case Enum():
            return str(value.value)
        case tuple():
            return os.pathsep.join(map(_plain, value))
        case ListFile():
            return f"{value.kind.name.lower()}:{value.path}"
    return str(value)


def _toml(value: Any, *, parted: bool) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case tuple():
            return f"[{', '.join(_text(_plain(item)) for item in value)}]"
        case str() if parted:
            return f"[{', '.join(map(_text, value.split(',')))}]"
    return _text(_plain(value))


def _text(text: str) -> str:
    """TOML's basic strings are JSON's, but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
