import pytest

from detectors.engine import Snapshot
from detectors.lists import NumberIndex
from detectors.model.errors import RuleError
from detectors.rulepack import load_rules
from tests.support.rules import BEHAVIOUR, POLICY, TEXT, WEIGHTS, files


def build(**changed):
    return Snapshot.build(load_rules(files(**changed)), NumberIndex())


def test_version_changes_with_any_byte():
    assert load_rules(files()).version != load_rules(files(text=TEXT + "# note\n")).version
    assert load_rules(files()).version.startswith("7-")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"text": TEXT.replace("version = 3", "version = 0")}, r"text/small\.toml:4: .*\$\.rule\[0\]\.version"),
        ({"text": TEXT.replace('class = "phishing"', 'class = "spam"')}, r"text/small\.toml:5: .*\$\.rule\[0\]\.class"),
        ({"text": TEXT.replace("TEXT_NOTICE", "TEXT_BANK")}, r"text/small\.toml:14: .*used twice"),
        ({"text": TEXT.replace('"积分"]]', '"的"]]')}, r"text/small\.toml:3: .*'的' is 1 characters"),
        ({"text": TEXT.replace('"积分商城"', '"建设银行积分"')}, r"text/small\.toml:3: .*near_misses: matched"),
        ({"text": TEXT.replace('"建设银行积分"', '"建设银行"')}, r"text/small\.toml:3: .*positives: not matched"),
        ({"text": TEXT.replace('near_misses = ["中心", "反诈"]', "")}, r"text/small\.toml:13: .*`near_misses`"),
        ({"text": TEXT.replace('en = "Anti-fraud notice"', 'en = "Anti-fraud notice')}, r"text/small\.toml:18: "),
        ({"behaviour": BEHAVIOUR.replace("threshold = 5", "threshold = 0")}, r"behaviour\.toml:8: .*threshold"),
        ({"behaviour": BEHAVIOUR.replace("threshold", "treshold")}, r"behaviour\.toml:4: .*unknown field `treshold`"),
        ({"policy": POLICY.replace("warn = 40", "warn = 90")}, r"policy\.toml: .*must rise"),
        ({"policy": POLICY.replace("warn = 40\n", "")}, r"policy\.toml: .*exactly the steps"),
        ({"policy": POLICY.replace('ceiling = "warn"', 'ceiling = "shout"')}, "no step of the ladder"),
        ({"policy": POLICY.replace('"group:text"]', '"X"]')}, "neither symbol nor group"),
        ({"weights": WEIGHTS.replace('group = "text", ceiling = "delay"', 'group = "txt"')}, "no cap"),
        ({"weights": WEIGHTS.replace("weight = 60", "weight = 600")}, r"weights\.toml:2: .*symbols"),
        ({"weights": WEIGHTS.replace("TEXT_NOTICE", "TEXT_OTHER")}, "TEXT_NOTICE: missing"),
        ({"weights": WEIGHTS.replace("TEXT_NOTICE", "LIST_GREY")}, r"weights\.toml: .*LIST_GREY: has a weight"),
    ],
)
def test_a_mistake_is_refused_with_its_place(changed, says):
    with pytest.raises(RuleError, match=says):
        build(**changed)


CARDS = (
    'high_risk_networks = ["456"]\n[[rule]]\nid = "CARD_MANY"\nversion = 1\n'
    'measure = "identity_cards"\nthreshold = 5\nzh = "多卡"\nen = "Many cards"\n'
)
CARD_POLICY = POLICY.replace("[symbols]\n", '[symbols]\nCARD_MANY = {weight = 9, group = "text"}\n')


@pytest.mark.parametrize(
    ("cards", "policy", "says"),
    [
        (CARDS.replace('"456"', '"45"'), CARD_POLICY, r"cards\.toml:1: .*\$\.high_risk_networks"),
        (CARDS.replace("identity_cards", "attempts"), CARD_POLICY, r"cards\.toml:5: .*\$\.rule\[0\]\.measure"),
        (CARDS.replace("CARD_MANY", "CALL_BURST"), CARD_POLICY, "CALL_BURST.*used twice"),
        (CARDS, POLICY, r"cards\.toml:3: \$\.symbols\.CARD_MANY: missing"),
    ],
)
def test_a_mistake_about_sim_cards_is_refused_with_its_place(cards, policy, says):
    with pytest.raises(RuleError, match=says):
        Snapshot.build(load_rules(files(policy=policy) | {"cards.toml": cards.encode()}), NumberIndex())


def test_rules_about_sim_cards_may_be_missing():
    assert load_rules(files()).cards == ()
    pack = load_rules(files(policy=CARD_POLICY) | {"cards.toml": CARDS.encode()})
    assert ([rule.id for rule in pack.cards], pack.high_risk_networks) == (["CARD_MANY"], ("456",))
    assert "CARD_MANY" in {rule.id for rule in pack.rules}


def test_a_missing_file_is_named():
    with pytest.raises(RuleError, match=r"policy\.toml: missing"):
        load_rules({name: data for name, data in files().items() if name != "policy.toml"})
    with pytest.raises(RuleError, match=r"text/\*\.toml: missing"):
        load_rules({name: data for name, data in files().items() if not name.startswith("text/")})


def test_the_shipped_rules_prove_themselves():
    """Building runs every positive and near miss of every rule through the automaton."""
    snapshot = Snapshot.build(load_rules(), NumberIndex())
    assert snapshot.rule_count >= 25
    assert snapshot.automaton.size > 100
