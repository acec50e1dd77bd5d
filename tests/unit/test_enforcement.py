"""Who may throw the kill switch, and what the state says of it."""

import msgspec
import pytest

from detectors.rollout import NO_ROLLOUT, Rollout, Stage
from stream.topics import LISTS, RULES
from stream.updates.build import rollout_of
from stream.updates.keys import Author, make_key
from stream.updates.records import SWITCH, Change, RecordError, SwitchRecord, Written, encode, signed_bytes
from stream.updates.state import State
from stream.updates.trust import Trust, is_emergency

OFF, ON = encode(SwitchRecord(on=False)), encode(SwitchRecord(on=True))


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name in ("zhang", "li", "stranger"):
        make_key(folder / f"{name}.key")
    return {name: Author.read(name, folder / f"{name}.key") for name in ("zhang", "li", "stranger")}


@pytest.fixture
def trust(people):
    known = "".join(f'[people.{name}]\nkey = "{people[name].public}"\n' for name in ("zhang", "li"))
    return Trust.parse(f"approvals = 2\n{known}", "trust.toml")


def thrown(value, *signers, time=1, serial=1, author="zhang", key=SWITCH, topic=RULES.name):
    change = Change(serial, author, "enforcement", "enforcement", "a test", time)
    said = signed_bytes(topic, key, value, change)
    signatures = {signer.name: signer.sign(said) for signer in signers}
    return Written(topic, key, value, msgspec.structs.replace(change, signatures=signatures))


def test_off_takes_one_known_person_and_on_as_many_as_any_change(people, trust):
    zhang, li = people["zhang"], people["li"]
    trust.verify(thrown(OFF, zhang))
    trust.verify(thrown(ON, zhang, li))
    for refused in (
        thrown(OFF),
        thrown(OFF, people["stranger"], author="stranger"),
        thrown(OFF, li),  # not its author
        thrown(ON, zhang),
        thrown(None, zhang),  # to take it back is to turn it on
        thrown(b'{"on":0}', zhang),
        thrown(b'{"stage":"shadow"}', zhang, key="stage/TEXT_X/1"),
    ):
        with pytest.raises(RecordError) as error:
            trust.verify(refused)
        assert error.value.code == "untrusted"


@pytest.mark.parametrize(
    ("topic", "key", "value", "is_one"),
    [
        (RULES.name, SWITCH, OFF, True),
        (RULES.name, SWITCH, b' {"on" : false} ', True),
        (RULES.name, SWITCH, ON, False),
        (RULES.name, SWITCH, None, False),
        (RULES.name, SWITCH, b'{"on":false,"more":1}', False),
        (RULES.name, SWITCH, b"{", False),
        (LISTS.name, SWITCH, OFF, False),
        (RULES.name, "switch/other", OFF, False),
        (RULES.name, "pack", OFF, False),
    ],
)
def test_what_is_an_emergency(topic, key, value, is_one):
    assert is_emergency(topic, key, value) is is_one


def test_the_state_knows_the_switch_and_who_threw_it():
    state = State()
    assert (state.enforcement, state.switch, rollout_of(state).enforcement) == (True, None, True)
    state.apply(thrown(OFF, time=5, serial=7))
    assert (state.enforcement, rollout_of(state).enforcement) == (False, False)
    assert (state.switch.change.author, state.switch.change.serial) == ("zhang", 7)
    again = State()
    for record in state.records():
        again.apply(record)
    assert not again.enforcement
    with pytest.raises(RecordError, match="older"):
        state.apply(thrown(ON, time=4))
    state.apply(thrown(ON, time=6))
    assert state.enforcement
    with pytest.raises(RecordError, match="older"):  # a switch that was once rightly thrown does not come back
        state.apply(thrown(OFF, time=5))
    state.apply(thrown(OFF, time=8))
    state.apply(thrown(None, time=9))
    assert state.enforcement


@pytest.mark.parametrize(
    ("topic", "key", "value", "author"),
    [(LISTS.name, SWITCH, OFF, "zhang"), (RULES.name, "switch/other", OFF, "zhang"),
     (RULES.name, "switch", OFF, "zhang"), (RULES.name, SWITCH, b"{}", "zhang"), (RULES.name, SWITCH, OFF, "brake")],
)  # fmt: skip
def test_what_is_no_switch_changes_nothing(topic, key, value, author):
    state = State()
    with pytest.raises(RecordError):
        state.apply(thrown(value, topic=topic, key=key, author=author))
    assert state.enforcement


def test_all_that_is_made_of_a_rollout_keeps_the_switch_and_its_tag():
    stages = Rollout({"TEXT_X": Stage("shadow")}, {"a": Stage("shadow")})
    off = stages.switched(enforcement=False)
    assert off.rules_tag() == f"{stages.rules_tag()}+off"
    assert (off.feeds_tag(), off.switched(enforcement=True).rules_tag()) == (stages.feeds_tag(), stages.rules_tag())
    assert NO_ROLLOUT.switched(enforcement=False).rules_tag() == "+off"
    assert not off.demoted("TEXT_Y").enforcement
    assert not off.demoted("feed:a").enforcement
