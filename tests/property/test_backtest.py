"""What must hold of every back-test, whatever the log, the packs and the processes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.engine import Engine, Snapshot
from detectors.explain import explain
from detectors.lists import Entry, ListKind, NumberIndex
from detectors.lists.entry import Provenance
from detectors.model.decision import ACTIONS, Action
from detectors.model.events import CallEvent, SmsEvent
from detectors.rulepack import load_rules
from loadtest.truth import FRAUDULENT
from stream.backtest.affected import Shown, Sides
from stream.backtest.found import Truth, merge
from stream.backtest.job import Comparison
from stream.backtest.report import figures
from stream.backtest.rests import Rests
from stream.wire import dump_json
from tests.support import rules
from tests.support.events import T0

NUMBERS = [f"1385550000{n}" for n in range(6)]
SHARDS = 3
CALLERS = 1_000
COMPOSITES = {"COMP_GREY_TEXT"}


def snapshot(files, *kinds):
    """With a list of each of these kinds; of the n-th its n-th number is on it."""
    listed = zip(NUMBERS, kinds, strict=False)
    entries = [Entry("+86" + number, Provenance(kind=kind, source="desk", added=0)) for number, kind in listed]
    return Snapshot.build(load_rules(files), NumberIndex(entries))


#: Each differs from the others in weights, ceilings, thresholds or lists.
SNAPSHOTS = (
    snapshot(rules.files(), ListKind.BLOCK, ListKind.GREY, ListKind.ALLOW),
    snapshot(rules.files(), ListKind.GREY, ListKind.GREY),
    snapshot(
        rules.files(
            behaviour=rules.BEHAVIOUR.replace("threshold = 5", "threshold = 2"),
            policy=rules.POLICY.replace("CALL_BURST = {weight = 50", "CALL_BURST = {weight = 25").replace("90", "200"),
            weights=rules.WEIGHTS.replace('weight = 60, group = "text", ceiling = "delay"',
                                          'weight = 100, group = "text", ceiling = "block"'),
        ),
        ListKind.ALLOW, ListKind.BLOCK, ListKind.GREY,
    ),
)  # fmt: skip
LABELS = st.sampled_from([Truth("fraud", "loan"), Truth("illegal", "gambling"), Truth("ham", ""), Truth("ad", "shop")])
snapshots = st.sampled_from(SNAPSHOTS)
numbers = st.sampled_from([*NUMBERS, ""])
texts = st.sampled_from(["hi", "工商银行积分", "反诈中心", "建设银行积分,反诈中心"])


@st.composite
def logs(draw):
    """Events, and the truth about some."""
    found = []
    for n in range(draw(st.integers(1, 40))):
        common = {"id": f"e{n}", "time": T0 + 1000 * n, "a_number": draw(numbers), "b_number": draw(numbers)}
        if draw(st.booleans()):
            found.append(CallEvent(**common))
        else:
            found.append(SmsEvent(**common, text=draw(texts)))
    known = draw(st.lists(st.tuples(st.integers(0, len(found) - 1), LABELS)))
    return found, {found[n].id: truth for n, truth in known}


def engine(side):
    return Engine(side, max_callers=CALLERS)


def shard_of(event):
    return sum(event.a_number.encode()) % SHARDS


def compare(before, after, log, labels, *, split=((0, 1, 2),), size=7):
    """The back-test, its shards split over jobs, in batches of some size."""
    results = []
    for own in split:
        job = Comparison(before, after, labels, max_callers=CALLERS)
        for start in range(0, len(log), size):
            for shard in own:
                batch = [(n, e) for n, e in enumerate(log) if start <= n < start + size and shard_of(e) == shard]
                assert job.decide(shard, [e for _, e in batch], [n for n, _ in batch]) == b""
        results.append(job.result())
    return merge(results)


def report(found, before, after, blocked_from=Action.BLOCK):
    return figures(found, Sides(before, after), Shown(blocked_from, 3, labelled=True), None)


@given(logs(), snapshots, snapshots, st.permutations(range(SHARDS)), st.integers(1, 9))
@settings(max_examples=60)
def test_neither_processes_nor_batches_change_anything(log_and_labels, before, after, order, size):
    log, labels = log_and_labels
    whole = compare(before, after, log, labels, size=len(log))
    parts = compare(before, after, log, labels, split=[order[:1], order[1:]], size=size)
    assert parts == whole
    assert dump_json(report(parts, before, after)) == dump_json(report(whole, before, after))


@given(logs(), snapshots, snapshots, st.sampled_from([Action.WARN, Action.DELAY, Action.BLOCK]))
@settings(max_examples=60)
def test_the_other_way_round_the_released_are_the_newly_blocked(log_and_labels, before, after, blocked_from):
    log, labels = log_and_labels
    there = report(compare(before, after, log, labels), before, after, blocked_from)
    back = report(compare(after, before, log, labels), after, before, blocked_from)
    other = {"newly_blocked": "released", "stronger": "weaker", "newly_acted_on": "no_longer_acted_on"}
    other |= {theirs: ours for ours, theirs in other.items()}
    for name in ("changed_events", "changed_subscribers"):
        assert {other.get(kind, kind): count for kind, count in back[name].items()} == there[name]
    for ours, theirs in (("newly_blocked", "released"), ("stronger", "weaker")):
        for there_row, back_row in zip(there["subscribers"][ours], back["subscribers"][theirs], strict=True):
            assert there_row["subscriber"] == back_row["subscriber"]
            assert there_row["example"]["position"] == back_row["example"]["position"]
            assert there_row["example"]["before"] == back_row["example"]["after"]
    assert there["labels"]["before"] == back["labels"]["after"]
    assert [row["code"] for row in there["rules"]] == [row["code"] for row in back["rules"]]
    for here, other_way in zip(there["rules"], back["rules"], strict=True):
        assert all(here[kind] == other_way[mirrored] for kind, mirrored in other.items())
        assert here["fired"]["before"] == other_way["fired"]["after"]
        assert here["alone"]["before"] == other_way["alone"]["after"]


@given(logs(), snapshots, snapshots)
@settings(max_examples=60)
def test_the_figures_are_those_of_two_plain_engines(log_and_labels, before, after):
    """One shard here; counted the slow way."""
    log, labels = log_and_labels
    job = Comparison(before, after, labels, max_callers=CALLERS)
    job.decide(0, log, range(len(log)))
    found = report(merge([job.result()]), before, after)
    was, now = ([ACTIONS[d.action] for d in engine(side).decide(log)] for side in (before, after))
    events = list(zip(log, was, now, strict=True))
    newly = [e for e, b, a in events if b < Action.BLOCK <= a]
    assert found["changed_events"]["newly_blocked"] == len(newly)
    assert found["changed_events"]["newly_acted_on"] == sum(b < Action.WARN <= a for _, b, a in events)

    def blocked(actions):
        """By number; a withheld one is nobody's, so each event counts."""
        return {e.a_number or e.id for e, action in zip(log, actions, strict=True) if action is Action.BLOCK}

    assert found["changed_subscribers"]["newly_blocked"] == len(blocked(now) - blocked(was))
    assert found["changed_subscribers"]["released"] == len(blocked(was) - blocked(now))
    acted = [labels[e.id].label in FRAUDULENT for e, _, a in events if a >= Action.WARN and e.id in labels]
    assert [found["labels"]["after"][name] for name in ("tp", "fp")] == [acted.count(True), acted.count(False)]
    reasons = Counter(code for d in engine(after).decide(log) for code in {r.code for r in d.reasons})
    assert {row["code"]: row["fired"]["after"] for row in found["rules"] if row["fired"]["after"]} == reasons


@given(logs(), snapshots)
@settings(max_examples=60)
def test_what_a_measure_rests_on_is_what_an_explanation_says(log_and_labels, side):
    """``detectors.explain`` judges the evidence again, which a back-test does not have; it knows no composites."""
    log, _ = log_and_labels
    deciding, explaining, rests = engine(side), engine(side), Rests(side)
    for event in log:
        (decision,) = deciding.decide([event])
        changes = explain(explaining, event).changes
        expected = {c.without[0] for c in changes if len(c.without) == 1 and weaker(c.action, decision.action)}
        assert {rule.code for rule in rests.on(decision)} - COMPOSITES == expected


def weaker(one, other):
    return ACTIONS[one] < ACTIONS[other]


@given(logs(), snapshots, snapshots)
@settings(max_examples=30)
def test_no_number_is_ever_shown(log_and_labels, before, after):
    log, labels = log_and_labels
    log = [type(e)(**{n: getattr(e, n) for n in e.__struct_fields__} | {"id": f"{e.a_number}-{e.id}"}) for e in log]
    text = dump_json(report(compare(before, after, log, labels), before, after)).decode()
    assert not any(number in text for number in NUMBERS)
