from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.keywords import Automaton
from detectors.normalise.text import normalise
from detectors.rulepack import TextRule

# A small alphabet, so that terms overlap, nest and share prefixes; two scripts, so that bytes could misalign.
chars = st.sampled_from("贷款银行ab1")
terms = st.text(chars, min_size=2, max_size=4)
groups = st.lists(st.lists(terms, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3).map(tuple)
texts = st.text(st.sampled_from("贷款银行ab1 *貸Ａ"), max_size=30)


def build(all_groups):
    """Rules without proofs: what proofs demand is not what is tested here."""
    return [
        TextRule(f"TEXT_{i}", 1, "loan", "原因", "reason", "test", groups, positives=(), near_misses=())
        for i, groups in enumerate(all_groups)
    ]


@given(st.lists(groups, min_size=1, max_size=6), texts)
@settings(max_examples=400)
def test_equals_naive_scan(all_groups, text):
    rules = build(all_groups)
    folded = normalise(text)
    naive = [r for r in rules if all(any(normalise(t) in folded for t in group) for group in r.all)]
    assert [rule for rule, _ in Automaton(rules).match(text, folded)] == naive


@given(st.lists(groups, min_size=1, max_size=6), texts)
def test_span_is_a_term_of_the_rule_in_the_original(all_groups, text):
    for rule, (start, end) in Automaton(build(all_groups)).match(text, normalise(text)):
        found = normalise(text[start:end])
        assert any(normalise(term) == found for group in rule.all for term in group)
