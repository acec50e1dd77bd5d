"""What a gateway answers, by market. Expected values are copied by hand from the standards named at each."""

import json
import pickle

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from detectors.engine import Engine, Snapshot
from detectors.lists import Entry, ListKind, NumberIndex
from detectors.lists.entry import Provenance
from detectors.lists.protected import CORE
from detectors.model.decision import Action, Decision, Response
from detectors.model.errors import RuleError
from detectors.model.events import CallEvent, CardEvent, SmsEvent
from detectors.policy import Responses
from detectors.rulepack import load_rules
from detectors.rulepack.responses import PHRASES
from stream.cli import main
from stream.cli.explain_view import response_line
from stream.settings import Settings, SettingsError
from stream.wire import decode_decision, encode_decision, encode_event
from tests.support.events import T0, events
from tests.support.rules import files

BLOCKED, GREY = "13800000002", "13800000001"
ENTRIES = [
    Entry("+86" + GREY, Provenance(ListKind.GREY, "shared")),
    Entry("+86" + BLOCKED, Provenance(ListKind.BLOCK, "shared")),
]
RESPONSES = """
[xx.call]
label = { do = "pass", label = true }
warn = { do = "pass", label = true }
challenge = { do = "redirect", status = 302, target = "challenge" }
delay = { do = "redirect", status = 302, target = "screening" }
restrict = { do = "reject", status = 607, phrase = "Unwanted" }
block = { do = "reject", status = 603, phrase = "Network Blocked", reason = 'SIP;cause=603;text="v=analytics1;url=https://a.example";location=RLN' }

[xx.sms]
label = { do = "deliver", status = 0x00000000, label = true }
warn = { do = "deliver", status = 0x00000000, label = false }
challenge = { do = "hold", status = 0x00000000 }
delay = { do = "reject", status = 0x00000064 }
restrict = { do = "drop", status = 0x00000000 }
block = { do = "reject", status = 0x00000065 }
"""  # noqa: E501
SMALL = load_rules(files() | {"responses.toml": RESPONSES.encode()})
SHIPPED = load_rules()
MARKETS = sorted(SHIPPED.responses)
STEPS = [action for action in Action if action is not Action.ALLOW]
REFUSES = {"reject", "redirect", "drop", "hold"}


def engine(market="xx", rules=SMALL):
    return Engine(Snapshot.build(rules, NumberIndex(ENTRIES)), market=market)


def call(a_number=BLOCKED, b_number="13900005678", **fields):
    return CallEvent(id="c", time=T0, a_number=a_number, b_number=b_number, **fields)


def sms(a_number=BLOCKED, text=""):
    return SmsEvent(id="s", time=T0, a_number=a_number, b_number="13900005678", text=text)


SHIPPED_SNAPSHOT = Snapshot.build(SHIPPED, NumberIndex(ENTRIES))
ENGINES = [Engine(SHIPPED_SNAPSHOT, market=market) for market in MARKETS]


# -- The shipped profiles

JCARD = {"Call-Info": "<https://appeal.example/jcard.jws>;purpose=jwscard"}
NOTICE = {"Reason": 'SIP;cause=603;text="v=analytics1;url=https://appeal.example";location=RLN'}


@pytest.mark.parametrize(
    ("market", "kind", "action", "expected"),
    [
        # RFC 8688: 608 Rejected, with a Call-Info whose purpose is jwscard
        ("generic", "call", Action.BLOCK, Response("reject", "sip", 608, "Rejected", JCARD)),
        # ATIS-1000099: status line "603 Network Blocked" and a Reason header with v=analytics1 and a way to complain
        ("us", "call", Action.BLOCK, Response("reject", "sip", 603, "Network Blocked", NOTICE)),
        # RFC 3261, 21.6.2: 603 Decline; Q.850 cause 21: call rejected
        ("cn", "call", Action.BLOCK,
         Response("reject", "sip", 603, "Decline", {"Reason": 'Q.850;cause=21;text="Call Rejected"'})),
        # RFC 3261, 21.3.3: 302 Moved Temporarily
        ("cn", "call", Action.CHALLENGE, Response("redirect", "sip", 302, "Moved Temporarily", target="challenge")),
        ("cn", "call", Action.LABEL, Response("pass", "sip", label=True)),
        # SMPP v3.4, 5.1.3
        ("generic", "sms", Action.BLOCK, Response("reject", "smpp", 0x45, "ESME_RSUBMITFAIL")),
        ("cn", "sms", Action.RESTRICT, Response("reject", "smpp", 0x58, "ESME_RTHROTTLED")),
        ("us", "sms", Action.BLOCK, Response("reject", "smpp", 0x66, "ESME_RX_R_APPN")),
        ("cn", "sms", Action.BLOCK, Response("drop", "smpp", 0, "ESME_ROK")),
        ("cn", "sms", Action.WARN, Response("deliver", "smpp", 0, "ESME_ROK", label=True)),
    ],
)  # fmt: skip
def test_shipped_profiles(market, kind, action, expected):
    assert Responses(SHIPPED, market).of(kind, action) == expected


def test_the_markets_that_are_shipped():
    assert MARKETS == ["cn", "generic", "us"]


@given(st.sampled_from(MARKETS), st.sampled_from(["call", "sms"]), st.sampled_from(list(Action)))
def test_every_measure_is_answered_and_no_mild_one_refuses(market, kind, action):
    found = Responses(SHIPPED, market).of(kind, action)
    assert (found is None) == (action is Action.ALLOW)
    assert Responses(SHIPPED, market).of("card", action) is None
    if found is not None:
        assert found.do not in REFUSES or action >= Action.CHALLENGE
        assert found.protocol == {"call": "sip", "sms": "smpp"}[kind]
        assert "\n" not in "".join(found.headers.values())
        if found.do == "reject" and kind == "call":
            assert found.phrase in PHRASES[found.status]


# -- What is refused


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('block = { do = "reject", status = 0x00000065 }', "", r"responses\.toml:10: .*`block` - at `\$\.xx\.sms`"),
        ('challenge = { do = "redirect"', 'chalenge = { do = "redirect"', r"responses\.toml:2: .*`chalenge`"),
        ('label = { do = "pass", label = true }', 'label = { do = "reject", status = 608, phrase = "Rejected" }',
         r"responses\.toml:3: .*\$\.xx\.call\.label"),
        ("status = 607", "status = 604", r"responses\.toml:7: .*604 - at `\$\.xx\.call\.restrict\.status`"),
        ("status = 302", "status = 301", r"responses\.toml:5: .*301 - at `\$\.xx\.call\.challenge\.status`"),
        ("status = 0x00000064", "status = 0x00000008", r"responses\.toml:14: .*\$\.xx\.sms\.delay\.status"),
        ('target = "screening"', 'target = "12381"', r"responses\.toml:6: .*\$\.xx\.call\.delay\.target"),
        ('phrase = "Unwanted"', 'phrase = "Decline"', r"responses\.toml:7: .*phrase: 'Decline'; expected 'Unwanted'"),
        ("v=analytics1;", "", r"responses\.toml:8: \$\.xx\.call\.block\.reason: .*603\+ \(ATIS-1000099\) needs"),
        ("v=analytics1;", 'x\\";', r"responses\.toml:8: .*\$\.xx\.call\.block\.reason"),
        ('status = 607, phrase = "Unwanted"', 'status = 608, phrase = "Rejected"',
         r"responses\.toml:7: \$\.xx\.call\.restrict\.call_info: missing"),
        ('phrase = "Unwanted"', 'phrase = "Unwanted", call_info = "<https://a.example/j>;purpose=jwscard"',
         r"responses\.toml:7: .*call_info: given with 607"),
        ('phrase = "Unwanted"', 'phrase = "Unwanted", call_info = "<http://a.example/j>;purpose=jwscard"',
         r"responses\.toml:7: .*call_info"),
        ("[xx.sms]", "[XX.sms]", r"responses\.toml:\d+: "),
        ("[xx.sms]", "[xx.mms]", r"responses\.toml:\d+: .*`mms`"),
        ("[xx.sms]", "[xx.sms", r"responses\.toml:10: "),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_its_place(old, new, says):
    assert old in RESPONSES
    with pytest.raises(RuleError, match=says):
        load_rules(files() | {"responses.toml": RESPONSES.replace(old, new, 1).encode()})


@pytest.mark.parametrize("rules", [SMALL, load_rules(files())], ids=["other", "none"])
def test_a_market_that_the_pack_lacks_is_refused(rules):
    with pytest.raises(
        RuleError, match=r"market 'cn': no such profile; responses\.toml of the rule pack has (xx|none)"
    ):
        engine("cn", rules)


def test_a_pack_without_the_market_is_not_swapped_in():
    deciding = engine()
    with pytest.raises(RuleError, match="market 'xx'"):
        deciding.swap(Snapshot.build(load_rules(files()), NumberIndex()))
    assert deciding.decide([call()])[0].response is not None


# -- Decisions


def test_a_decision_carries_the_response_of_its_kind_and_action():
    decisions = engine().decide([call(), sms(), call(GREY), call("13700000000")])
    assert [(d.action, d.response and d.response.status) for d in decisions] == [
        ("block", 603), ("block", 0x65), ("label", None), ("allow", None),
    ]  # fmt: skip
    assert decisions[2].response == Response("pass", "sip", label=True)
    assert decisions[3].response is None
    assert [decode_decision(encode_decision(d)) for d in decisions] == decisions


@pytest.mark.parametrize("phase", ["answered", "ended"])
def test_only_the_attempt_of_a_call_is_answered(phase):
    assert [(d.action, d.response) for d in engine().decide([call(phase=phase)])] == [("block", None)]


def test_cards_are_not_answered():
    card = CardEvent(id="k", time=T0, a_number=BLOCKED, phase="woke")
    assert [(d.action, d.response) for d in engine().decide([card])] == [("block", None)]


@given(st.lists(events(), max_size=10))
def test_without_a_market_the_bytes_are_as_before(all_events):
    with_market, without = engine().decide(all_events), engine(None).decide(all_events)
    for one, other in zip(with_market, without, strict=True):
        told = json.loads(encode_decision(one))
        told.pop("response", None)
        assert told == json.loads(encode_decision(other))
        assert b"response" not in encode_decision(other)


@given(st.sampled_from(sorted(CORE)), st.booleans(), st.booleans())
def test_a_protected_number_is_never_answered(protected, calls, acting):
    ends = (protected, BLOCKED) if acting else (BLOCKED, protected)
    event = call(*ends) if calls else SmsEvent(id="s", time=T0, a_number=ends[0], b_number=ends[1], text="")
    for deciding in ENGINES:
        (decision,) = deciding.decide([event])
        assert (decision.action, decision.response) == ("allow", None)


def test_a_pack_with_responses_goes_to_another_process_and_back():
    assert pickle.loads(pickle.dumps(SMALL)) == SMALL  # noqa: S301


def test_decisions_from_before_go_on_decoding():
    old = b'{"event_id":"1","kind":"call","time":1,"subject":"","action":"allow","score":0.0,"lists":"","rules":""}'
    assert decode_decision(old) == Decision(
        event_id="1", kind="call", time=1, subject="", action="allow", score=0.0, lists="", rules=""
    )


# -- Settings and command line


def test_the_setting():
    assert Settings.from_env({}).market == ""
    assert Settings.from_env({"LANJIE_MARKET": "cn"}).market == "cn"
    with pytest.raises(SettingsError, match=r"LANJIE_MARKET='C N': expected the name of a market"):
        Settings.from_env({"LANJIE_MARKET": "C N"})


@pytest.mark.parametrize(
    ("response", "line"),
    [
        (Response("reject", "sip", 608, "Rejected", JCARD),
         f"SIP 608 Rejected, reject; Call-Info: {JCARD['Call-Info']}"),
        (Response("redirect", "sip", 302, "Moved Temporarily", target="challenge"),
         "SIP 302 Moved Temporarily, redirect to challenge"),
        (Response("pass", "sip", label=True), "SIP, pass with a tag"),
        (Response("reject", "smpp", 0x58, "ESME_RTHROTTLED"), "SMPP 0x00000058 ESME_RTHROTTLED, reject"),
    ],
)  # fmt: skip
def test_a_response_in_one_line(response, line):
    assert response_line(response) == line


def test_the_command_line(tmp_path):
    event, lists, out = tmp_path / "e.jsonl", tmp_path / "l.csv", tmp_path / "d.jsonl"
    event.write_bytes(encode_event(call()) + b"\n")
    lists.write_text(f"number,list,weight,reason,source\n+86{BLOCKED},block,100,test,test\n")
    common = ["--lists", str(lists), "--market"]

    shown = CliRunner().invoke(main, ["explain", str(event), *common, "us"])
    assert "SIP 603 Network Blocked, reject; Reason: SIP;cause=603" in shown.output
    assert CliRunner().invoke(main, ["replay", str(event), "-o", str(out), *common, "cn"]).exit_code == 0
    assert json.loads(out.read_bytes())["response"]["status"] == 603
    for verb in ("explain", "replay"):
        refused = CliRunner().invoke(main, [verb, str(event), *common, "mars"])
        assert refused.exit_code != 0
        assert "market 'mars'" in refused.output
        assert "cn, generic, us" in refused.output
        assert "Traceback" not in refused.output
