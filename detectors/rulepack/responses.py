"""What ``responses.toml`` looks like: for each market, what the gateway in the path answers to each measure.

The tables admit only what fits the measure: who is to be labelled or warned is never turned away. SIP: RFC 3261, 8197
(607), 8688 (608), ATIS-1000099 (603+); ``reason``: RFC 3326, with ``location`` of RFC 8606. SMPP v3.4, 5.1.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from detectors.model.errors import RuleError
from detectors.rulepack import place
from detectors.rulepack.schema import Data

RESPONSES: Final = "responses.toml"

Market = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}\Z")]
Target = Annotated[str, Meta(pattern=r"^[a-z][a-z-]{1,31}\Z")]  #: a name that the gateway knows; never a number
ReasonValue = Annotated[
    str,
    Meta(pattern=r'^(?:SIP|Q\.850);cause=\d{2,3}(?:;text="[^"\\\x00-\x1f\x7f]{1,160}")?(?:;location=[A-Z]{1,4})?\Z'),
]
CallInfo = Annotated[str, Meta(pattern=r"^<https://[^\s<>\x22]{4,160}>;purpose=jwscard\Z")]

#: The reason phrases of each status that a call may be rejected with; 603+ differs from 603 by its phrase.
PHRASES: Final = {603: ("Decline", "Network Blocked"), 607: ("Unwanted",), 608: ("Rejected",)}
_NOTICE = re.compile(r'SIP;cause=603;text="v=analytics1;(?:url|tel|email)=[^"]+";location=[A-Z]+')  # 603+


class CallPass(Data, frozen=True, tag="pass", tag_field="do"):
    """The call goes on; ``label``: the callee is shown a tag."""

    label: bool


class CallRedirect(Data, frozen=True, tag="redirect", tag_field="do"):
    """Divert to a service by the Contact of a 302; the gateway knows its address."""

    status: Literal[302]
    target: Target


class CallReject(Data, frozen=True, tag="reject", tag_field="do"):
    """End the attempt."""

    status: Literal[603, 607, 608]
    phrase: str
    reason: ReasonValue | None = None
    call_info: CallInfo | None = None


class SmsDeliver(Data, frozen=True, tag="deliver", tag_field="do"):
    """Take it and pass it on; ``label``: with a tag before the text."""

    status: Literal[0]
    label: bool


class SmsHold(Data, frozen=True, tag="hold", tag_field="do"):
    """Take it and keep it until it is reviewed or confirmed."""

    status: Literal[0]


class SmsDrop(Data, frozen=True, tag="drop", tag_field="do"):
    """Take it and deliver it to nobody."""

    status: Literal[0]


class SmsReject(Data, frozen=True, tag="reject", tag_field="do"):
    """Refuse it with an error."""

    status: Literal[0x45, 0x58, 0x64, 0x65, 0x66]


class CallAnswers(Data, frozen=True):
    """To call attempts, for every step above allow."""

    label: CallPass
    warn: CallPass | CallRedirect
    challenge: CallRedirect | CallReject
    delay: CallRedirect | CallReject
    restrict: CallRedirect | CallReject
    block: CallRedirect | CallReject


class SmsAnswers(Data, frozen=True):
    """To messages, for every step above allow."""

    label: SmsDeliver
    warn: SmsDeliver
    challenge: SmsDeliver | SmsHold | SmsReject
    delay: SmsHold | SmsReject
    restrict: SmsHold | SmsDrop | SmsReject
    block: SmsDrop | SmsReject


class Profile(Data, frozen=True):
    """One market."""

    call: CallAnswers
    sms: SmsAnswers


CallAnswer = CallPass | CallRedirect | CallReject
SmsAnswer = SmsDeliver | SmsHold | SmsDrop | SmsReject
Tables = dict[Market, dict[str, Any]]  #: the file before its profiles are checked


def profiles_of(tables: Mapping[str, Any], toml: str) -> dict[str, Profile]:
    """The profiles of a file, by market.

    Raises:
        RuleError: with ``file:line`` and ``$.path``.
    """
    return {market: _profile(market, table, toml) for market, table in tables.items()}


def _profile(market: str, table: Any, toml: str) -> Profile:
    try:
        profile = msgspec.convert(table, Profile)
    except msgspec.ValidationError as error:
        text = str(error)  # as decoded in one go, msgspec would not say in which market
        text = text.replace("`$", f"`$.{market}") if "`$" in text else f"{text} - at `$.{market}`"
        raise RuleError(f"{place.of_error(RESPONSES, toml, text)}: {text}") from None
    for action in profile.call.__struct_fields__:
        answer = getattr(profile.call, action)
        for field, text in _faults(answer) if isinstance(answer, CallReject) else ():
            path = f"$.{market}.call.{action}.{field}"
            raise RuleError(f"{place.of_error(RESPONSES, toml, f'`{path}`')}: {path}: {text}")
    return profile


def _faults(answer: CallReject) -> Iterator[tuple[str, str]]:
    phrases = PHRASES[answer.status]
    if answer.phrase not in phrases:
        yield "phrase", f"{answer.phrase!r}; expected {' or '.join(map(repr, phrases))} with {answer.status}"
    if answer.phrase == "Network Blocked" and not _NOTICE.fullmatch(answer.reason or ""):
        yield (
            "reason",
            (
                f"{answer.reason!r}; 603+ (ATIS-1000099) needs "
                'SIP;cause=603;text="v=analytics1;url=https://...";location=RLN with a way to complain'
            ),
        )
    if answer.status == 608 and answer.call_info is None:
        yield "call_info", "missing; 608 (RFC 8688) tells whom to turn to: <https://...>;purpose=jwscard"
    if answer.status != 608 and answer.call_info is not None:
        yield "call_info", f"given with {answer.status}; a jCard goes with 608 only (RFC 8688)"


def market_of(profiles: Mapping[str, Profile], market: str) -> Profile:
    """The profile of ``market``.

    Raises:
        RuleError: there is none.
    """
    if (profile := profiles.get(market)) is None:
        known = ", ".join(sorted(profiles)) or "none, as it is missing or empty"
        raise RuleError(f"market {market!r}: no such profile; {RESPONSES} of the rule pack has {known}")
    return profile
