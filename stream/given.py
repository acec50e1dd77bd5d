"""What settings are given, and where: the environment, and a flat TOML file, over which the environment wins.

Here they are texts with a place; ``settings.py`` reads them. What it does not know is refused, with the nearest name
that it does: a mistyped setting would otherwise keep its default in silence.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple

from detectors.model.errors import LanjieError

PREFIX: Final = "LANJIE_"
#: Names the file.
CONFIG: Final = PREFIX + "CONFIG"
#: Variables that are no settings of the pipeline.
OTHERS: Final = (CONFIG, PREFIX + "DATA", PREFIX + "IMAGE")  # loadtest/real_log.py; docker-compose.yml
#: What Kubernetes and Docker links put into every container beside a service that is called ``lanjie`` or ``lanjie-x``.
_LINK: Final = re.compile(
    r"LANJIE_(\w+?_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
_LINK_PORT: Final = re.compile(r"(tcp|udp)://")


class SettingsError(LanjieError):
    """A setting cannot be used."""


class Setting(NamedTuple):
    """What is known of a setting beside its type and default: all that is told of it anywhere comes from here.

    Attributes:
        read: from its text; raises ValueError or KeyError.
        expected: what is allowed, in words.
        meaning: what it does.
        secret: where a secret may be by mistake, as in the place of its file: what is wrong with it is never shown.
        parted: what parts its items, if it has several; in TOML they are an array.
    """

    read: Callable[[str], Any]
    expected: str
    meaning: str
    secret: bool = False
    parted: str = ""


class Given(NamedTuple):
    """A setting's text, and for people where it is given: a variable, or ``file:line``, without and with the name."""

    text: str
    place: str
    label: str


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def given(environ: Mapping[str, str], known: Mapping[str, Setting]) -> dict[str, Given]:
    """By name, what ``environ`` and the file that it names say.

    Raises:
        SettingsError: the file cannot be read, or a name is unknown.
    """
    _refuse_unknown(environ, {variable(name) for name in known} | set(OTHERS))
    found = in_file(Path(path), known) if (path := environ.get(CONFIG)) else {}
    for name in known:
        if (text := environ.get(place := variable(name))) is not None:
            found[name] = Given(text, place, place)
    return found


def _refuse_unknown(environ: Mapping[str, str], known: Collection[str]) -> None:
    for name in sorted(each for each in environ if each.startswith(PREFIX) and each not in known):
        link = _LINK.fullmatch(name)
        if not link or (link[2] == "PORT" and not _LINK_PORT.match(environ[name])):
            raise SettingsError(f"{name}: no such setting{_nearest(name, known)}; `lanjie config` lists them")


def in_file(path: Path, known: Mapping[str, Setting]) -> dict[str, Given]:
    """The same of a file alone.

    Raises:
        SettingsError: as above; the line is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; expected a TOML file of settings") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(_where(path, text, str(error))) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8; expected a TOML file of settings") from None
    found = {}
    for name, value in content.items():
        place = f"{path}:{line}" if (line := _line(text, name)) else str(path)
        if (setting := known.get(name)) is None:
            hint = "expected `name = value` lines without sections" if isinstance(value, dict) else "no such setting"
            raise SettingsError(
                f"{place}: {name}: {hint}{_nearest(name, known)}; `lanjie config --toml` shows them all"
            )
        if (given_text := _text(value, setting.parted)) is None:
            raise SettingsError(f"{place}: {name}: expected {setting.expected}, as a text, number, true or false")
        found[name] = Given(given_text, place, f"{place}: {name}")
    return found


def _text(value: Any, parted: str) -> str | None:
    """The value as a variable would have it; None: no setting looks like this."""
    match value:
        case bool():
            return "on" if value else "off"
        case int() | float():
            return repr(value)
        case str():
            return value
        case [*items] if parted and all(isinstance(item, str) for item in items):
            return parted.join(items)
    return None


def _line(text: str, name: str) -> int:
    """Where a key begins; 0 if that cannot be told. What looks like it inside a longer text or array is not it."""
    lines = text.splitlines(keepends=True)
    begins = re.compile(rf"\s*\[*\s*([\"']?){re.escape(name)}\1\s*[=.\]]")
    for number, line in enumerate(lines):
        if begins.match(line):
            try:
                tomllib.loads("".join(lines[:number]))
            except tomllib.TOMLDecodeError:
                continue
            return number + 1
    return 0


def _where(path: Path, text: str, said: str) -> str:
    """tomllib's message, with the place in front."""
    what, _, where = said.rstrip(")").rpartition(" (at ")
    line = found[0] if (found := re.search(r"\d+", where)) else str(len(text.splitlines()))
    return f"{path}:{line}: is no TOML: {what}"


def _nearest(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f", perhaps {close[0]}" if close else ""
