"""Signs of a forged calling line identity (CLI).

    CLI_INVALID          what is shown is no number of the plan            ITU-T E.164; 47 CFR 64.1200(k)(2)
    CLI_MISMATCH         the network asserts another number                RFC 3325 (P-Asserted-Identity)
    CLI_DOMESTIC_ABROAD  a Chinese number comes in from abroad             ITU-T E.157; Anti-Telecom Fraud Law, art. 13
    CLI_NEIGHBOUR        a mobile is called by one almost like itself      "neighbor spoofing" (FCC)
    CLI_MIRROR           a number is called by itself
    CLI_SPECIAL          110, 10086, 95588 ... from a mobile or abroad     the same, art. 13

China's law (反电信网络诈骗法, 2022) obliges operators to keep to the rules for calling numbers at international
gateways, and to recognise and stop false and irregular ones. Each sign also has innocent causes (a switchboard shows
its main number, colleagues have numbers in a row), hence the low weights and ceilings in ``policy.toml``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from detectors.contract import CALLS_AND_SMS, Batch, Detector
from detectors.model.decision import Evidence
from detectors.model.events import CallEvent, SmsEvent
from detectors.model.numbers import Canonical
from detectors.normalise.phone import canonical
from detectors.signalling import plan

_VERSION: Final = "1"
_ALIKE: Final = 12  #: characters that neighbours share: +86 and nine digits of the national number

Sign = tuple[str, str]  #: code, detail


class Signalling(Detector):
    """``CLI_*``: what speaks against the number shown. A withheld one says nothing."""

    name = "signalling"
    sees = CALLS_AND_SMS
    CODES = frozenset(
        {"CLI_INVALID", "CLI_MISMATCH", "CLI_DOMESTIC_ABROAD", "CLI_NEIGHBOUR", "CLI_MIRROR", "CLI_SPECIAL"}
    )

    def inspect(self, batch: Batch) -> None:
        a, b = batch.a, batch.b
        for i, call in batch.calls:
            caller = a[i]
            if (
                len(caller) == plan.FULL
                and caller[:_ALIKE] != b[i][:_ALIKE]
                and (call.presented_cli is None or call.presented_cli == call.a_number)
                and (call.network_cli is None or call.network_cli == call.a_number)
                and call.route == "national"
            ):
                continue  # nearly every call
            for code, detail in _of_call(call, caller, b[i]):
                batch.add(i, Evidence(code, code, _VERSION, detail=detail))
        for i, sms, _ in batch.sms:
            if len(a[i]) == plan.FULL and sms.route != "international":
                continue
            for code, detail in _of_sender(sms, a[i]):
                batch.add(i, Evidence(code, code, _VERSION, detail=detail))


def _of_call(call: CallEvent, caller: Canonical, callee: Canonical) -> Iterator[Sign]:
    presented = call.presented_cli
    shown = caller if presented is None else _read(presented, call, caller)
    wrong = plan.fault(call.a_e164 or call.a_number, caller) or plan.fault(presented or "", shown)
    if wrong:
        yield "CLI_INVALID", wrong
    if not shown:
        return
    network = _read(call.network_cli, call, caller) if call.network_cli else ""
    differs = bool(network) and not plan.is_one_line(shown, network)
    if differs and presented is not None:
        yield "CLI_MISMATCH", f"{_sort(shown)} for {_sort(network)}"
    abroad = call.route == "international"
    if abroad:
        yield from _abroad(shown, call.visited_plmn)
    if plan.is_service(shown) and (abroad or (differs and plan.is_ordinary(network))):
        yield "CLI_SPECIAL", "from abroad" if abroad else f"for {_sort(network)}"
    if shown == callee:
        yield "CLI_MIRROR", ""
    elif shown[:_ALIKE] == callee[:_ALIKE] and plan.is_mobile(shown) and plan.is_mobile(callee):
        yield "CLI_NEIGHBOUR", f"{10 if shown[:-1] == callee[:-1] else 9} digits alike"


def _read(cli: str, call: CallEvent, caller: Canonical) -> Canonical:
    """The A-number repeated is what the switch made of the A-number."""
    return caller if cli == call.a_number else canonical(cli)


def _of_sender(sms: SmsEvent, sender: Canonical) -> Iterator[Sign]:
    """Of these signs those that a message can have: nothing else of it is signalled."""
    if wrong := plan.fault(sms.a_e164 or sms.a_number, sender):
        yield "CLI_INVALID", wrong
    if sender and sms.route == "international":
        yield from _abroad(sender, sms.visited_plmn)
        if plan.is_service(sender):
            yield "CLI_SPECIAL", "from abroad"


def _abroad(shown: Canonical, visited_plmn: str | None) -> Iterator[Sign]:
    """A mobile that is signalled to roam in a network abroad calls home by right."""
    roams = visited_plmn is not None and not visited_plmn.startswith(plan.HOME_NETWORKS)
    if plan.is_domestic(shown) and not (roams and plan.is_mobile(shown)):
        yield "CLI_DOMESTIC_ABROAD", f"{_sort(shown)}, not roaming" if plan.is_mobile(shown) else _sort(shown)


def _sort(number: Canonical) -> str:
    if plan.is_mobile(number):
        return "mobile"
    if plan.is_service(number):
        return "service number"
    return "fixed number" if plan.is_domestic(number) else "number abroad" if number[0] == "+" else "short number"
