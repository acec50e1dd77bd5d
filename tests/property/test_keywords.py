import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.keywords import Automaton
from detectors.normalise.batch import Texts
from detectors.normalise.text import normalise
from detectors.rulepack import TextRule, load_rules
from tests.support.rules import files

PACK = load_rules(files())

# A small alphabet, so that terms overlap, nest and share prefixes; two scripts, so that bytes could misalign.
chars = st.sampled_from("贷款银行ab1")
terms = st.text(chars, min_size=2, max_size=4)
groups = st.lists(st.lists(terms, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3).map(tuple)
texts = st.text(st.sampled_from("贷款银行ab1 *貸Ａ"), max_size=30)


def build(all_groups):
    """A pack of rules without proofs: what proofs demand is not what is tested here."""
    rules = tuple(
        TextRule(f"TEXT_{i}", 1, "loan", "原因", "reason", "test", groups, positives=(), near_misses=())
        for i, groups in enumerate(all_groups)
    )
    return msgspec.structs.replace(PACK, text=rules, keywords=(), forms={})


@given(st.lists(groups, min_size=1, max_size=6), texts)
@settings(max_examples=400)
def test_equals_naive_scan(all_groups, text):
    pack = build(all_groups)
    folded = normalise(text)
    naive = [r for r in pack.text if all(any(normalise(t) in folded for t in group) for group in r.all)]
    assert [rule for rule, _ in Automaton(pack).match(text, folded).rules] == naive


@given(st.lists(groups, min_size=1, max_size=6), st.lists(texts, max_size=12))
def test_one_pass_over_many_texts_finds_those_that_match(all_groups, many):
    automaton, batch = Automaton(build(all_groups)), Texts(many)
    each = [i for i, text in enumerate(many) if automaton.match(text, normalise(text)).rules]
    assert automaton.worth(*batch.haystack) == each


@given(st.lists(groups, min_size=1, max_size=6), texts)
def test_span_is_a_term_of_the_rule_in_the_original(all_groups, text):
    for rule, (start, end) in Automaton(build(all_groups)).match(text, normalise(text)).rules:
        found = normalise(text[start:end])
        assert any(normalise(term) == found for group in rule.all for term in group)
