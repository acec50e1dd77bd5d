"""Kinds of settings that several have, or that need more than a line to read: a reader and what it expects."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from detectors.lists import ListKind
from stream.readers import file, host_port, matching, path

_KINDS: Final = {kind.name.lower(): kind for kind in ListKind}
NAME: Final = (matching(r"[a-zA-Z0-9._-]{1,200}"), "letters, digits, dots, dashes and underscores")  # as Kafka has them
FILE: Final = (file, "a file that is there")
FOLDER: Final = (path, "a folder")
LISTS: Final = f"files parted by {os.pathsep!r}, each after KIND: or not; KIND is {', '.join(_KINDS)}"


@dataclass(frozen=True, slots=True)
class ListFile:
    """A number list on disk, and the list that its entries are on unless they say otherwise."""

    path: Path
    kind: ListKind = ListKind.BLOCK


def read_lists(text: str) -> tuple[ListFile, ...]:
    """``:`` parts the files and also a kind from its file; a part that is the name of a list is never a file."""
    found: list[ListFile] = []
    parts = iter(part for part in text.split(os.pathsep) if part)
    for part in parts:
        kind, _, name = part.partition(":")
        if kind not in _KINDS:
            found.append(ListFile(Path(part)))
        elif name := name or next(parts, ""):
            found.append(ListFile(Path(name), _KINDS[kind]))
        else:
            raise ValueError
    return tuple(found)


def endpoint(text: str) -> str:
    """The address of a collector, to which the path of OTLP is put."""
    scheme, _, address = text.removesuffix("/").partition("://")
    if scheme not in {"http", "https"}:
        raise ValueError
    return f"{scheme}://{host_port(address)}"
