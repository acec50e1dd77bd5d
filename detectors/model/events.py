"""Events as they arrive: call signalling, SMS and the SIM-card life cycle.

One JSON object each. ``kind`` names the type, ``v`` the schema version. Within a version only optional
fields are added and unknown fields are ignored, so old bytes go on decoding (tests/contract/samples).

Units and standards: ``time`` is event time in milliseconds UTC since 1970; numbers are kept as signalled
(``a_number``, ``b_number``) with an optional E.164 form (ITU-T E.164) when the switch has already
normalised them; ``release_cause`` is ITU-T Q.850; PLMN is MCC+MNC (3GPP TS 23.003); ``imei_hash`` and
``identity_hash`` are keyed hashes made by the operator: the clear values never enter.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

MIN_TIME_MS = 946_684_800_000  # 2000-01-01: anything older is seconds mistaken for milliseconds
MAX_TIME_MS = 4_102_444_800_000  # 2100-01-01
MAX_TEXT = 39_015  # 255 segments of 153 septets (3GPP TS 23.040, 9.2.3.24.1): the longest SMS there is

EventId = Annotated[str, Meta(min_length=1, max_length=64)]
TimeMs = Annotated[int, Meta(ge=MIN_TIME_MS, lt=MAX_TIME_MS)]
RawNumber = Annotated[str, Meta(max_length=32)]  # "" is a withheld CLI
E164 = Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{3,14}\Z")]
Plmn = Annotated[str, Meta(pattern=r"^[0-9]{5,6}\Z")]
Token = Annotated[str, Meta(max_length=64)]
DurationMs = Annotated[int, Meta(ge=0, le=7 * 86_400_000)]
CardCount = Annotated[int, Meta(ge=0, le=1_000_000)]
ConcatRef = Annotated[int, Meta(ge=0, le=65_535)]
SegmentNo = Annotated[int, Meta(ge=1, le=255)]


class _Base(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag_field="kind"):
    id: EventId  #: unique for ever; a decision carries it, so a redelivered event changes nothing downstream
    time: TimeMs
    v: Literal[1] = 1
    a_e164: E164 | None = None
    imei_hash: Token | None = None
    visited_plmn: Plmn | None = None  #: the network roamed in; None at home


class CallEvent(_Base, tag="call", frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One leg event of a call: its attempt, its answer or its end."""

    a_number: RawNumber
    b_number: RawNumber
    phase: Literal["attempt", "answered", "ended"] = "attempt"
    b_e164: E164 | None = None
    direction: Literal["originating", "terminating"] = "originating"
    presented_cli: RawNumber | None = None  #: what the callee's phone shows
    network_cli: RawNumber | None = None  #: what the network itself asserts (P-Asserted-Identity / ISUP)
    route: Literal["national", "international"] = "national"  #: whether it came in through an international gateway
    cell: Token | None = None
    ring_ms: DurationMs | None = None
    talk_ms: DurationMs | None = None
    release_cause: Annotated[int, Meta(ge=0, le=127)] | None = None


class SmsEvent(_Base, tag="sms", frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One SMS, or segment ``segment`` of ``segments`` of a long one, at the SMSC."""

    a_number: RawNumber
    b_number: RawNumber
    text: Annotated[str, Meta(max_length=MAX_TEXT)]
    b_e164: E164 | None = None
    encoding: Literal["gsm7", "ucs2", "8bit"] = "ucs2"
    segment: SegmentNo = 1
    segments: SegmentNo = 1
    concat_ref: ConcatRef | None = None  #: of a long message, the same in all of its segments (TS 23.040, 9.2.3.24)
    route: Literal["p2p", "port", "international"] = "p2p"  #: port: over an enterprise's port (106...), either way
    cell: Token | None = None


class CardEvent(
    _Base, tag="card", frozen=True, kw_only=True, gc=False, omit_defaults=True, rename={"a_number": "msisdn"}
):
    """A step in the life of a SIM card. The acting number is the card's own MSISDN."""

    a_number: RawNumber
    phase: Literal["sold", "activated", "roamed", "dormant", "woke", "re-verified", "counted"]
    identity_hash: Token | None = None  #: who it is registered to
    agent_id: Token | None = None  #: the sales agent
    channel: Token | None = None
    # Counts, if the sender has them; otherwise `lanjie cards watch` makes them, in events of the phase ``counted``.
    identity_cards: CardCount | None = None  #: opened on that identity within 30 days, this one among them
    identity_channels: CardCount | None = None  #: through which they were
    agent_cards: CardCount | None = None  #: opened by that agent within an hour, this one among them


Event = CallEvent | SmsEvent | CardEvent
KINDS: dict[str, type[Event]] = {"call": CallEvent, "sms": SmsEvent, "card": CardEvent}
KIND_OF: dict[type[Event], str] = {cls: kind for kind, cls in KINDS.items()}
