"""Evidence, actions and decisions: frozen values, from the weakest sign to the measure taken."""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct, field


class Action(IntEnum):
    """The ladder of measures, weakest first. A policy may only climb it."""

    ALLOW = 0
    LABEL = 1  #: show the callee a tag
    WARN = 2  #: warn the callee, or the person who is about to be a victim
    CHALLENGE = 3  #: divert to a CAPTCHA or ask the sender to confirm
    DELAY = 4  #: hold the message or call for review
    RESTRICT = 5  #: limit the subscriber's service until re-verified
    BLOCK = 6

    @property
    def wire(self) -> str:
        """The name on the wire and in metrics: ``block``."""
        return _WIRE[self]


_WIRE = {action: action.name.lower() for action in Action}
ACTIONS: dict[str, Action] = {name: action for action, name in _WIRE.items()}


class Evidence(Struct, frozen=True):
    """One sign that a detector saw.

    Attributes:
        code: symbol that the policy weighs, e.g. ``LIST_BLOCK`` or ``TEXT_BANK_POINTS``.
        rule: what exactly fired: a list's source, a rule id, a threshold.
        version: of that rule or list.
        span: ``(start, end)`` in characters of the *original* text, or None.
        weight: overrides the policy's weight for this symbol (a list entry carries its own).
        detail: short, and never a number or message text in clear.
        feed: the list feed that it comes from, if it does; not for what newer content is on trial to replace.
    """

    code: str
    rule: str
    version: str
    span: tuple[int, int] | None = None
    weight: float | None = None
    detail: str = ""
    feed: str = ""


class Reason(Struct, frozen=True, omit_defaults=True):
    """A piece of evidence as the policy counted it, with the words a subscriber is told."""

    code: str
    rule: str
    version: str
    weight: float
    zh: str
    en: str
    span: tuple[int, int] | None = None
    detail: str = ""


class Response(Struct, frozen=True, omit_defaults=True):
    """What the gateway in the path answers to a call attempt or a message.

    Attributes:
        do: ``pass``, ``redirect`` or ``reject`` a call; ``deliver``, ``hold``, ``drop`` or ``reject`` a message.
        protocol: ``sip`` or ``smpp``.
        status: SIP status (RFC 3261) or SMPP command_status (v3.4, 5.1.3); None where the call just goes on.
        phrase: SIP reason phrase, or the name of the command_status.
        headers: SIP header fields to add.
        target: name of the service whose address goes into the Contact.
        label: whether the receiver is shown a tag.
    """

    do: str
    protocol: str
    status: int | None = None
    phrase: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    target: str = ""
    label: bool = False


class Shadow(Struct, frozen=True, omit_defaults=True):
    """What the decision would be if all rules and feeds were enforced, where it would be another; while enforcement
    is off, what it would be if it were on.

    Attributes:
        reasons: those that the decision itself does not have.
    """

    action: str
    score: float
    reasons: tuple[Reason, ...] = ()


class Decision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be done about one event. Deterministic: the same log gives the same bytes,
    but for ``latency_us``, which the worker adds and a replay leaves out.
    """

    event_id: str
    kind: str
    time: int  #: event time, ms UTC
    subject: str  #: canonical acting number; "" when withheld
    action: str
    score: float
    lists: str  #: version of the number lists that were in force
    rules: str  #: version of the rules that were in force
    reasons: tuple[Reason, ...] = ()
    appeal: str = ""
    response: Response | None = None  #: where the engine was told a market
    shadow: Shadow | None = None  #: where rules or feeds are on trial, or enforcement is off
    degraded: tuple[str, ...] = ()  #: detectors that should have looked and did not; ``lists_only``: all but the lists
    v: int = 1
    latency_us: int | None = None  #: from the record's Kafka timestamp to this decision, microseconds
