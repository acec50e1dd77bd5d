import re
import unicodedata

import opencc
from confusable_homoglyphs import confusables
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.normalise import extract
from detectors.normalise.batch import Texts
from detectors.normalise.text import OffsetMap, as_bytes, normalise

ODD = "贷款貸a\u200bＶ①㎏ﬁÅß ٣½*·.\ufe0f\U0001f600\u0301ǅİѴІРΑ🆅🇻❶エロ⼝工"
odd = st.text(st.sampled_from(ODD) | st.characters(exclude_categories=["Cs"]), max_size=40)


def alike(char: str) -> str:
    """What TR39 or a Unicode name says that an unusual character shows."""
    if char.isascii() or re.match("CJK UNIFIED", unicodedata.name(char, "")):
        return char
    if unicodedata.digit(char, None) is not None:
        return str(unicodedata.digit(char))
    if found := re.search(r"(?:NEGATIVE \w+|REGIONAL INDICATOR SYMBOL|TAG) .*LETTER (.)$", unicodedata.name(char, "")):
        return found[1]
    pairs = [pair["c"] for pair in confusables.confusables_data.get(char, [])]
    for wanted in ("[A-Za-z0-9]", "[\u4e00-\u9fff\u3400-\u4dbf〇\U00020000-\U000323af]"):
        for shown in pairs:
            if re.fullmatch(wanted, shown):
                return "I" if shown == "l" and char.isupper() else shown
    return char


def reference(text: str) -> str:
    """The same composition written slowly with the libraries, one character at a time."""
    simplify = opencc.OpenCC("t2s").convert
    out = []
    for char in text:
        before, now = None, char
        while now != before:
            before = now
            now = "".join(alike(c) for c in unicodedata.normalize("NFKC", now))
            now = simplify(now.casefold())
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


wild = st.text(st.sampled_from("\n\ud800 .点/:ａdot微信qvx0五12加v") | st.characters(), max_size=30)


@given(st.lists(odd | wild | st.just("a dot com"), max_size=10))
@settings(max_examples=300)
def test_many_at_once_are_as_each(texts):
    batch = Texts(texts)
    assert batch.normalised == [normalise(text) for text in texts]
    assert batch.with_tokens() == [i for i, t in enumerate(texts) if any(extract._looks(t, normalise(t)))]
    haystack, ends = batch.haystack
    assert haystack.split("\n") == [*(as_bytes(normalise(text)) for text in texts), ""]
    assert [i for i, char in enumerate(haystack) if char == "\n"] == ends


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


def test_look_alikes_read_as_what_they_show():
    written = ("VIP", "ＶＩＰ", "ѴІР", "🆅🅸🅿", "🇻🇮🇵", "ⓥⓘⓟ", "𝐕𝐈𝐏", "V\u00adI\u2060P")
    assert {normalise(text) for text in written} == {"vip"}
    assert {normalise(text) for text in ("工商", "エ商", "⼯商")} == {"工商"}
    assert {normalise(text) for text in ("138", "１３８", "①③⑧", "❶❸❽", "١٣٨", "1️⃣3️⃣8️⃣")} == {"138"}
    assert normalise("1l0Orn") == "1l0orn"  # digits and ASCII letters stay apart
