"""What travels on ``lists.numbers.v1`` and ``rules.v1``: small JSON records under keys, so that compaction keeps the
newest of each, every one with a header ``change`` that says who changed it, why, and who signed.

    lists.numbers.v1   feed/NAME                 the content of a list feed, its stage and its cap
                       check/NAME                how the last look at the feed's source ended
                       entry/LIST[@FEED]/PATTERN one number, added or suppressed by a person
                       brake/NAME                the feed ran away: it is in shadow
    rules.v1           pack                      the rule pack in force
                       stage/ID/VERSION          how far a rule has come; VERSION - is any
                       brake/ID/VERSION          the rule ran away
                       switch/enforcement        whether anything acts at all: the kill switch
                       appeals/ID                upheld against a rule or ``feed:NAME``

What is large, tables of numbers and rule packs, stands in ``contents.v1`` in parts, named by its digest and read from
the offset that a record names. A null value takes a record back.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from detectors.model.errors import LanjieError
from detectors.rollout import Cap, Mode, Share, Stage

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\Z")]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Words = Annotated[str, Meta(max_length=500)]
Whole = Annotated[int, Meta(ge=0, le=1 << 53)]  #: every number: what no float can hold would stop a reader later
ListName = Literal["grey", "block", "allow", "immutable", "protected"]

CHANGE: Final = "change"  #: the header
#: Who demotes what runs away. It may do nothing else, and nobody has its key.
BRAKE: Final = "brake"
ANY_VERSION: Final = "-"


class RecordError(LanjieError):
    """A record that cannot be used; what was in force stays.

    Attributes:
        code: ``malformed``, ``invalid_field``, ``unknown_key``, ``untrusted``, ``outdated``: labels a metric.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Record(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all values: a field that is not known is a mistake, or a newer build's; then this one keeps off."""


class Content(Record, frozen=True):
    """A blob in ``contents.v1``.

    Attributes:
        digest: SHA-256 of the whole, unpacked, in hex.
        offset: of its first part; compaction moves no record.
        parts: how many there are, one after the other but for the gaps of transactions.
        size: bytes, unpacked.
        count: entries or rules in it.
        serial: whatever its maker calls this version.
        made: ms UTC, when its maker made it.
    """

    digest: Digest
    offset: Whole
    parts: Annotated[int, Meta(ge=1, le=100_000)]
    size: Whole
    count: Whole
    serial: Annotated[str, Meta(min_length=1, max_length=64)]
    made: Whole


class FeedRecord(Record, frozen=True):
    """``feed/NAME``: ``content`` is in ``stage``; where it does not act, ``live`` does, if there is one."""

    content: Content
    stage: Mode
    share: Share = 0.0
    live: Content | None = None
    cap: Cap | None = None
    stale_after: Annotated[int, Meta(ge=1, le=1 << 31)] | None = None  #: seconds after which somebody should look


class CheckRecord(Record, frozen=True):
    """``check/NAME``: when the source of a feed was last looked at, and what was wrong with it ("": nothing)."""

    time: Whole
    problem: Words = ""


class EntryRecord(Record, frozen=True):
    """``entry/...``: a number, prefix, range or token as it is written in a list, put on a list or taken off.

    ``suppress`` takes it off the feeds (or one of them), also from what they will bring.
    """

    number: Annotated[str, Meta(min_length=1, max_length=300)]
    list: ListName
    op: Literal["add", "suppress"] = "add"
    feed: Name | None = None
    weight: Annotated[float, Meta(ge=0, le=200)] | None = None
    reason: Words = ""
    source: Annotated[str, Meta(max_length=100)] = "manual"
    added: Whole = 0
    expires: Whole | None = None


class PackRecord(Record, frozen=True):
    """``pack``: a zstd-compressed JSON object of file name -> text."""

    content: Content
    version: Annotated[str, Meta(max_length=64)]


class StageRecord(Record, frozen=True):
    """``stage/ID/VERSION``."""

    stage: Mode
    share: Share = 0.0
    cap: Cap | None = None


class AppealsRecord(Record, frozen=True):
    """``appeals/ID``: when they were upheld, ms UTC, of the last 30 days."""

    times: Annotated[tuple[Whole, ...], Meta(max_length=1_000_000)]


class BrakeRecord(Record, frozen=True):
    """``brake/...``: what ran away and why. It stands until somebody sets the stage anew. Nobody signs it, so it can do
    no more than put into shadow what has a cap.
    """

    reason: Words


class SwitchRecord(Record, frozen=True):
    """``switch/enforcement``: off, every event passes, and decisions only say what would have been done."""

    on: bool


Value = FeedRecord | CheckRecord | EntryRecord | PackRecord | StageRecord | AppealsRecord | BrakeRecord | SwitchRecord
LISTS_KINDS: Final = {"feed": FeedRecord, "check": CheckRecord, "entry": EntryRecord, "brake": BrakeRecord}
RULES_KINDS: Final = {
    "pack": PackRecord,
    "stage": StageRecord,
    "appeals": AppealsRecord,
    "brake": BrakeRecord,
    "switch": SwitchRecord,
}
SWITCH: Final = "switch/enforcement"
OFF: Final = SwitchRecord(on=False)
_RULE: Final = r"[A-Z][A-Z0-9_]{2,39}"
_FEED: Final = r"[a-z0-9][a-z0-9._-]{0,63}"
_VERSION: Final = r"([0-9]{1,9}|-)"
#: What follows the kind in a key. Names become labels of metrics: nothing else may be one.
KEYS: Final = {
    "feed": re.compile(rf"/{_FEED}\Z"),
    "check": re.compile(rf"/{_FEED}\Z"),
    "entry": re.compile(r"/(?s:.){1,400}\Z"),
    "pack": re.compile(r"\Z"),
    "stage": re.compile(rf"/{_RULE}/{_VERSION}\Z"),
    "appeals": re.compile(rf"/({_RULE}|feed:{_FEED})\Z"),
    "brake": re.compile(rf"/({_RULE}/{_VERSION}|{_FEED})\Z"),
    "switch": re.compile(r"/enforcement\Z"),
}
#: Have no stage: what they protect or allow, or what settings say of faults, is so in every one.
NEVER_STAGED: Final = ("PROTECTED", "LIST_ALLOW", "FAILED_CLOSED")


class Change(Struct, frozen=True, omit_defaults=True):
    """The header of every record: one change may have several.

    Attributes:
        serial: of the change, in ``changes.v1``.
        time: ms UTC by its author's clock; for one key it only rises.
        records: how many records the change has: it takes effect when all are there.
        signatures: name -> Ed25519 signature over ``signed_bytes``, base64.
    """

    serial: Whole
    author: Annotated[str, Meta(min_length=1, max_length=64)]
    action: Annotated[str, Meta(min_length=1, max_length=64)]
    target: Annotated[str, Meta(max_length=300)]
    reason: Words
    time: Whole
    records: Annotated[int, Meta(ge=1, le=1 << 20)] = 1
    signatures: dict[str, str] = {}


class Written(Struct, frozen=True):
    """A record as it is on its topic. ``topic`` is the name without prefix; ``value`` None takes ``key`` back."""

    topic: str
    key: str
    value: bytes | None
    change: Change


def stage_key(rule: str, version: str) -> str:
    """The key of a rule's stage; ``version`` "" is any."""
    return f"stage/{rule}/{version or ANY_VERSION}"


def entry_key(value: EntryRecord) -> str:
    """The key of a manual entry."""
    return f"entry/{value.list}{f'@{value.feed}' if value.feed else ''}/{value.number}"


def stage_of(value: FeedRecord | StageRecord, serial: int, version: str = "") -> Stage:
    """What the engine makes of it. ``serial``: of the change that set it."""
    return Stage(value.stage, value.share, version, value.cap, serial)


def signed_bytes(topic: str, key: str, value: bytes | None, change: Change) -> bytes:
    """What a signature is over: all of a record but the serial, which it gets when it is written, and signatures."""
    said = [change.author, change.action, change.target, change.reason, change.time, change.records]
    digest = "" if value is None else hashlib.sha256(value).hexdigest()
    return b"lanjie-change-v1\n" + msgspec.json.encode([topic, key, digest, *said])


def encode(value: Value) -> bytes:
    """The value as it goes on the wire."""
    return msgspec.json.encode(value)


_decoders: dict[str, Any] = {name: msgspec.json.Decoder(kind) for name, kind in (LISTS_KINDS | RULES_KINDS).items()}
_change = msgspec.json.Decoder(Change)


def check_key(key: str) -> None:
    """Let a key pass that is one.

    Raises:
        RecordError: it is none.
    """
    kind, slash, _ = key.partition("/")
    if kind not in KEYS or not KEYS[kind].match(key, len(kind)):
        raise RecordError("unknown_key", "key: none that this build knows; update the worker, or it is a mistake")
    if kind in ("stage", "brake") and slash and key.split("/")[1] in NEVER_STAGED:
        raise RecordError("untrusted", f"key: what {' or '.join(NEVER_STAGED)} says is so in every stage")


def decode(key: str, value: bytes) -> Value:
    """The value under a key.

    Raises:
        RecordError: names the field as ``$.path``, never a value.
    """
    decoder = _decoders.get(key.partition("/")[0])
    if decoder is None:
        raise RecordError("unknown_key", "key: no kind of record that this build knows; update the worker")
    return _decoded(decoder, value, "")  # type: ignore[no-any-return]


def decode_change(header: bytes | None) -> Change:
    """The header.

    Raises:
        RecordError: it is missing or no such header.
    """
    if header is None:
        raise RecordError("untrusted", f"header {CHANGE}: missing; expected who changed this and why")
    return _decoded(_change, header, f"header {CHANGE}: ")  # type: ignore[no-any-return]


def _decoded(decoder: Any, data: bytes, where: str) -> Any:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise RecordError("invalid_field", f"{where}{_hidden(str(error))}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RecordError("malformed", f"{where}not JSON in UTF-8; expected one object") from None


def _hidden(text: str) -> str:
    """What msgspec says without the values, or the names of unknown fields, that it quotes."""
    text, _, path = text.partition(" - at ")
    if text.startswith("Object contains unknown field"):
        text = "an unknown field; a newer build's, or a mistake"
    elif not text.startswith("Object missing"):
        text = text.split("'")[0].strip()
    return f"{text} at {path}" if path else text
