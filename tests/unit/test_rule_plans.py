"""What publishing, promoting and going back write, on the small pack: every rule's way through the stages."""

from __future__ import annotations

import hashlib

import pytest

from detectors.model.errors import RuleError
from detectors.rollout import Cap
from detectors.rulepack import load_rules
from stream.topics import RULES
from stream.updates.build import rollout_of
from stream.updates.chain import Link
from stream.updates.library import bundle
from stream.updates.publisher import ChangeError, Put
from stream.updates.records import BrakeRecord, Change, Content, PackRecord, Written, encode
from stream.updates.rule_diff import policy_changes, rule_changes
from stream.updates.rule_past import OWN, find_period, periods, plan_rollback
from stream.updates.rule_plans import SHADOW, Step, Wishes, plan_cap, plan_publish, plan_step
from stream.updates.state import State
from tests.support.rules import BEHAVIOUR, POLICY, TEXT, WEIGHTS, files

ENFORCE, CANARY = Step("enforce"), Step("canary", 0.05)
CAP = Cap(1000, 0.02)
NEW = """
[[rule]]
id = "TEXT_NEW"
version = 1
class = "loan"
zh = "测试规则"
en = "A rule of this test"
source = "written for this test"
all = [["紫色的大象"]]
positives = ["一头紫色的大象", "紫色的大象来了"]
near_misses = ["紫色的小象", "大象"]
"""
NEW_WEIGHT = 'TEXT_NEW = {weight = 60, group = "text", ceiling = "delay"}\n'


def bank(version: int) -> str:
    """The texts with another version of TEXT_BANK: its number is in its terms."""
    return TEXT.replace("version = 3", f"version = {version}").replace('["积分"]', f'["积分", "版本{version}"]')


class World:
    """What is on the topics, and the chain, with none of Kafka."""

    def __init__(self) -> None:
        self.state, self.links, self.packs = State(), [], {}
        self.own = files()

    @property
    def files(self) -> dict[str, bytes]:
        """Of the pack in force."""
        return self.packs[self.state.pack.value.content.digest] if self.state.pack else self.own

    def write(self, *puts: Put, author: str = "zhang") -> None:
        serial = self.state.serial + 1
        change = Change(serial, author, "test", "t", "a test", serial, len(puts))
        for put in puts:
            written = Written(put.topic, put.key, None if put.value is None else encode(put.value), change)
            self.state.apply(written)
            self.links.append(Link(written, "", serial * 1000, len(self.links)))

    def publish(self, new: dict[str, bytes], *, plan_only: bool = False, **wishes: object) -> list[str]:
        found = plan_publish(self.state, self.files, new, Wishes(**{"cap": CAP, **wishes}))
        if found.files and not plan_only:
            data = bundle(found.files)
            digest = hashlib.sha256(data).hexdigest()
            self.packs[digest] = found.files
            content = Content(digest, len(self.packs), 1, len(data), len(found.pack.rules), found.pack.version, 0)
            self.write(Put(RULES.name, "pack", PackRecord(content, found.pack.version)), *found.stages)
        return found.lines

    def step(self, rule: str, step: Step, *, up: bool) -> str:
        puts, line = plan_step(self.state, load_rules(self.files), rule, step, up=up)
        self.write(*puts)
        return line

    def brake(self, rule: str, version: str) -> None:
        self.write(Put(RULES.name, f"brake/{rule}/{version}", BrakeRecord("ran away")), author="brake")

    def roll_back(self, to: str | None = None, *, rearm: bool = False) -> list[str]:
        period = find_period(periods(self.links, State()), self.state, to)
        then = self.packs[period.pack.value.content.digest] if period.pack else self.own
        puts, lines = plan_rollback(self.state, period, load_rules(then), rearm=rearm)
        self.write(*puts)
        return lines

    @property
    def before(self) -> dict[str, int]:
        """The predecessors in the pack in force: id -> version."""
        return {each.rule.id: each.rule.version for each in load_rules(self.files).before}

    @property
    def stages(self) -> dict[tuple[str, str], str]:
        return {key: str(Step(held.value.stage, held.value.share)) for key, held in self.state.stages.items()}

    @property
    def decides_as(self) -> tuple[str, str]:
        """Equal for equal decisions: what they carry as the version of the rules, and all stages behind it."""
        pack = load_rules(self.files)
        rollout = rollout_of(self.state, {rule.id: str(rule.version) for rule in pack.rules})
        return pack.version + rollout.rules_tag(), repr(sorted((k, v.mode, v.share) for k, v in rollout.rules.items()))


@pytest.fixture
def world() -> World:
    return World()


def test_a_new_rule_starts_in_shadow_with_a_cap_and_touches_no_other(world: World):
    new = files(text=TEXT + NEW, weights=WEIGHTS + NEW_WEIGHT)
    lines = world.publish(new)
    assert lines == [
        "TEXT_NEW: new, version 1, shadow; cap 1,000 a minute, 2 % of events",
        "5 rules as they are",
    ]
    assert world.stages == {("TEXT_NEW", "1"): "shadow"}
    assert world.state.stages["TEXT_NEW", "1"].value.cap == CAP
    assert world.before == {}
    assert world.publish(new)[0].startswith(f"pack {load_rules(new).version} is in force with these files")
    assert world.state.serial == 1


def test_the_first_pack_is_published_even_if_it_is_the_workers_own(world: World):
    assert world.publish(files()) == ["5 rules as they are"]
    assert world.state.pack.value.version == load_rules(files()).version


def test_each_rule_may_have_a_stage_of_its_own(world: World):
    new = files(text=bank(4) + NEW, weights=WEIGHTS + NEW_WEIGHT)
    world.publish(new, step=CANARY, steps={"TEXT_BANK": SHADOW}, cap=None)
    assert world.stages == {("TEXT_BANK", "4"): "shadow", ("TEXT_NEW", "1"): "canary:5%"}
    assert world.state.stages["TEXT_NEW", "1"].value.cap is None
    with pytest.raises(RuleError, match="--rule-stage TEXT_NOTICE: neither new nor changed"):
        world.publish(files(text=bank(5)), steps={"TEXT_NOTICE": SHADOW})


def test_what_acts_goes_on_acting_until_its_successor_is_enforced(world: World):
    (line, *_) = world.publish(files(text=bank(4)))
    assert line.startswith("TEXT_BANK: changed, version 3 -> 4, shadow; version 3 acts; cap ")
    assert line.endswith("(all: +版本4)")
    assert world.before == {"TEXT_BANK": 3}
    world.publish(files(text=bank(5)))
    assert (world.before, world.stages["TEXT_BANK", "5"]) == ({"TEXT_BANK": 3}, "shadow")
    world.step("TEXT_BANK", CANARY, up=True)
    world.publish(files(text=bank(5) + NEW, weights=WEIGHTS + NEW_WEIGHT))
    assert (world.before, world.stages["TEXT_BANK", "5"]) == ({"TEXT_BANK": 3}, "canary:5%")
    (line, *_) = world.publish(files(text=bank(6) + NEW, weights=WEIGHTS + NEW_WEIGHT), step=CANARY)
    assert "5 -> 6, canary:5%; elsewhere version 3 acts" in line
    assert world.before == {"TEXT_BANK": 3}
    world.step("TEXT_BANK", ENFORCE, up=True)
    world.publish(files(text=bank(6)))
    assert world.before == {}
    world.publish(files(text=bank(7)))
    assert world.before == {"TEXT_BANK": 6}
    world.publish(files(text=bank(8)), step=ENFORCE)
    assert (world.before, world.stages["TEXT_BANK", "8"]) == ({}, "enforce")


def test_the_predecessor_is_whole_with_its_weight(world: World):
    world.publish(files(text=bank(4), weights=WEIGHTS.replace("60", "75")))
    (before,) = load_rules(world.files).before
    small = load_rules(files())
    assert (before.rule, before.symbol) == (small.text[0], small.policy.symbols["TEXT_BANK"])


def test_composites_and_behaviour_rules_have_predecessors_too(world: World):
    world.publish(
        files(
            policy=POLICY.replace("version = 1\nall", "version = 2\nall").replace("weight = 30", "weight = 35"),
            behaviour=BEHAVIOUR.replace("version = 2", "version = 3").replace("threshold = 4", "threshold = 3"),
        )
    )
    assert world.before == {"COMP_GREY_TEXT": 1, "CALL_FANOUT": 2}
    assert {each.rule.id: each.symbol is None for each in load_rules(world.files).before} == {
        "COMP_GREY_TEXT": True,
        "CALL_FANOUT": False,
    }


def test_a_rule_about_sim_cards_has_a_predecessor_of_its_own_kind(world: World):
    policy = POLICY.replace("[symbols]\n", '[symbols]\nCARD_MANY = {weight = 9, group = "text"}\n')
    cards = b'[[rule]]\nid = "CARD_MANY"\nversion = 1\nmeasure = "agent_cards"\nthreshold = 9\nzh = "xx"\nen = "xx"\n'
    world.own = files(policy=policy) | {"cards.toml": cards}
    changed = cards.replace(b"version = 1", b"version = 2").replace(b"threshold = 9", b"threshold = 8")
    world.publish(files(policy=policy) | {"cards.toml": changed})
    (before,) = load_rules(world.files).before
    assert (before.kind, before.rule) == ("card", load_rules(world.own).cards[0])


def test_where_nothing_was_enforced_nothing_acts(world: World):
    world.publish(files(text=TEXT + NEW, weights=WEIGHTS + NEW_WEIGHT), step=CANARY)
    second = TEXT + NEW.replace("version = 1", "version = 2")
    (line, *_) = world.publish(files(text=second, weights=WEIGHTS + NEW_WEIGHT))
    assert "nothing acts, as none was enforced" in line
    assert world.before == {}


def test_what_the_brake_stopped_is_no_predecessor(world: World):
    world.publish(files(text=bank(4)), step=ENFORCE)
    world.brake("TEXT_BANK", "4")
    world.publish(files(text=bank(5)))
    assert world.before == {}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            {"text": TEXT.replace('"建设银行"', '"农业银行", "建设银行"')},
            r"small\.toml:3: \S+\.version: 3, but version 3",
        ),
        ({"weights": WEIGHTS.replace("60", "61")}, r"TEXT_BANK\]\.version: 3, but version 3 is in force"),
        ({"text": TEXT.replace("version = 3", "version = 2")}, "2, but version 3 .*rules rollback"),
    ],
)
def test_what_changes_needs_a_higher_version(world: World, changed: dict[str, str], says: str):
    with pytest.raises(RuleError, match=says):
        world.publish(files(**changed))


def test_a_version_raised_alone_is_a_change_as_its_stage_would_be_lost_otherwise(world: World):
    world.publish(files(text=bank(4)))
    world.publish(files(text=bank(4).replace("version = 4", "version = 5")))
    assert (world.stages["TEXT_BANK", "5"], world.before) == ("shadow", {"TEXT_BANK": 3})


def test_a_rule_that_is_gone_is_gone(world: World):
    without = TEXT[: TEXT.index('[[rule]]\nid = "TEXT_NOTICE"')], WEIGHTS[: WEIGHTS.index("TEXT_NOTICE")]
    lines = world.publish(files(text=without[0], weights=without[1]))
    assert lines == ["TEXT_NOTICE: gone (was version 1)", "4 rules as they are"]


def test_what_has_no_stages_changes_only_if_that_is_said(world: World):
    policy = POLICY.replace("warn = 40", "warn = 45").replace("LIST_GREY = {weight = 35", "LIST_GREY = {weight = 36")
    new = files(policy=policy.replace("text = {cap = 90}", "text = {cap = 95}\nother = {cap = 5}"))
    with pytest.raises(ChangeError, match="--with-policy: ") as caught:
        world.publish(new)
    for each in ("$.ladder.warn: 40 -> 45", "$.groups.text.cap: 90 -> 95", "$.symbols.LIST_GREY: weight 35 -> 36"):
        assert each in str(caught.value)
    assert "other" not in str(caught.value)
    lines = world.publish(new, with_policy=True)
    assert "policy.toml: $.ladder.warn: 40 -> 45, at once for all" in lines
    assert world.state.pack is not None


def test_predecessors_that_somebody_wrote_into_the_folder_are_not_taken(world: World):
    world.publish(files(text=bank(4)))
    again = dict(world.files)
    assert "is in force with these files" in world.publish(again)[0]
    again["text/small.toml"] = bank(5).encode()
    world.step("TEXT_BANK", ENFORCE, up=True)
    world.publish(again)
    assert world.before == {"TEXT_BANK": 4}


def test_a_predecessor_needs_its_group_and_its_kind(world: World):
    groups = POLICY.replace("text = {cap = 90}", "other = {cap = 90}").replace("group:text", "group:other")
    moved = files(
        text=bank(4).replace("version = 1", "version = 2"),
        policy=groups.replace("version = 1\nall", "version = 2\nall"),
        weights=WEIGHTS.replace('"text"', '"other"'),
    )
    with pytest.raises(RuleError, match=r"\$\.groups\.text: gone, but version 3 of TEXT_BANK"):
        world.publish(moved, with_policy=True)
    world.publish(moved, with_policy=True, step=ENFORCE)
    composite = POLICY.replace("COMP_GREY_TEXT", "CALL_BURST").replace("version = 1\nall", "version = 9\nall")
    swapped = files(
        behaviour=BEHAVIOUR.replace("CALL_BURST", "CALL_OTHER"),
        policy=composite.replace("CALL_BURST = {", "CALL_OTHER = {"),
    )
    other = World()
    with pytest.raises(RuleError, match=r"CALL_BURST.*another kind of rule"):
        other.publish(swapped)


def test_one_step_on_and_one_back(world: World):
    world.publish(files(text=bank(4)))
    cap = "cap 1,000 a minute, 2 % of events"
    assert world.step("TEXT_BANK", CANARY, up=True) == f"TEXT_BANK 4: shadow -> canary:5%; {cap}"
    with pytest.raises(ChangeError, match=r"TEXT_BANK: is in canary:5%; .* `lanjie rules demote`"):
        world.step("TEXT_BANK", SHADOW, up=True)
    with pytest.raises(ChangeError, match="`lanjie rules promote`"):
        world.step("TEXT_BANK", Step("canary", 0.5), up=False)
    world.step("TEXT_BANK", ENFORCE, up=True)
    serial = world.state.serial
    assert plan_step(world.state, load_rules(world.files), "TEXT_BANK", ENFORCE, up=True)[0] == []
    assert world.step("CAMPAIGN_HIT", SHADOW, up=False) == "CAMPAIGN_HIT: enforce -> shadow; no cap"
    assert world.stages["CAMPAIGN_HIT", ""] == "shadow"
    assert world.state.serial == serial + 1


@pytest.mark.parametrize("name", ["TEXT_BANKS", "PROTECTED", ""])
def test_a_rule_that_is_none_has_no_stage(world: World, name: str):
    with pytest.raises(ChangeError, match="no rule of pack 7-"):
        world.step(name, SHADOW, up=False)


def test_limits_that_are_not_named_stay(world: World):
    pack = load_rules(files())

    def cap(limits: dict[str, float] | None) -> Cap | None:
        puts, _ = plan_cap(world.state, pack, "TEXT_BANK", limits)
        world.write(*puts)
        return world.state.stages["TEXT_BANK", "3"].value.cap

    assert cap({"per_minute": 5}) == Cap(5)
    assert cap({"appeals": 2}) == Cap(5, appeals=2)
    assert cap(None) is None
    assert world.stages == {("TEXT_BANK", "3"): "enforce"}


def test_going_back_brings_pack_and_stages_as_they_were_at_its_end(world: World):
    world.publish(files(text=bank(4)))
    world.step("TEXT_BANK", Step("canary", 0.2), up=True)
    world.step("CALL_BURST", CANARY, up=False)
    version, then = world.state.pack.value.version, world.decides_as
    world.publish(files(text=bank(5) + NEW, weights=WEIGHTS + NEW_WEIGHT), step=ENFORCE)
    world.step("CALL_BURST", ENFORCE, up=True)
    world.step("CALL_FANOUT", SHADOW, up=False)
    assert world.decides_as != then
    bad, bad_version = world.decides_as, world.state.pack.value.version
    lines = world.roll_back()
    assert world.decides_as == then
    assert lines == [
        f"pack {bad_version} -> {version}",
        "CALL_BURST 1: enforce (no cap) -> canary:5% (no cap)",
        "CALL_FANOUT 2: shadow (no cap) -> enforce (nothing said)",
    ]
    world.roll_back()
    assert world.decides_as == bad
    world.roll_back(version)
    assert world.decides_as == then
    with pytest.raises(ChangeError, match="is in force"):
        world.roll_back(version)
    with pytest.raises(ChangeError, match=rf"--to 7-x: .* known are: {OWN}, 7-\w+$"):
        world.roll_back("7-x")


def test_going_back_from_the_first_pack_leaves_workers_their_own(world: World):
    with pytest.raises(ChangeError, match="rollback: no such pack"):
        world.roll_back()
    own = world.decides_as
    world.publish(files(text=bank(4)), step=ENFORCE)
    world.step("TEXT_NOTICE", SHADOW, up=False)
    published = world.decides_as
    world.roll_back()
    assert (world.state.pack, world.decides_as) == (None, own)
    world.roll_back()
    assert world.decides_as == published


@pytest.mark.parametrize("rearm", [False, True])
def test_going_back_arms_what_the_brake_stopped_since_only_if_told(world: World, rearm: bool):
    world.publish(files(text=bank(4)), step=ENFORCE)
    then = world.decides_as
    world.publish(files(text=bank(4) + NEW, weights=WEIGHTS + NEW_WEIGHT))
    world.brake("TEXT_BANK", "4")
    world.write(*plan_cap(world.state, load_rules(world.files), "TEXT_BANK", {"per_minute": 7})[0])
    (_, line) = world.roll_back(rearm=rearm)
    if rearm:
        said = "shadow (cap 7 a minute, 2 % of events) -> enforce (cap 1,000 a minute, 2 % of events)"
    else:
        said = "stays in shadow, where the brake put it; --rearm lets it act"
    assert line == f"TEXT_BANK 4: {said}"
    assert world.stages["TEXT_BANK", "4"] == ("enforce" if rearm else "shadow")
    assert (world.decides_as == then) is rearm


def test_what_a_person_armed_again_is_not_held_back(world: World):
    world.publish(files(text=bank(4)), step=ENFORCE)
    then = world.decides_as
    world.publish(files(text=bank(4) + NEW, weights=WEIGHTS + NEW_WEIGHT))
    world.brake("TEXT_BANK", "4")
    world.step("TEXT_BANK", CANARY, up=True)
    world.roll_back()
    assert world.decides_as == then


def test_the_difference_names_fields_and_terms():
    old = load_rules(files())
    new = load_rules(
        files(
            text=TEXT.replace("version = 3", "version = 4")
            .replace('"建设银行"', '"农业银行"')
            .replace("建设银行积分", "农业银行积分"),
            behaviour=BEHAVIOUR.replace("version = 1", "version = 2").replace("threshold = 5", "threshold = 6"),
            weights=WEIGHTS.replace("60", "61.5"),
        )
    )
    found = {change.rule: change for change in rule_changes(old, new)}
    assert found["TEXT_BANK"].detail == "all: +农业银行 -建设银行; positives: 1 added, 1 removed; weight: 60 -> 61.5"
    assert (found["CALL_BURST"].detail, found["CALL_BURST"].versions) == ("threshold: 5 -> 6", "1 -> 2")
    assert policy_changes(old, new) == []
    assert {change.where for change in policy_changes(old, load_rules())} >= {
        "policy.toml: $.symbols.CAMPAIGN_HIT",
        "keywords.toml: $.keyword[贷款]",
        "forms.json: $.贷款",
        "responses.toml: $.cn",
    }
    longer = load_rules(files(behaviour=BEHAVIOUR.replace("600", "900")))
    assert [str(each) for each in policy_changes(old, longer)] == ["behaviour.toml: $.window_seconds: 600 -> 900"]
    abroad = load_rules(files() | {"cards.toml": b'high_risk_networks = ["456"]'})
    assert [str(each) for each in policy_changes(old, abroad)] == ["cards.toml: $.high_risk_networks: () -> ('456',)"]
