"""The lock, on the small pack; and that the shipped pack is locked."""

from importlib import resources

import pytest

from detectors.model.errors import RuleError
from detectors.rulepack import load_rules, lock
from detectors.rulepack.keywords import read_forms
from tests.support.rules import TEXT, files

PACK = load_rules(files())
LOCK = lock.updated(PACK, lock.Lock(), {}, "2026-11-24")


def edited(old, new):
    assert old in TEXT
    return load_rules(files(text=TEXT.replace(old, new)))


def without_notice():
    small = files(text=TEXT[: TEXT.index('[[rule]]\nid = "TEXT_NOTICE"')])
    small["weights.toml"] = b"".join(
        line + b"\n" for line in small["weights.toml"].splitlines() if b"TEXT_NOTICE" not in line
    )
    return load_rules(small)


def test_the_shipped_pack_is_locked():
    shipped = lock.read(resources.files("detectors.rules").joinpath(lock.NAME).read_bytes())
    assert lock.problems(load_rules(), shipped) == []


def test_a_lock_survives_writing_and_reading():
    gone = lock.updated(without_notice(), LOCK, {"TEXT_NOTICE": 'replaced by "other" rules'}, "2026-11-24")
    assert lock.read(lock.write(gone)) == gone
    assert lock.read(lock.write(LOCK)) == LOCK


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"积分商城"', '"积分超市"', "still version 3; raise it"),
        ('en = "Anti-fraud notice"', 'en = "Anti-fraud notices"', "still version 1"),
        ("version = 3", "version = 2", "2 is below 3"),
        ("version = 3", "version = 4", "4, but rules.lock has 3"),
    ],
)
def test_what_the_lock_does_not_know_is_named(old, new, says):
    assert says in "\n".join(lock.problems(edited(old, new), LOCK))


def test_a_rule_under_another_id_is_a_new_rule_and_a_gone_one():
    found = "\n".join(lock.problems(edited('id = "TEXT_NOTICE"', 'id = "TEXT_NEWS"'), LOCK))
    assert "$.rules.TEXT_NOTICE: the rule is gone" in found
    assert "TEXT_NEWS]: is not in rules.lock" in found


def test_a_raised_version_may_change_the_rule():
    raised = load_rules(files(text=TEXT.replace("version = 3", "version = 4").replace('"积分商城"', '"积分超市"')))
    after = lock.updated(raised, LOCK, {}, "2026-11-24")
    assert after.rules["TEXT_BANK"].version == 4
    assert lock.problems(raised, after) == []


def test_a_silent_edit_is_not_entered():
    with pytest.raises(RuleError, match=r"text/small\.toml:3: .*still version 3"):
        lock.updated(edited('"积分商城"', '"积分超市"'), LOCK, {}, "2026-11-24")


def test_a_rule_goes_with_date_and_reason_and_its_id_is_never_used_again():
    with pytest.raises(RuleError, match="the rule is gone"):
        lock.updated(without_notice(), LOCK, {}, "2026-11-24")
    with pytest.raises(RuleError, match="say in a few words why"):
        lock.updated(without_notice(), LOCK, {"TEXT_NOTICE": ""}, "2026-11-24")
    after = lock.updated(without_notice(), LOCK, {"TEXT_NOTICE": "folded into others"}, "2026-11-24")
    assert after.retired["TEXT_NOTICE"].date == "2026-11-24"
    assert lock.problems(without_notice(), after) == []
    assert "was retired on 2026-11-24" in "\n".join(lock.problems(PACK, after))


def test_a_damaged_lock_is_refused():
    with pytest.raises(RuleError, match=r"rules\.lock: .*sha256"):
        lock.read(lock.write(LOCK).replace(b'sha256 = "', b'sha256 = "xyz', 1))
    with pytest.raises(RuleError, match=r"rules\.lock: "):
        lock.read(b"\xff")
    with pytest.raises(RuleError, match=r"forms\.json: .*lanjie rules expand --write"):
        read_forms(b'{"a":{"pinyin":["\xff"]}}')
