import pytest

from detectors.engine import Snapshot
from detectors.lists import NumberIndex
from detectors.model.errors import RuleError
from detectors.rulepack import load_rules
from tests.support.rules import BEHAVIOUR, POLICY, TEXT, files


def build(**changed):
    return Snapshot.build(load_rules(files(**changed)), NumberIndex())


def test_version_changes_with_any_byte():
    assert load_rules(files()).version != load_rules(files(text=TEXT + "# note\n")).version
    assert load_rules(files()).version.startswith("7-")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"text": TEXT.replace("version = 3", "version = 0")}, "$.rule[0].version"),
        ({"text": TEXT.replace('class = "phishing"', 'class = "spam"')}, "$.rule[0].class"),
        ({"text": TEXT.replace("TEXT_NOTICE", "TEXT_BANK")}, "used twice"),
        ({"text": TEXT.replace('"积分"]]', '"的"]]')}, "'的' is 1 characters"),
        ({"text": TEXT.replace('"积分商城"', '"建设银行积分"')}, "near_misses: matched"),
        ({"text": TEXT.replace('"建设银行积分"', '"建设银行"')}, "positives: not matched"),
        ({"text": TEXT.replace('near_misses = ["中心", "反诈"]', "")}, "missing required field `near_misses`"),
        ({"text": "[[rule"}, "text.toml"),
        ({"behaviour": BEHAVIOUR.replace("threshold = 5", "threshold = 1")}, "threshold"),
        ({"behaviour": BEHAVIOUR.replace("threshold", "treshold")}, "unknown field `treshold`"),
        ({"policy": POLICY.replace("warn = 40", "warn = 90")}, "must rise"),
        ({"policy": POLICY.replace("warn = 40\n", "")}, "exactly the steps"),
        ({"policy": POLICY.replace('ceiling = "warn"', 'ceiling = "shout"')}, "no step of the ladder"),
        ({"policy": POLICY.replace('group = "text", ceiling = "delay"', 'group = "txt"')}, "no cap"),
        ({"policy": POLICY.replace("TEXT_NOTICE", "TEXT_OTHER")}, "TEXT_NOTICE: missing"),
        ({"policy": POLICY.replace('"group:text"]', '"X"]')}, "neither symbol nor group"),
    ],
)
def test_a_mistake_is_refused_with_its_place(changed, says):
    with pytest.raises(RuleError) as error:
        build(**changed)
    assert says in str(error.value)
    assert "toml" in str(error.value) or "$.rule" in str(error.value)


def test_a_missing_file_is_named():
    with pytest.raises(RuleError, match=r"policy\.toml: missing"):
        load_rules({"text.toml": TEXT.encode(), "behaviour.toml": BEHAVIOUR.encode()})


def test_the_shipped_rules_prove_themselves():
    """Building runs every positive and near miss of every rule through the automaton."""
    snapshot = Snapshot.build(load_rules(), NumberIndex())
    assert snapshot.rule_count >= 25
    assert snapshot.automaton.size > 100
