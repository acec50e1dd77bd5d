"""Signs of a forged CLI: cases worked out by hand, and a naive model that reads the raw numbers by itself."""

import re

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.contract import Batch
from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.lists.protected import CORE
from detectors.model.decision import ACTIONS, Action
from detectors.model.events import CallEvent, SmsEvent
from detectors.policy.catalogue import BUILT_IN
from detectors.rulepack import load_rules
from detectors.signalling import Signalling
from tests.support.events import T0, mobiles

SNAPSHOT = Snapshot.build(load_rules(), NumberIndex())
MOBILE, CALLEE, ABROAD = "13800001234", "13900005678", "+41215601234"
FIXED = "02158881234"  # Shanghai
GATE = {"route": "international"}


def call(a_number=MOBILE, b_number=CALLEE, **fields):
    return CallEvent(id="c", time=T0, a_number=a_number, b_number=b_number, **fields)


def sms(a_number, **fields):
    return SmsEvent(id="s", time=T0, a_number=a_number, b_number=CALLEE, text="", **fields)


def signs(*events):
    batch = Batch(events)
    Signalling().inspect(batch)
    return [{e.code for e in batch.hits.get(i, ())} for i in range(len(events))]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (call(), ""),
        (call(presented_cli=MOBILE, network_cli="+86 138-0000-1234"), ""),
        # ITU-T E.164: at most 15 digits, and as long as the country's plan says (China: 13x to 19x have 11)
        (call("138000012"), "INVALID"),
        (call("+8613800001234567"), "INVALID"),
        (call("1380000123456"), "INVALID"),
        (call("0000000000"), "INVALID"),
        (call("+999123456789"), "INVALID"),
        (call(presented_cli="+861380000123"), "INVALID"),
        (call("0101234567"), "INVALID"),  # Beijing's numbers have 8 digits: 9 with the area code are too few
        (call("+12345678"), "INVALID"),  # seven digits in North America: the area code is missing
        (call("1440123456789"), ""),  # a thing's number: 13 digits
        # 3GPP TS 24.607, RFC 3323: a caller may withhold the number
        (call(""), ""),
        (call("anonymous"), ""),
        (call(presented_cli="", network_cli=MOBILE), ""),
        (call(ABROAD), ""),
        (call("58881234"), ""),  # within the city
        (call("60123"), ""),  # a company's short number
        (call("4008123456"), ""),
        # RFC 3325: the network's own word
        (call(presented_cli="13700009999", network_cli=MOBILE), "MISMATCH"),
        (call(presented_cli="58881234", network_cli=FIXED), ""),  # the same line
        (call(presented_cli=FIXED, network_cli="02858881234"), "MISMATCH"),  # another city
        (call(presented_cli="58881234", network_cli="+85258881234"), "MISMATCH"),
        (call(presented_cli="12345678", network_cli=None), "INVALID"),
        # ITU-T E.157; 反电信网络诈骗法, art. 13: calling numbers at international gateways
        (call(FIXED, **GATE), "DOMESTIC_ABROAD"),
        (call(ABROAD, presented_cli=FIXED, **GATE), "DOMESTIC_ABROAD"),
        (call(ABROAD, **GATE), ""),
        (call(**GATE), "DOMESTIC_ABROAD"),  # at home by its own account
        (call(visited_plmn="22801", **GATE), ""),  # roams in Switzerland (ITU-T E.212)
        (call(visited_plmn="46000", **GATE), "DOMESTIC_ABROAD"),  # that is China
        (call("", **GATE), ""),
        (call("110", **GATE), "DOMESTIC_ABROAD SPECIAL"),
        (call(ABROAD, presented_cli="+8695588", **GATE), "DOMESTIC_ABROAD SPECIAL"),
        # a service number must be its owner's
        (call(presented_cli="95588", network_cli=MOBILE), "MISMATCH SPECIAL"),
        (call(presented_cli="10086", network_cli=ABROAD), "MISMATCH SPECIAL"),
        (call("12345", network_cli=MOBILE), "SPECIAL"),
        (call(presented_cli="95588", network_cli=FIXED), "MISMATCH"),  # may be the bank's trunk
        (call(presented_cli="95588", network_cli="01095588"), ""),
        (call("10086"), ""),
        (call(presented_cli="01066108608", network_cli=MOBILE), "MISMATCH"),  # Beijing, not a port 106...
        # neighbours and mirrors
        (call("13900005699"), "NEIGHBOUR"),
        (call("13900005670"), "NEIGHBOUR"),
        (call("13900006678"), ""),  # eight digits alike
        (call(presented_cli="13900005699"), "NEIGHBOUR"),
        (call("13900005699", presented_cli="13700000000"), ""),  # not what is shown
        (call("02158881230", "02158881234"), ""),  # no mobiles
        (call(CALLEE), "MIRROR"),
        (call("+41215601234", "+41215601234"), "MIRROR"),
        (call("", ""), ""),
        # messages
        (sms(MOBILE), ""),
        (sms("106901234567"), ""),
        (sms("138000012"), "INVALID"),
        (sms("10086", route="international"), "DOMESTIC_ABROAD SPECIAL"),
        (sms("32665", route="international"), ""),  # a short code of some plan
        (sms(ABROAD, route="international"), ""),
        (sms(MOBILE, route="international", visited_plmn="22801"), ""),
        (sms(CALLEE), ""),  # a note to oneself
    ],
)
def test_what_is_a_sign(event, expected):
    assert signs(event) == [{f"CLI_{name}" for name in expected.split()}]


# -- The model

parts = st.sampled_from(["", "anonymous", "110", "95588", "12345", "60123", "58881234", FIXED, ABROAD, CALLEE,
                         "13900005699", "138000012", "+861380000123", "0000000000", "+12345678", "007"])  # fmt: skip
raws = parts | mobiles | mobiles.map("+86".__add__) | st.from_regex(r"\+?[0-9]{1,16}", fullmatch=True)
maybe = st.none() | raws
calls = st.builds(
    call, raws, raws, presented_cli=maybe, network_cli=maybe, route=st.sampled_from(["national", "international"]),
    visited_plmn=st.sampled_from([None, "46001", "22801"]),
)  # fmt: skip
SERVICE = r"(?!106\d{7}\Z)(?:1[0-2]\d|1[0-2]\d\d|1[0-2]\d\d\d|106\d{2,}|9[56]\d{3,6})"


def read(raw):  # noqa: PLR0911
    """(sort, number): sort is withheld, wrong, mobile, service, local, fixed, abroad or short."""
    if not re.fullmatch(r"\+?[0-9]+", raw):
        return "withheld", ""
    batch_number = Batch([call(raw)]).a[0]
    if not batch_number:
        thing = re.fullmatch(r"(\+?86|0086)?14[0-4]\d{10}", raw)
        return ("withheld" if thing else "wrong"), ""
    if batch_number[0] != "+":
        if re.fullmatch(SERVICE, batch_number):
            return "service", batch_number
        if re.fullmatch(r"106\d{7}", batch_number):
            return "local", batch_number
        if re.fullmatch(r"[2-9]\d{6,7}", batch_number):
            return "local", batch_number
        return ("wrong" if re.fullmatch(r"0\d*|\d\d?", batch_number) else "short"), batch_number
    if not batch_number.startswith("+86"):
        parsed = phonenumbers.parse(batch_number)
        long_enough = phonenumbers.is_possible_number_with_reason(parsed) == 0
        return ("abroad" if long_enough else "wrong"), batch_number
    if re.fullmatch(r"\+861[3-9]\d{9}", batch_number):
        return "mobile", batch_number
    fixed = re.fullmatch(r"\+86(?!1[3-9])\d{10,11}", batch_number)
    return ("fixed" if fixed else "wrong"), batch_number


def model(event):
    found = set()
    sort, shown = read(event.a_number if event.presented_cli is None else event.presented_cli)
    net_sort, network = read(event.network_cli or "")
    b_sort, callee = read(event.b_number)
    if "wrong" in (sort, read(event.a_number)[0]):
        found.add("INVALID")
    if not shown:
        return found
    variants = (re.fullmatch(rf"\+86\d{{2,3}}{x}", y) for x, y in ((shown, network), (network, shown))
                if re.fullmatch(r"[2-9]\d{6,7}", x))  # fmt: skip
    differs = network and shown != network and not any(variants)
    if differs and event.presented_cli is not None:
        found.add("MISMATCH")
    home = shown.startswith("+86") or sort in ("service", "local")
    international = event.route == "international"
    if international and home and not (sort == "mobile" and event.visited_plmn == "22801"):
        found.add("DOMESTIC_ABROAD")
    elsewhere = differs and (net_sort == "mobile" or (network[0] == "+" and network[:3] != "+86"))
    if sort == "service" and (international or elsewhere):
        found.add("SPECIAL")
    if shown == callee:
        found.add("MIRROR")
    elif sort == b_sort == "mobile" and shown[3:12] == callee[3:12]:
        found.add("NEIGHBOUR")
    return found


@given(st.lists(calls, max_size=8))
@settings(max_examples=400)
def test_signs_equal_those_of_the_model(events):
    assert signs(*events) == [{f"CLI_{name}" for name in model(event)} for event in events]


@given(calls)
def test_signalling_alone_only_challenges(event):
    (decision,) = Engine(SNAPSHOT).decide([event])
    assert ACTIONS[decision.action] <= Action.CHALLENGE
    assert event.a_number not in [r.detail for r in decision.reasons if event.a_number]
    codes = {r.code for r in decision.reasons}
    if codes & Signalling.CODES <= {"CLI_MIRROR", "CLI_NEIGHBOUR"}:
        assert ACTIONS[decision.action] <= Action.WARN


@given(st.sampled_from(sorted(CORE)), calls)
def test_a_protected_number_passes_and_its_signs_stay_visible(protected, event):
    shown = call(protected, event.b_number, presented_cli=protected, network_cli=MOBILE)
    (decision,) = Engine(SNAPSHOT).decide([shown])
    assert decision.action == "allow"
    assert {"PROTECTED", "CLI_SPECIAL"} <= {r.code for r in decision.reasons}


def test_every_sign_has_words_a_weight_and_a_low_ceiling():
    for code in Signalling.CODES:
        symbol = SNAPSHOT.rules.policy.symbols[code]
        assert code in BUILT_IN
        assert symbol.group == "signalling"
        assert ACTIONS[symbol.ceiling] <= Action.CHALLENGE
    assert SNAPSHOT.rules.policy.groups["signalling"].cap == 60
