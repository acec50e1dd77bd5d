"""Bytes that hold numbers and messages, shown so that one sees what is wrong with them and not what they say.

A digit becomes ``#``, a letter ``x``, whatever is not ASCII ``*``, a control character ``.``; punctuation and spaces
stay. Of JSON the field names stay, and the words that our schema itself defines (``"phase": "attempt"``). What comes
out is ASCII, and but for our own field names (``a_e164``) never has three digits in a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec.inspect import LiteralType, StructType, type_info

from detectors.model.events import KINDS

LEGEND: Final = "# a digit, x a letter, * not ASCII, . a control character"
MORE: Final = "..."
SHOWN_CHARS: Final = 4_000  # of a value
SHOWN_LITERAL: Final = 80  # of a string in it, of a key or a header
SHOWN_BYTES: Final = 256  # of what is no text
_LOOKED_AT: Final = 64 << 10  # characters of a value: more than the longest SMS has
_ROW: Final = 32

_CLASSES: Final = ((re.compile(r"[0-9]"), "#"), (re.compile(r"[A-Za-z]"), "x"), (re.compile(r"[^\x00-\x7f]"), "*"),
                   (re.compile(r"[\x00-\x09\x0b-\x1f\x7f]"), "."))  # fmt: skip
_PIECE: Final = re.compile(
    r'"v"[ ]?:[ ]?[0-9]{1,2}(?![0-9])'  # the schema version
    r'|"(?P<literal>(?:[^"\\\n]|\\.)*+)(?P<close>"?)(?P<colon>[ ]?:)?'
    r"|(?<![\w.])(?:true|false|null)(?![\w.])"
)
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}")
#: What begins with these bytes is not what a topic of events should hold, and is worth a word.
_KNOWN: Final = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\xac\xed": "a Java object",
    b"\x00\x00\x00": "an Avro or Protobuf record of a schema registry",
}


def _schema() -> Iterator[str]:
    """The field names and words that events are made of."""
    for kind, cls in KINDS.items():
        yield from (kind, "kind")
        info = type_info(cls)
        assert isinstance(info, StructType)  # noqa: S101 - for the type checker  # nosec B101
        for each in info.fields:
            yield each.encode_name
            if isinstance(each.type, LiteralType):
                yield from (value for value in each.type.values if isinstance(value, str))


_SCHEMA: Final = frozenset(_schema())


def masked(value: bytes | None, limit: int = SHOWN_LITERAL) -> str:
    """A key or a header's value in one line."""
    if value is None:
        return "null"
    return _short(_by_class(value[: 4 * limit + 4].decode("utf-8", "replace")).replace("\n", "."), limit)


def masked_name(name: str) -> str:
    """The name of a field or header: as it is, unless a number or a text may hide in it."""
    plain = _FIELD.fullmatch(name) and sum(map(str.isdigit, name)) < 3
    return name if plain else _short(_by_class(name).replace("\n", "."), SHOWN_LITERAL)


def form(value: bytes) -> str:
    """What the bytes are, in words; ``JSON`` if they are."""
    if not value:
        return "empty"
    try:
        msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        known = (f"bytes, perhaps {name}" for start, name in _KNOWN.items() if value.startswith(start))
        return "text, not JSON" if _text(value) is not None else next(known, "bytes, neither text nor JSON")
    return "JSON"


def masked_value(value: bytes) -> list[str]:
    """A value in lines: JSON laid out, other text as it is laid out, other bytes in rows of 32."""
    text = _text(value)
    if text is None:
        row = value[:SHOWN_BYTES].decode("latin-1")
        lines = [_by_class(row[n : n + _ROW].replace("\n", "\r")) for n in range(0, len(row), _ROW)]
        return [*lines, *([MORE] if len(value) > SHOWN_BYTES else [])]
    whole = form(value) == "JSON"
    if whole:
        text = msgspec.json.format(text, indent=2)
    shown, found, end = text[:_LOOKED_AT], list[str](), 0
    for piece in _PIECE.finditer(shown):
        found += _by_class(shown[end : piece.start()]), _piece(piece, whole=whole)
        end = piece.end()
    found.append(_by_class(shown[end:]))
    out = _short("".join(found), SHOWN_CHARS)
    return [*out.split("\n"), *([MORE] if len(text) > len(shown) and not out.endswith(MORE) else [])]


def _piece(piece: re.Match[str], *, whole: bool) -> str:
    """``whole``: it is JSON, so that what looks like a field is one, and no part of a message."""
    literal = piece["literal"]
    if literal is None:
        return piece[0]
    if literal in _SCHEMA:
        return piece[0]
    if piece["colon"] and whole:
        return f'"{masked_name(literal)}"{piece["colon"]}'
    return f'"{_short(_by_class(literal), SHOWN_LITERAL)}{piece["close"]}{piece["colon"] or ""}'


def _by_class(text: str) -> str:
    for chars, sign in _CLASSES:
        text = chars.sub(sign, text)
    return text


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + MORE


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
