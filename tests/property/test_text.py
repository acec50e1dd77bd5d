import unicodedata

import opencc
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.normalise.text import OffsetMap, as_bytes, normalise

ODD = "贷款貸a\u200bＶ①㎏ﬁÅß ٣½*·.\ufe0f\U0001f600\u0301ǅİ"
odd = st.text(st.sampled_from(ODD) | st.characters(exclude_categories=["Cs"]), max_size=40)


def reference(text: str) -> str:
    """The same composition written slowly with the libraries, one character at a time."""
    simplify = opencc.OpenCC("t2s").convert
    out = []
    for char in text:
        before, now = None, char
        while now != before:
            before = now
            now = simplify(unicodedata.normalize("NFKC", now).casefold())
            now = "".join(c for c in now if unicodedata.category(c)[0] in "LN")
        out.append(now)
    return "".join(out)


@given(odd)
@settings(max_examples=100)
def test_equals_the_slow_reference(text):
    assert normalise(text) == reference(text)


@given(odd)
def test_idempotent(text):
    assert normalise(normalise(text)) == normalise(text)


@given(odd, st.data())
def test_span_covers_exactly_the_original_characters(text, data):
    """Any run of matching characters maps to a run of the original that normalises to at least that run."""
    folded = normalise(text)
    if not folded:
        return
    s = data.draw(st.integers(0, len(folded) - 1))
    e = data.draw(st.integers(s + 1, len(folded)))
    start, end = OffsetMap(text).span(len(as_bytes(folded[:s])), len(as_bytes(folded[:e])))
    assert 0 <= start < end <= len(text)
    assert folded[s:e] in normalise(text[start:end])
    # Tight: losing a character on either side loses a part of the match.
    assert len(normalise(text[start + 1 : end])) < len(normalise(text[start:end]))
    assert len(normalise(text[start : end - 1])) < len(normalise(text[start:end]))


def test_evasion_forms_read_the_same():
    assert {normalise(t) for t in ("贷款", "貸款", "贷　款", "贷*款", "贷\u200b款", "贷·款!", "\ufeff貸 款")} == {
        "贷款"
    }
