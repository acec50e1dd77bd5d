"""Disguised forms of keywords: which are made, that they are bounded, and that they are found where they stand."""

from __future__ import annotations

from collections import Counter

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.keywords import Automaton
from detectors.keywords.expand import LATIN, MAX_FORMS, expand
from detectors.normalise.batch import Texts
from detectors.normalise.extract import extract
from detectors.normalise.text import normalise
from detectors.rulepack import load_rules
from stream.cli import main

AUTOMATON = Automaton(load_rules())
PACK = AUTOMATON.pack
FORMS = [(k, kind, form) for k in PACK.keywords for kind, forms in PACK.forms[k.word].items() for form in forms]
han = st.characters(codec="gb2312", min_codepoint=0x4E00, max_codepoint=0x9FA5)


def kinds(word, **given_):
    found = {}
    for form in expand(word, **given_).forms:
        found.setdefault(form.kind, set()).add(form.pattern)
    return found


def test_every_kind_of_a_word_by_hand():
    found = kinds("贷款", aliases=["小贷贷"])
    assert found["pinyin"] == {"daikuan"}
    assert found["mixed"] == {"dai款", "贷kuan"}
    assert {"代贝款", "贝代款"} <= found["split"]  # 贷 is 代 over 贝
    assert "戴款" in found["sound_alike"]
    assert "贷窾" in found["martian"]  # the same sound, 款 under 穴
    assert "da1kuan" in found["digits"]
    assert found["alias"] == {"小贷贷"}
    assert "initials" not in found, "dk is too short to mean anything"
    assert kinds("四件套")["digits"] >= {"4件套", "s1j1antao"}
    assert "jwx" not in kinds("加微信").get("initials", set())
    assert kinds("兼职刷单")["initials"] == {"jzsd"}


def test_what_is_a_word_of_its_own_is_left_out_with_the_reason():
    expansion = expand("贷款")
    excluded = {form.pattern: reason for form, reason in expansion.excluded}
    assert "ordinary" in excluded["货款"]
    assert "货款" not in {form.pattern for form in expansion.forms}
    assert "戴款" not in {form.pattern for form in expand("贷款", never=["戴款"]).forms}
    assert set(kinds("贷款", kinds=["pinyin"])) == {"pinyin"}


@given(st.text(han, min_size=2, max_size=5))
@settings(max_examples=30)
def test_the_forms_of_any_word_are_bounded_distinct_and_normalised(word):
    forms = expand(word).forms
    assert all(count <= MAX_FORMS for count in Counter(form.kind for form in forms).values())
    assert len({form.pattern for form in forms}) == len(forms)
    assert all(normalise(form.pattern) == form.pattern != normalise(word) for form in forms)


@given(st.sampled_from(FORMS), st.sampled_from(["", " ", "*", "\u200b", "·"]), st.sampled_from(["", "您好,", "🎉"]))
@settings(max_examples=300)
def test_a_form_is_found_where_it_stands_however_it_is_spaced(chosen, between, before):
    keyword, kind, form = chosen
    text = before + between.join(form) + "!"
    batch = Texts([text])
    assert AUTOMATON.worth(*batch.haystack) == [0]
    found = AUTOMATON.match(text, batch.normalised[0]).evasions
    spans = [evasion.span for evasion in found]
    assert found, (keyword.word, kind)
    assert all(len(before) <= start < end < len(text) for start, end in spans)
    assert any(normalise(text[start:end]) in form for start, end in spans)


@pytest.mark.parametrize("text", ["ninja-daikuanx", "xdaikuan", "3daikuan5", "da1kuan7"])
def test_letters_within_a_word_are_no_disguise(text):
    assert "pinyin" in LATIN
    assert AUTOMATON.match(text, normalise(text)).evasions == []
    assert AUTOMATON.match("办 dai-kuan 吗", normalise("办 dai-kuan 吗")).evasions[0].keyword.word == "贷款"


def test_no_disguise_goes_over_the_end_of_a_sentence():
    assert AUTOMATON.match("我姓戴。款到发货", normalise("我姓戴。款到发货")).evasions == []
    assert AUTOMATON.match("我要戴款", normalise("我要戴款")).evasions


def test_a_disguised_word_counts_in_the_rules_as_the_word():
    plain = "【工商银行】您的积分即将过期,请登录 http://icbc.example/x 兑换现金"
    disguised = plain.replace("积分", "积fen")
    fired = [{rule.id for rule, _ in AUTOMATON.match(text, normalise(text)).rules} for text in (plain, disguised)]
    assert fired[0] == fired[1] != set()


def test_the_shipped_forms_are_those_that_the_keywords_give_today():
    for keyword in PACK.keywords:
        found = kinds(keyword.word, aliases=keyword.aliases, never=keyword.never)
        wanted = {kind: forms for kind, forms in found.items() if kind in (keyword.forms or found)}
        assert {kind: set(forms) for kind, forms in PACK.forms[keyword.word].items()} == wanted, keyword.word


def test_lanjie_rules_expand_lists_forms_and_what_is_left_out():
    result = CliRunner().invoke(main, ["rules", "expand", "贷款"])
    assert result.exit_code == 0, result.output
    assert "pinyin (1): daikuan" in result.output
    assert "货款: ordinary" in result.output


@pytest.mark.parametrize(
    ("plain", "disguised", "rule"),
    [
        ("套现,13800001234", "tao现,13800001234", "TEXT_CASH_OUT"),
        ("黑户,贷款,13800001234", "hei户,dai款,13800001234", "TEXT_LOAN_NO_CREDIT_CHECK"),
        ("葡京,下注,http://abc.com/", "pu京,xia注,http://abc.com/", "TEXT_GAMBLING_INVITE"),
    ],
)
def test_a_rule_with_a_token_fires_on_disguised_words_too(plain, disguised, rule):
    for text in (plain, disguised):
        batch = Texts([text])
        tokens = extract(text, batch.normalised[0])
        assert AUTOMATON.worth(*batch.haystack, {0: tokens}) == [0]
        assert rule in {each.id for each, _ in AUTOMATON.match(text, batch.normalised[0], tokens).rules}


@pytest.mark.parametrize("word", ["vip", "123", "あい", "微信vip", "VIP微信", "贷款a", "a"])
def test_any_word_can_be_expanded(word):
    result = CliRunner().invoke(main, ["rules", "expand", word])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{word}: ")
