"""What the gateway in the path is to answer, by the market's profile in ``responses.toml``."""

from __future__ import annotations

from typing import Final

from detectors.model.decision import Action, Response
from detectors.rulepack import RulePack
from detectors.rulepack.responses import (
    CallAnswer,
    CallPass,
    CallRedirect,
    SmsAnswer,
    SmsDeliver,
    market_of,
)

#: Names of the values of command_status (SMPP v3.4, 5.1.3).
SMPP: Final = {
    0x00: "ESME_ROK",
    0x45: "ESME_RSUBMITFAIL",
    0x58: "ESME_RTHROTTLED",
    0x64: "ESME_RX_T_APPN",
    0x65: "ESME_RX_P_APPN",
    0x66: "ESME_RX_R_APPN",
}


class Responses:
    """Immutable; compiled from a rule pack for one market.

    Raises:
        RuleError: the pack has no such market.
    """

    def __init__(self, pack: RulePack, market: str) -> None:
        profile = market_of(pack.responses, market)
        steps = [action for action in Action if action is not Action.ALLOW]
        self._found: dict[tuple[str, Action], Response] = {}
        self._found |= {("call", step): _sip(getattr(profile.call, step.wire)) for step in steps}
        self._found |= {("sms", step): _smpp(getattr(profile.sms, step.wire)) for step in steps}

    def of(self, kind: str, action: Action) -> Response | None:
        """The answer to a ``call`` attempt or an ``sms``; None where there is nothing to answer: it is allowed, or is
        no traffic.
        """
        return self._found.get((kind, action))


def _sip(answer: CallAnswer) -> Response:
    if isinstance(answer, CallPass):
        return Response("pass", "sip", label=answer.label)
    if isinstance(answer, CallRedirect):
        return Response("redirect", "sip", answer.status, "Moved Temporarily", target=answer.target)
    headers = {"Reason": answer.reason, "Call-Info": answer.call_info}
    given = {name: value for name, value in headers.items() if value is not None}
    return Response("reject", "sip", answer.status, answer.phrase, headers=given)


def _smpp(answer: SmsAnswer) -> Response:
    do = answer.__struct_config__.tag
    label = isinstance(answer, SmsDeliver) and answer.label
    return Response(str(do), "smpp", answer.status, SMPP[answer.status], label=label)
