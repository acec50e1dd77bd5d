"""What is on trial changes nothing; a canary acts as if enforced, on a part: against engines that are told so."""

from __future__ import annotations

import hashlib
from math import sqrt

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.behaviour import CallBehaviour, CallerWindows, Novelty
from detectors.contract import Batch
from detectors.keywords import Automaton
from detectors.lists import ListKind, NumberIndex
from detectors.lists.build import Removal
from detectors.lists.protected import Protected
from detectors.lists.table import place
from detectors.normalise.phone import canonical
from detectors.policy.catalogue import BUILT_IN
from detectors.rollout import Rollout, Stage, acts
from detectors.rulepack import BehaviourRule
from tests.property.test_numbers import covers, specific
from tests.support import events as shapes
from tests.support.events import T0
from tests.support.trials import (
    AUTOMATON_BEFORE,
    CROWD,
    PACK,
    PEOPLE,
    RULES,
    WITH_BEFORE,
    call,
    contents,
    decide,
    engine,
    index,
    layer,
    listed,
    live,
    memory,
    single,
    sms,
    snapshot,
    streams,
    without,
)

SHADOW, ENFORCE = Stage("shadow"), Stage("enforce")
sizes = st.sampled_from([1, 3, 1000])
stages = st.one_of(st.just(SHADOW), st.just(ENFORCE), st.builds(Stage, st.just("canary"), st.floats(0, 1)))


def taken_out(name: str) -> Automaton:
    """A pack without a rule, and without the composites of it, which then cannot fire."""
    keep = {
        "text": tuple(r for r in PACK.text if r.id != name),
        "behaviour": tuple(r for r in PACK.behaviour if r.id != name),
        "cards": tuple(r for r in PACK.cards if r.id != name),
        "policy": msgspec.structs.replace(
            PACK.policy,
            symbols={k: v for k, v in PACK.policy.symbols.items() if k != name},
            composite=tuple(c for c in PACK.policy.composite if c.id != name and name not in c.all),
        ),
    }
    return Automaton(msgspec.structs.replace(PACK, **keep))


TAKEN_OUT = {rule.id: taken_out(rule.id) for rule in PACK.rules}


def numbers(content, trial=(), *, staged=False):
    """A feed in force, one on trial above it (beside its old content, if staged), and what people entered."""
    layers = [layer(content, "base"), *([layer(content[1::2], "trial")] if staged else [])]
    manual = layer([listed("+8613800000007", ListKind.GREY)])
    return index(*layers, *([] if trial is None else [layer(trial, "trial", staged=staged)]), manual)


@given(streams, contents, st.sampled_from(RULES), sizes)
@settings(max_examples=250)
def test_a_rule_in_shadow_changes_nothing(stream, content, name, size):
    index_, trial = numbers(content, None), engine(numbers=numbers(content, None), rules={name: SHADOW})
    decided = decide(trial, stream, size)
    if name in BUILT_IN:
        free = engine(numbers=index_)
        with without(name):
            expected = decide(free, stream, 1000)
    else:
        free = engine(TAKEN_OUT[name], index_)
        expected = decide(free, stream, 1000)
    assert live(decided) == live(expected)
    assert memory(trial) == memory(free)


@given(streams, contents, contents, sizes)
@settings(max_examples=150)
def test_a_feed_in_shadow_changes_nothing(stream, content, trial, size):
    shadowed, free = (
        engine(numbers=numbers(content, trial), feeds={"trial": SHADOW}),
        engine(numbers=numbers(content, None)),
    )
    assert live(decide(shadowed, stream, size)) == live(decide(free, stream))
    assert memory(shadowed) == memory(free)


@given(streams, contents, contents, sizes)
@settings(max_examples=100)
def test_new_content_in_shadow_leaves_the_old_as_it_was(stream, content, trial, size):
    shadowed = engine(numbers=numbers(content, trial, staged=True), feeds={"trial": SHADOW})
    old = engine(numbers=index(layer(content, "base"), layer(content[1::2], "trial"), numbers([], None).layers[-1]))
    assert live(decide(shadowed, stream, size)) == live(decide(old, stream))
    assert memory(shadowed) == memory(old)


@given(streams, contents, contents, st.data())
@settings(max_examples=100)
def test_batch_sizes_change_nothing_in_any_stage(stream, content, trial, data):
    rules = data.draw(st.dictionaries(st.sampled_from(RULES), stages, max_size=5))
    index_, feeds = numbers(content, trial, staged=data.draw(st.booleans())), {"trial": data.draw(stages)}
    whole = engine(AUTOMATON_BEFORE, index_, rules=rules, feeds=feeds)
    parts = engine(AUTOMATON_BEFORE, index_, rules=rules, feeds=feeds)
    assert decide(whole, stream) == decide(parts, stream, data.draw(sizes))
    assert memory(whole) == memory(parts)


@given(single, contents, contents, st.data())
@settings(max_examples=500)
def test_the_decision_and_its_shadow_tell_what_all_enforced_would_do(event, content, trial, data):
    rules = data.draw(st.dictionaries(st.sampled_from(RULES), stages, max_size=6))
    index_, feeds = numbers(content, trial, staged=data.draw(st.booleans())), {"trial": data.draw(stages)}
    (decided,) = engine(AUTOMATON_BEFORE, index_, rules=rules, feeds=feeds).decide([event])
    (enforced,) = engine(AUTOMATON_BEFORE, index_).decide([event])
    assert enforced.shadow is None
    if "110" in (event.a_number, getattr(event, "b_number", "")):
        assert (decided.action, decided.shadow, enforced.action) == ("allow", None, "allow")
        return
    same = (decided.action, decided.score, {*decided.reasons}) == (enforced.action, enforced.score, {*enforced.reasons})
    assert (decided.shadow is None) == same
    if decided.shadow:
        assert (decided.shadow.action, decided.shadow.score) == (enforced.action, enforced.score)
        assert {*decided.shadow.reasons} == {*enforced.reasons} - {*decided.reasons}


measures = st.sampled_from(["attempts", "distinct_callees", "sequential", "cell_changes", "imei_changes"])
thresholds = st.integers(1, 3) | st.integers(1, 9)
behaviour = st.builds(
    lambda measure, threshold, also: BehaviourRule("RULE", 1, measure, threshold, "词", "word", also),
    measures,
    thresholds,
    st.dictionaries(measures, thresholds, max_size=1),
)
places = st.none() | st.sampled_from("ab")
travels = st.lists(
    st.builds(
        lambda b, imei, cell: call(PEOPLE[0], b, imei_hash=imei, cell=cell), st.sampled_from(CROWD), places, places
    ),
    max_size=14,
)


@given(st.lists(behaviour, min_size=1, max_size=4), travels)
@settings(max_examples=500)
def test_what_one_behaviour_rule_finds_does_not_depend_on_which_others_there_are(rules, events):
    rules = [msgspec.structs.replace(rule, id=f"RULE_{n}") for n, rule in enumerate(rules)]
    events = [msgspec.structs.replace(e, id=f"e{i}", time=T0 + i) for i, e in enumerate(events)]

    def found(some):
        batch = Batch([*events, *events[-2:]], {len(events), len(events) + 1})
        CallBehaviour(some, CallerWindows(600_000), Novelty()).inspect(batch)
        return {(i, e) for i, evidence in batch.hits.items() for e in evidence}

    assert found(rules) == {each for rule in rules for each in found([rule])}


def naive_acts(name: str, share: float, subject: str) -> bool:
    """The rule of a canary, by itself: the first 64 bits of BLAKE2b of salt, NUL and number, as a part of 2**64."""
    digest = hashlib.blake2b(name.encode() + b"\0" + subject.encode(), digest_size=8).digest()
    return subject != "" and int.from_bytes(digest, "big") / 2**64 < share


@given(single, contents, contents, st.data())
@settings(max_examples=300)
def test_a_canary_is_enforced_on_its_subjects_and_in_shadow_on_others(event, content, trial, data):
    shares = data.draw(st.dictionaries(st.sampled_from(RULES), st.floats(0, 1), max_size=5))
    share, index_ = data.draw(st.floats(0, 1)), numbers(content, trial, staged=data.draw(st.booleans()))
    subject = canonical(event.a_number)
    (decided,) = engine(
        AUTOMATON_BEFORE, index_,
        rules={name: Stage("canary", each) for name, each in shares.items()}, feeds={"trial": Stage("canary", share)},
    ).decide([event])  # fmt: skip
    (expected,) = engine(
        AUTOMATON_BEFORE, index_,
        rules={n: ENFORCE if naive_acts(n, each, subject) else SHADOW for n, each in shares.items()},
        feeds={"trial": ENFORCE if naive_acts("feed:trial", share, subject) else SHADOW},
    ).decide([event])  # fmt: skip
    assert live([decided]) == live([expected])
    assert decided.shadow == expected.shadow


def test_a_canary_has_its_share_of_subjects_the_same_ones_always_others_than_another_rule():
    subjects = [f"+86138{n:08}" for n in range(20_000)]

    def chosen(name, share):
        return {s for s in subjects if Rollout({name: Stage("canary", share)}).rule_acts(name, s)}

    def within(count, share):
        return abs(count - share * len(subjects)) < 5 * sqrt(len(subjects) * share * (1 - share))

    before = set()
    for share in (0.0, 0.01, 0.05, 0.25, 0.5, 0.9, 1.0):
        found = chosen("TEXT_BANK", share)
        assert within(len(found), share) or len(found) == share * len(subjects)
        assert before <= found
        assert found == {s for s in subjects if naive_acts("TEXT_BANK", share, s)}
        before = found
    assert within(len(chosen("TEXT_BANK", 0.25) & chosen("TEXT_LOAN", 0.25)), 0.25 * 0.25)
    feeds = {s for s in subjects if Rollout({}, {"TEXT_BANK": Stage("canary", 0.25)}).feed_acts("TEXT_BANK", s)}
    assert within(len(chosen("TEXT_BANK", 0.25) & feeds), 0.25 * 0.25)
    assert not acts(Stage("canary", 1.0), "TEXT_BANK", "")


# Views of the lists


feed_names = st.sampled_from(["a", "b", "c"])
removals = st.builds(
    Removal, st.none() | st.sampled_from(list(ListKind)), st.none() | st.just("operator-a"), st.none() | feed_names
)


@st.composite
def layered(draw):
    """Layers as a worker has them, in plain data: files, feeds with new content beside the old, what people entered."""
    found = [(draw(st.lists(shapes.entries, max_size=6)), {}, "", False)]
    for feed in ("a", "b", "c"):
        if draw(st.booleans()):
            staged = draw(st.booleans())
            if staged:
                found.append((draw(st.lists(shapes.entries, max_size=6)), {}, feed, False))
            found.append((draw(st.lists(shapes.entries, max_size=6)), {}, feed, staged))
    below = [e for entries, *_ in found for e in entries]
    taken = draw(st.lists(st.tuples(st.sampled_from(below), removals), max_size=4)) if below else []
    gone = {}
    for entry, removal in taken:
        gone[place(entry)] = (*gone.get(place(entry), ()), removal)
    return [*found, (draw(st.lists(shapes.entries, max_size=4)), gone, "", False)]


def naive_views(layers, feeds, number, time, subject):
    """Every entry looked at: which count now, which would if all was enforced."""
    renewed = {feed for _, _, feed, staged in layers if staged}
    now, then = [], []
    for i, (entries, _, feed, staged) in enumerate(layers):
        stage = feeds.get(feed, ENFORCE)
        newest = {
            "shadow": False,
            "enforce": True,
            "canary": naive_acts(f"feed:{feed}", stage.share, subject),
        }[stage.mode] or not feed
        older = bool(feed) and feed in renewed and not staged
        for entry in entries:
            p = entry.provenance
            takes = any(
                (r.kind is None or r.kind == p.kind)
                and (r.source is None or r.source == p.source)
                and (r.feed is None or r.feed == feed)
                for _, gone, *_ in layers[i + 1 :]
                for r in gone.get(place(entry), ())
            )
            if takes or not covers(entry, number) or not p.in_force(time):
                continue
            strength = (p.kind, specific(entry))
            if newest != older or p.kind is ListKind.PROTECTED:
                now.append((strength, p))
            if not older or p.kind is ListKind.PROTECTED:
                then.append((strength, p))
    return now, then


def is_best(found, candidates, number):
    if found is None or not candidates:
        return found is None and not candidates
    best = max(strength for strength, _ in candidates)
    return any(found.provenance == p for strength, p in candidates if strength == best)


looked_up = st.one_of(shapes.mobiles.map("+86".__add__), shapes.entries.map(lambda e: e.number))


@given(layered(), st.dictionaries(feed_names, stages), looked_up, shapes.times, st.data())
@settings(max_examples=500)
def test_views_equal_those_of_every_entry_looked_at(layers, feeds, number, time, data):
    built = [layer(entries, feed, gone, staged=staged) for entries, gone, feed, staged in layers]
    index_ = NumberIndex(layers=built, rollout=Rollout({}, feeds))
    subject = data.draw(st.sampled_from(["", number]) | looked_up)
    numbers_ = [number, *data.draw(st.lists(st.sampled_from([e.number for es, *_ in layers for e in es] or [number])))]
    for each in numbers_:
        now, then = index_.views(each, time, subject)
        expected_now, expected_then = naive_views(layers, feeds, each, time, subject)
        assert is_best(now, expected_now, each)
        assert is_best(then, expected_then, each)
        again = index_.staged(Rollout()).staged(Rollout({}, feeds))
        assert again.views(each, time, subject) == (now, then)
        assert again.version == index_.version
        plain = NumberIndex(layers=[layer for layer in built if layer.table.sizes]).find(each, time)
        assert plain == index_.find(each, time)  # whatever the stages


@given(layered(), st.dictionaries(feed_names, stages), st.data())
@settings(max_examples=200)
def test_no_stage_makes_a_protected_number_blockable(layers, feeds, data):
    built = [layer(entries, feed, gone, staged=staged) for entries, gone, feed, staged in layers]
    built.append(layer([listed("+8613800001234", ListKind.PROTECTED)], data.draw(st.sampled_from(["", "a", "b", "d"]))))
    feeds |= {"d": data.draw(stages)}
    rules = data.draw(st.dictionaries(st.sampled_from(RULES), stages, max_size=5))
    index_ = NumberIndex(layers=built, rollout=Rollout({}, feeds))
    assert Protected(index_).covers("+8613800001234", T0)
    deciding = engine(numbers=index_, rules=rules, feeds=feeds)
    fraud = "【工商银行】积分 贷款放款 http://t.cn/A6abcde"
    log = [call("13800001234", "13900000000", n) for n in range(9)]
    log += [sms("13800001234", "13900000000", fraud, 10), sms("13900000000", "13800001234", fraud, 11)]
    assert {(d.action, d.shadow) for d in deciding.decide(log)} == {("allow", None)}


# Versions


@given(st.dictionaries(st.sampled_from(RULES), stages), st.dictionaries(feed_names, stages), st.data())
def test_the_tags_are_those_of_what_does_not_act_in_full(rules, feeds, data):
    here = Rollout(dict(data.draw(st.permutations(list(rules.items())))), feeds)
    told = {  # who set it, when, and with which cap changes no decision; nor does a share but of a canary
        name: msgspec.structs.replace(stage, serial=data.draw(st.integers(0, 9)), share=stage.share or 0.0)
        for name, stage in rules.items()
    }
    there = Rollout(
        {n: s if s.mode == "canary" else msgspec.structs.replace(s, share=0.5) for n, s in told.items()}, feeds
    )
    assert here.rules_tag() == there.rules_tag()
    assert (here.rules_tag() == "") == all(stage.mode == "enforce" for stage in rules.values())
    assert (here.feeds_tag() == "") == all(stage.mode == "enforce" for stage in feeds.values())
    name = data.draw(st.sampled_from(RULES))
    before = rules.get(name, ENFORCE)
    assert (here.demoted(name).rules_tag() == here.rules_tag()) == (before.mode == "shadow")
    assert here.demoted(name).feeds_tag() == here.feeds_tag()
    assert here.demoted(name).rules_tag() == Rollout(rules | {name: SHADOW}).rules_tag()


@given(st.dictionaries(st.sampled_from(RULES), stages, max_size=4), st.sampled_from(RULES))
@settings(max_examples=50)
def test_the_same_stages_have_the_same_versions_by_any_path(rules, name):
    told = snapshot(AUTOMATON_BEFORE, numbers([]), rules=rules | {name: SHADOW})
    demoted = snapshot(AUTOMATON_BEFORE, numbers([]), rules=rules)
    demoted = demoted.staged(demoted.rollout.demoted(name)) if name in demoted.rollout.rules else told
    assert (told.rules_version, told.lists_version) == (demoted.rules_version, demoted.lists_version)
    version = next((str(r.version) for r in WITH_BEFORE.rules if r.id == name), "")
    exact = snapshot(AUTOMATON_BEFORE, numbers([]), rules=rules | {name: Stage("shadow", version=version)})
    assert exact.rules_version == told.rules_version  # a stage of any version, and of just this one


def test_the_version_of_the_lists_does_not_depend_on_the_order_of_what_was_taken_off():
    block, grey = Removal(ListKind.BLOCK), Removal(ListKind.GREY, feed="a")
    bottom = layer([listed("+8613800001234")], "a")
    at = place(listed("+8613800001234"))
    versions = {index(bottom, layer([], "", {at: gone})).version for gone in ((block, grey), (grey, block))}
    assert len(versions) == 1


@pytest.mark.parametrize("staged", [True, False])
def test_versions_change_with_every_stage(staged):
    index_ = numbers([listed("+8613800000001")], [listed("+8613800000002")], staged=staged)
    steps = [None, SHADOW, Stage("canary", 0.1), Stage("canary", 0.2), ENFORCE]
    seen = [snapshot(numbers=index_, feeds={"trial": step} if step else {}).lists_version for step in steps]
    assert len({*seen}) == 4
    assert seen[0] == seen[-1] == index_.version
    seen = [snapshot(rules={"TEXT_BANK": step} if step else {}).rules_version for step in steps]
    assert len({*seen}) == 4
    assert seen[0] == seen[-1] == PACK.version


def test_compaction_takes_off_what_was_taken_off_one_feed():
    at = place(listed("+8613800001234"))
    of_a = index(layer([listed("+8613800001234")], "a"), layer([], "", {at: (Removal(feed="a"),)}))
    of_b = index(layer([listed("+8613800001234")], "a"), layer([], "", {at: (Removal(feed="b"),)}))
    assert (len(of_a.compacted()), len(of_b.compacted())) == (0, 1)
