"""Keywords that senders disguise, and the disguised forms that are looked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from detectors.model.errors import RuleError
from detectors.rulepack.schema import Data, FraudClass

FormKind = Literal["pinyin", "initials", "mixed", "split", "look_alike", "sound_alike", "martian", "digits", "alias"]
Forms = Mapping[str, Mapping[FormKind, tuple[str, ...]]]  #: word -> kind -> patterns, as normalised

KEYWORDS, FORMS = "keywords.toml", "forms.json"


class Keyword(Data, frozen=True):
    """A word, and which forms of it are looked for."""

    word: Annotated[str, Meta(min_length=2, max_length=12)]
    fraud_class: FraudClass = msgspec.field(name="class")
    forms: tuple[FormKind, ...] = ()  #: empty: all kinds
    aliases: tuple[str, ...] = ()
    never: tuple[str, ...] = ()  #: forms that are ordinary after all


class KeywordFile(Data, frozen=True):
    """``keywords.toml``."""

    keyword: tuple[Keyword, ...]


def read_forms(data: bytes) -> Forms:
    """``forms.json``.

    Raises:
        RuleError: it is damaged.
    """
    try:
        return msgspec.json.decode(data, type=dict[str, dict[FormKind, tuple[str, ...]]])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RuleError(f"{FORMS}: {error}; write it again with `lanjie rules expand --write`") from None


def write_forms(forms: Forms) -> bytes:
    """The same, a keyword a line, so that a change shows as the lines that changed."""
    encoder = msgspec.json.Encoder()
    lines = [encoder.encode(word) + b": " + encoder.encode(kinds) for word, kinds in forms.items()]
    return b"{\n" + b",\n".join(lines) + b"\n}\n"
