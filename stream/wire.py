"""Bytes to events and decisions to bytes: JSON values, CloudEvents 1.0 headers (Kafka binding, binary mode).

Decoding validates: types, ranges, lengths. What does not decode is a ``WireError`` whose ``code`` is one of a
closed set (it labels a metric) and whose text names the field as ``$.path`` and never shows the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
import orjson

from detectors.model.decision import Decision
from detectors.model.errors import LanjieError
from detectors.model.events import KIND_OF, CallEvent, CardEvent, Event, SmsEvent

CODES = ("tombstone", "malformed", "unknown_version", "wrong_kind", "invalid_field", "nul")
SOURCE = "/lanjie"  # CloudEvents source of what we publish ourselves

_DECODERS: dict[str | None, msgspec.json.Decoder[Event]] = {
    "call": msgspec.json.Decoder(CallEvent),
    "sms": msgspec.json.Decoder(SmsEvent),
    "card": msgspec.json.Decoder(CardEvent),
    None: msgspec.json.Decoder(Event),
}
_encode = msgspec.json.Encoder().encode
encode_decision: Callable[[Decision], bytes] = _encode  #: the decision as it goes on the wire
_decode_decision = msgspec.json.Decoder(Decision).decode
_VALUE = re.compile(r"(Invalid (?:value|enum value)) .* - at")
_AT = re.compile(r"`(\$[^`]*)`")


class WireError(LanjieError):
    """Bytes that are not an event.

    Attributes:
        code: one of ``CODES``.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def decode_event(value: bytes | None, kind: str | None = None) -> Event:
    """The event in ``value``.

    Args:
        value: a Kafka record's value or a line of a log.
        kind: ``call``, ``sms`` or ``card``; None takes any, told by its ``kind`` field.

    Raises:
        WireError: the bytes are no such event.
    """
    if value is None:
        raise WireError("tombstone", "$: null value (tombstone); expected a JSON object")
    try:
        event = _DECODERS[kind].decode(value)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("malformed", f"$: not JSON in UTF-8 ({_position(error)}); expected one object") from None
    if b"\\u0000" in value:
        _refuse_nul(event)
    return event


def decode_events(values: Sequence[bytes | None], kind: str | None) -> tuple[list[Event], dict[int, WireError]]:
    """The events in the values of a chunk, in order; and by position what is wrong with those that are none.

    A chunk in which all is well, as nearly every one, costs little more than the decoding itself.
    """
    decode = _DECODERS[kind].decode
    try:
        if b"\\u0000" not in b"\n".join(values):  # type: ignore[arg-type]
            return [decode(value) for value in values], {}  # type: ignore[arg-type]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError):
        pass  # told event by event
    events: list[Event] = []
    errors: dict[int, WireError] = {}
    for i, value in enumerate(values):
        try:
            events.append(decode_event(value, kind))
        except WireError as error:
            errors[i] = error
    return events, errors


def _invalid(text: str, kind: str | None) -> WireError:
    """msgspec names the field; it may also quote the value of a choice, which we cut."""
    text = _VALUE.sub(r"\1 - at", text)
    field = found[1] if (found := _AT.search(text)) else "$"
    if field == "$.v":
        return WireError("unknown_version", "$.v: unknown schema version; this build reads 1: update the worker")
    if field == "$.kind":
        return WireError("wrong_kind", f"$.kind: expected {kind or 'call, sms or card'}; is this the right topic?")
    if missing := re.search(r"missing required field `(\w+)`", text):
        field = f"{field}.{missing[1]}" if field != "$" else f"$.{missing[1]}"
    return WireError("invalid_field", f"{field}: {text}")


def _position(error: Exception) -> str:
    text = str(error)
    return text if text.startswith(("JSON is malformed", "Input data was truncated")) else type(error).__name__


def _refuse_nul(event: Event) -> None:
    for name in event.__struct_fields__:
        if isinstance(value := getattr(event, name), str) and "\0" in value:
            raise WireError("nul", f"$.{name}: holds U+0000, which no SMS alphabet or number has")


def encode_event(event: Event) -> bytes:
    """The event as it goes on the wire."""
    return _encode(event)


def ce_headers(event: Event) -> list[tuple[str, bytes]]:
    """CloudEvents 1.0 attributes as Kafka headers (binary content mode)."""
    phase = "received" if isinstance(event, SmsEvent) else event.phase
    moment = datetime.fromtimestamp(event.time / 1000, UTC).isoformat(timespec="milliseconds")
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.id.encode()),
        ("ce_source", SOURCE.encode()),
        ("ce_type", f"lanjie.{KIND_OF[type(event)]}.{phase}.v{event.v}".encode()),
        ("ce_time", moment.replace("+00:00", "Z").encode()),
        ("content-type", b"application/json"),
    ]


def ce_decision(kind: str) -> list[tuple[str, bytes]]:
    """The same of a decision about an event of that kind, but for ``ce_id``, which is the event's. No ``ce_time``: it
    is the event's too, and no ``ce_subject``: headers are shown where numbers must not be.
    """
    return [
        ("ce_specversion", b"1.0"),
        ("ce_source", f"{SOURCE}/decisions".encode()),
        ("ce_type", f"lanjie.decision.{kind}.v1".encode()),
        ("content-type", b"application/json"),
    ]


def decode_decision(value: bytes) -> Decision:
    """A decision read back from its topic or file.

    Raises:
        WireError: the bytes are no decision of this version.
    """
    try:
        return _decode_decision(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("malformed", f"$: no decision ({type(error).__name__})") from None


def dump_json(value: object) -> bytes:
    """A report for people and tools: sorted, indented, a newline at the end."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
