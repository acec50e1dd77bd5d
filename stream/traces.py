"""W3C Trace Context from an event to its decision: the headers ``traceparent`` and ``tracestate`` of Kafka records.

    event      traceparent: 00-<trace>-<span of who sent it>-01      tracestate: vendor=...
    decision   traceparent: 00-<trace>-<span of the decision>-01     tracestate: the same

The span of a decision is a hash of the trace, the span before and the event, so that a replay gives the same. What is
not as the standard has it is not carried on: no trace is better than a wrong one. We begin none of our own.
Source: https://www.w3.org/TR/trace-context-2/ (level 2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple, Protocol

from aiokafka.structs import ConsumerRecord as Record

PARENT: Final = "traceparent"
STATE: Final = "tracestate"
SAMPLED: Final = 0x01
#: The flags that are defined: sampled, and that the trace id is random; the standard wants all others to be zero.
_FLAGS: Final = 0x03
_PARENT: Final = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MEMBER: Final = re.compile(
    rb"([a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    rb"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MEMBERS: Final = 32
#: Characters of ``tracestate`` that the standard asks all to carry; what is longer is shortened as it says.
STATE_CHARS: Final = 512
_LONG_MEMBER: Final = 128

Headers = Sequence[tuple[str, bytes]]
_NOBODY: Final = b"0" * 16  # no valid span
_FIRST: Final = b"0" * 15 + b"1"


class Context(NamedTuple):
    """A place in a trace. Bytes, as headers have them: this is on the way of every traced event.

    Attributes:
        trace: 32 hex digits.
        span: 16 hex digits: of whoever sent the record.
        flags: those that are defined.
        state: members of ``tracestate``, valid; empty if there are none.
    """

    trace: bytes
    span: bytes
    flags: int
    state: bytes

    @property
    def sampled(self) -> bool:
        """Whether somebody records this trace."""
        return bool(self.flags & SAMPLED)

    def child(self, event_id: str) -> Context:
        """The place of an event's decision."""
        seed = self.trace + self.span + event_id.encode("utf-8", "surrogatepass")
        span = blake2b(seed, digest_size=8, person=b"lanjie.decision").hexdigest().encode()
        return Context(self.trace, span if span != _NOBODY else _FIRST, self.flags, self.state)

    def headers(self) -> list[tuple[str, bytes]]:
        """As a record has it."""
        parent = (PARENT, b"00-%b-%b-%02x" % (self.trace, self.span, self.flags))
        return [parent, (STATE, self.state)] if self.state else [parent]


class Telling(Protocol):
    """Where spans go."""

    def wants(self, record: Record, *, start_ms: int) -> bool:
        """Whether a span of this event would be sent: asked before anything is made of it."""

    def tell(self, parent: Context, own: Context, record: Record, *, action: str, start_ms: int, end_ms: int) -> None:
        """Of one event; must not wait."""

    async def stop(self) -> None:
        """Send what there is, within seconds."""


class Traces:
    """Carries traces from events to decisions, and tells of those that are sampled if somebody wants to know.

    Attributes:
        told: whether spans go anywhere.
    """

    def __init__(self, spans: Telling | None = None) -> None:
        self._spans = spans
        self.told = spans is not None

    @staticmethod
    def carry(headers: Headers, event_id: str) -> list[tuple[str, bytes]]:
        """Headers for the decision about the event that came with ``headers``; none if it is not traced."""
        if not headers or (context := read(headers)) is None:
            return []
        return context.child(event_id).headers()

    def tell(self, record: Record, event_id: str, *, action: str, start_ms: int, end_ms: int) -> None:
        """Tell of a decided event, if it is sampled and there is room. Times: ms UTC, of the begin of decoding, which
        all events of a chunk have in common, and of the delivery.
        """
        if not (self._spans and record.headers and self._spans.wants(record, start_ms=start_ms)):
            return
        if (context := read(record.headers)) and context.sampled:
            self._spans.tell(context, context.child(event_id), record, action=action, start_ms=start_ms, end_ms=end_ms)

    async def stop(self) -> None:
        """Send what is left."""
        if self._spans:
            await self._spans.stop()


def read(headers: Headers) -> Context | None:
    """The trace that a record belongs to; None without one, or if it is not valid."""
    parents, states = list[bytes](), list[bytes]()
    for name, value in headers:
        if name == PARENT:
            parents.append(value)
        elif name == STATE:
            states.append(value)
    if len(parents) != 1 or not (found := _PARENT.fullmatch(parents[0] or b"")):
        return None
    version, trace, span, flags, rest = found.groups()
    if rest and version == b"00":
        return None
    return Context(trace, span, int(flags, 16) & _FLAGS, read_state(states) if states else b"")


def read_state(values: Sequence[bytes]) -> bytes:
    """The members of all ``tracestate`` headers; empty if one is not valid or comes twice, or they are too many."""
    if None in values:
        return b""
    members = [member for each in b",".join(values).split(b",") if (member := each.strip(b" \t"))]
    found = [_MEMBER.fullmatch(member) for member in members]
    names = {each[1] for each in found if each}
    if len(names) < len(members) or len(members) > _MEMBERS:
        return b""
    return _shortened(members)


def _shortened(members: list[bytes]) -> bytes:
    """Long members are dropped first, then from the end, where the oldest are."""
    while len(text := b",".join(members)) > STATE_CHARS:
        long = next((n for n in reversed(range(len(members))) if len(members[n]) > _LONG_MEMBER), len(members) - 1)
        del members[long]
    return text
