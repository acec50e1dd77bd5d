"""A rule pack with every family in it, streams that make all of it fire, and engines in stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from unittest.mock import patch

import msgspec
from hypothesis import strategies as st

import detectors.engine
from detectors.contract import Batch
from detectors.engine import Engine, Snapshot
from detectors.keywords import Automaton
from detectors.lists import Entry, ListKind, NumberIndex
from detectors.lists.build import Removals, build
from detectors.lists.entry import Provenance
from detectors.lists.index import Layer
from detectors.model.decision import Decision, Evidence
from detectors.model.events import CallEvent, CardEvent, Event, SmsEvent
from detectors.rollout import NO_ROLLOUT, Rollout, Stage
from detectors.rulepack import RulePack, load_rules
from detectors.rulepack.before import BEFORE, Predecessor, write_before
from detectors.rulepack.schema import BehaviourRule, Composite, SymbolPolicy
from tests.support import rules
from tests.support.events import T0

LOAN = """
[[rule]]
id = "TEXT_LOAN"
version = 2
class = "loan"
zh = "无抵押贷款"
en = "Loan without security"
source = "written for this test"
all = [["贷款"], ["秒批", "放款"]]
positives = ["贷款秒批", "贷款当天放款"]
near_misses = ["贷款", "放款"]
"""
BEHAVIOUR = """
[[rule]]
id = "CALL_ANY"
version = 4
measure = "attempts"
threshold = 1
zh = "有呼叫"
en = "A call"

[[rule]]
id = "IMEI_CHANGE"
version = 1
measure = "imei_changes"
threshold = 2
zh = "更换设备"
en = "The device changes"
"""
CARDS = """
high_risk_networks = ["456"]

[[rule]]
id = "CARD_MANY"
version = 3
measure = "identity_cards"
threshold = 5
also = { identity_channels = 1 }
zh = "一人多卡"
en = "Many cards"

[[rule]]
id = "CARD_ABROAD"
version = 1
measure = "high_risk_roaming"
threshold = 1
zh = "高风险地区漫游"
en = "Roams where fraud comes from"
"""
SYMBOLS = """
CARD_MANY = {weight = 30, group = "card", ceiling = "challenge"}
CARD_ABROAD = {weight = 20, group = "card", ceiling = "challenge"}
LIST_IMMUTABLE = {weight = 100, group = "list", ceiling = "block"}
LIST_IN_TEXT = {weight = 70, group = "list", ceiling = "restrict"}
CALL_ANY = {weight = 5, group = "behaviour", ceiling = "label"}
IMEI_CHANGE = {weight = 25, group = "behaviour", ceiling = "challenge"}
CAMPAIGN_HIT = {weight = 20, group = "campaign", ceiling = "restrict"}
CAMPAIGN_BULK = {weight = 10, group = "campaign", ceiling = "challenge"}
SMS_FLOOD = {weight = 60, group = "behaviour", ceiling = "challenge"}
VICTIM_CONTACTED = {weight = 15, group = "victim", ceiling = "warn"}
VICTIM_CALLS_BACK = {weight = 40, group = "victim", ceiling = "warn"}
CONTENT_SHORT_LINK = {weight = 10, group = "content", ceiling = "challenge"}
CONTENT_MESSENGER = {weight = 25, group = "content", ceiling = "challenge"}
"""
GROUPS = """
card = {cap = 40}
campaign = {cap = 25}
victim = {cap = 40}
content = {cap = 30}
"""
COMPOSITE = """
[[composite]]
id = "COMP_TEXT_LINK"
version = 2
all = ["group:text", "group:content"]
weight = 25
group = "content"
ceiling = "delay"
zh = "话术加引流"
en = "Wording that leads elsewhere"

[[composite]]
id = "COMP_GREY_CALL"
version = 1
all = ["LIST_GREY", "CALL_ANY"]
weight = 20
group = "list"
ceiling = "challenge"
zh = "灰名单号码呼叫"
en = "A grey-listed number calls"
"""
POLICY = (
    rules.POLICY.replace("[groups]\n", "[groups]" + GROUPS).replace("[symbols]\n", "[symbols]" + SYMBOLS) + COMPOSITE
)
WEIGHTS = rules.WEIGHTS + 'TEXT_LOAN = {weight = 45, group = "text", ceiling = "challenge"}\n'
FILES = rules.files(rules.TEXT + LOAN, rules.BEHAVIOUR + BEHAVIOUR, POLICY, WEIGHTS) | {"cards.toml": CARDS.encode()}

TEXTS = (
    "【工商银行】您的积分即将过期,请尽快兑换",
    "【建设银行】积分兑换现金,国家反诈中心提醒您",
    "无抵押贷款当天秒批,加微信 loan8888888 咨询详情",
    "贷款放款快,详情请点 http://t.cn/A6abcde 办理",
    "今天晚上七点钟老地方吃饭不见不散哦大家都来",
    "您的工商银行贷款审核通过,请登录 http://bad.example/x 确认",
)
PEOPLE = [f"1380000{n:04}" for n in range(8)]
CROWD = [f"1370000{n:04}" for n in range(25)]
TOKENS = ("domain:bad.example", "wechat:loan8888888")


def predecessors(pack: RulePack) -> tuple[Predecessor, ...]:
    """Older versions of rules of each kind, which fire on other things and weigh something else."""
    by_id = {rule.id: rule for rule in pack.rules}
    loan, any_call = by_id["TEXT_LOAN"], by_id["CALL_ANY"]
    assert isinstance(any_call, BehaviourRule)
    old_loan = msgspec.structs.replace(
        loan, version=1, zh="旧贷款", en="The old loan rule", all=(("贷款",),),
        positives=("贷款", "贷款放款"), near_misses=("款贷", "放款"),
    )  # fmt: skip
    old_call = msgspec.structs.replace(any_call, version=2, threshold=2, zh="旧呼叫", en="Two calls")
    many = by_id["CARD_MANY"]
    old_many = msgspec.structs.replace(many, version=1, threshold=3, also={}, zh="三张卡", en="Three cards")
    old_pair = Composite("COMP_TEXT_LINK", 1, ("group:text", "CONTENT_MESSENGER"), 10, "text", "旧组合", "The old pair")
    return (
        Predecessor("text", old_loan, SymbolPolicy(60, "text", "delay")),
        Predecessor("behaviour", old_call, SymbolPolicy(30, "behaviour", "challenge")),
        Predecessor("composite", old_pair),
        Predecessor("card", old_many, SymbolPolicy(15, "card", "warn")),
    )


PACK = load_rules(FILES)
WITH_BEFORE = load_rules(FILES | {BEFORE: write_before(predecessors(PACK))})
AUTOMATON, AUTOMATON_BEFORE = Automaton(PACK), Automaton(WITH_BEFORE)
#: Rules of every kind, and built-in symbols.
RULES = (
    "TEXT_BANK", "TEXT_NOTICE", "TEXT_LOAN", "CALL_BURST", "CALL_FANOUT", "CALL_ANY", "IMEI_CHANGE", "COMP_GREY_TEXT",
    "COMP_TEXT_LINK", "COMP_GREY_CALL", "LIST_BLOCK", "LIST_GREY", "LIST_ALLOW", "LIST_IMMUTABLE", "LIST_IN_TEXT",
    "LIST_BLOCK_CALLEE", "CAMPAIGN_HIT", "CAMPAIGN_BULK", "VICTIM_CONTACTED", "VICTIM_CALLS_BACK",
    "CONTENT_SHORT_LINK", "CONTENT_MESSENGER", "CLI_MISMATCH", "CARD_MANY", "CARD_ABROAD",
    "SMS_FLOOD",
)  # fmt: skip


def listed(number: str, kind: ListKind = ListKind.BLOCK, source: str = "s", **more: object) -> Entry:
    """An entry."""
    return Entry(number, Provenance(kind, source, **more))


def layer(entries: Iterable[Entry], feed: str = "", removed: Removals | None = None, *, staged: bool = False) -> Layer:
    """A layer of a feed; its serial says whether it is the content on trial."""
    return Layer(build(entries), removed or {}, feed, "new" if staged else "old", staged)


def index(*layers: Layer) -> NumberIndex:
    """Of layers, from the lowest."""
    return NumberIndex(layers=layers)


def engine(
    automaton: Automaton = AUTOMATON,
    numbers: NumberIndex | None = None,
    *,
    rules: Mapping[str, Stage] | None = None,
    feeds: Mapping[str, Stage] | None = None,
    part: float = 1.0,
) -> Engine:
    """An engine in stages."""
    return Engine(snapshot(automaton, numbers, rules=rules, feeds=feeds), part=part)


def snapshot(
    automaton: Automaton = AUTOMATON,
    numbers: NumberIndex | None = None,
    *,
    rules: Mapping[str, Stage] | None = None,
    feeds: Mapping[str, Stage] | None = None,
) -> Snapshot:
    """What such an engine decides by."""
    stages = Rollout(rules or {}, feeds or {}) if rules or feeds else NO_ROLLOUT
    return Snapshot.of(automaton, numbers or NumberIndex(), rollout=stages)


def decide(deciding: Engine, events: Sequence[Event], size: int = 1000) -> list[Decision]:
    """In batches of a size."""
    return [d for at in range(0, len(events), size) for d in deciding.decide(events[at : at + size])]


def live(decisions: Iterable[Decision]) -> list[bytes]:
    """What acts, in bytes: all but the versions of rules and lists, and what is on trial."""
    return [
        msgspec.json.encode(
            msgspec.structs.replace(
                d,
                lists="",
                rules="",
                shadow=None,
                reasons=tuple(
                    # An entry that no feed brings has the version of all lists.
                    msgspec.structs.replace(r, version="") if r.version == d.lists.split("+")[0] else r
                    for r in d.reasons
                ),
            )
        )
        for d in decisions
    ]


def memory(deciding: Engine) -> object:
    """What is remembered that depends on decisions or signs."""
    held, victims = deciding.memory(), deciding.memory().victims
    campaigns = {c.id: (c.hits, c.weight, c.seen, c.wordings) for c in held.campaigns._campaigns.values()}
    return campaigns, victims._young, victims._old, held.received._young, held.cards._young, held.segments._young


@contextmanager
def without(code: str):
    """No detector finds a built-in symbol."""

    class Deaf(Batch):
        def add(self, index: int, evidence: Evidence) -> None:
            if evidence.code != code:
                super().add(index, evidence)

    with patch.object(detectors.engine, "Batch", Deaf):
        yield


def _numbered(blocks: Sequence[Sequence[Event]]) -> list[Event]:
    events = [event for block in blocks for event in block]
    return [msgspec.structs.replace(e, id=f"e{i}", time=T0 + i * 500) for i, e in enumerate(events)]


def sms(a: str, b: str, text: str, n: int = 0, **more: object) -> SmsEvent:
    """A message; ``n`` numbers and times it."""
    return SmsEvent(id=f"e{n}", time=T0 + n, a_number=a, b_number=b, text=text, **more)


def call(a: str, b: str, n: int = 0, **more: object) -> CallEvent:
    """A call; ``n`` numbers and times it."""
    return CallEvent(id=f"e{n}", time=T0 + n, a_number=a, b_number=b, **more)


people = st.sampled_from(PEOPLE)
anyone = st.sampled_from([*PEOPLE, "", "110"])
_sms = st.builds(sms, anyone, anyone, st.sampled_from(TEXTS))
_calls = st.builds(
    lambda a, b, imei, cli, plmn: call(a, b, imei_hash=imei, network_cli=cli, visited_plmn=plmn),
    anyone, anyone, st.none() | st.sampled_from("abc"), st.none() | people, st.sampled_from([None, None, "45601"]),
)  # fmt: skip
_cards = st.builds(
    lambda a, phase, cards, channels, plmn: CardEvent(
        id="", time=T0, a_number=a, phase=phase, identity_cards=cards, identity_channels=channels, visited_plmn=plmn
    ),
    people, st.sampled_from(["woke", "counted", "counted", "re-verified"]), st.sampled_from([None, 3, 7]),
    st.sampled_from([None, 2]), st.sampled_from([None, None, "45601"]),
)  # fmt: skip
single = st.one_of(_sms, _calls, _cards)
_bulk = st.builds(
    lambda text, n, b: [sms(a, b, text) for a in CROWD[:n]], st.sampled_from(TEXTS), st.integers(2, 25), people
)
_burst = st.builds(lambda a, n: [call(a, b) for b in CROWD[:n]], people, st.integers(2, 8))
_phones = st.builds(
    lambda a, n: [call(a, "13900000000", imei_hash=str(i // 2)) for i in range(n)], people, st.integers(4, 7)
)
_victim = st.builds(
    lambda text, a, n: [*(sms(each, a, text) for each in CROWD[:n]), call(a, CROWD[0])],
    st.sampled_from(TEXTS), people, st.integers(1, 3),
)  # fmt: skip
_flood = st.builds(lambda b, n: [sms(a, b, "", route="port") for a in CROWD[:n]], people, st.integers(6, 12))
_long = st.builds(
    lambda a, b, text, at, order: [
        sms(a, b, part, segment=n, segments=2) for n, part in sorted(((1, text[:at]), (2, text[at:])), reverse=order)
    ],
    people, people, st.sampled_from(TEXTS), st.integers(1, 18), st.booleans(),
)  # fmt: skip
#: Events in the order of time, of few people: single ones, one text from many, calls in a row, victims who call back,
#: who is flooded, a message in two segments.
streams = st.lists(
    st.one_of(single.map(lambda e: [e]), _bulk, _burst, _phones, _victim, _flood, _long), min_size=1, max_size=8
).map(_numbered)  # fmt: skip

kinds = st.sampled_from([ListKind.GREY, ListKind.BLOCK, ListKind.ALLOW, ListKind.IMMUTABLE])
entries = st.builds(
    lambda number, kind, weight: listed(number, kind, weight=weight),
    st.sampled_from([*(f"+86{n}" for n in (*PEOPLE, *CROWD[:3])), *TOKENS]),
    kinds,
    st.none() | st.sampled_from([0.0, 30.0, 120.0]),
)
contents = st.lists(entries, max_size=8)
