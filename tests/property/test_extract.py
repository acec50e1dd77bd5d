"""Tokens put into generated text are found again; on any text nothing is raised and spans stay inside."""

import re
from itertools import pairwise
from time import process_time  # noqa: TID251 - it compares times

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.normalise.extract import extract, is_card
from detectors.normalise.text import normalise

# No digits, Latin letters or words that would join a token or name a messenger.
filler = st.text(st.sampled_from("您好请尽快办理来电咨询详情谢谢，。！ "), max_size=12)
mobiles = st.from_regex(r"1[3-9]\d{9}", fullmatch=True).filter(str.isascii)
ways = st.sampled_from(
    [
        str,
        lambda s: s.translate(str.maketrans("0123456789", "０１２３４５６７８９")),
        lambda s: s.translate(str.maketrans("123456789", "①②③④⑤⑥⑦⑧⑨")),
        lambda s: s.translate(str.maketrans("0123456789", "零一二三四五六七八九")),
        lambda s: f"{s[:3]}-{s[3:7]}-{s[7:]}",
        " ".join,
    ]
)


def found(text):
    return extract(text, normalise(text))


@given(filler, mobiles, ways, filler)
def test_a_phone_number_is_found_however_it_is_written(before, mobile, way, after):
    text = f"{before}，{way(mobile)}，{after}"
    (token,) = found(text)
    start = len(before) + 1
    assert (token.kind, token.value, token.span) == ("phone", "+86" + mobile, (start, start + len(way(mobile))))
    assert token.hidden == (way(mobile) not in (mobile, f"{mobile[:3]}-{mobile[3:7]}-{mobile[7:]}", " ".join(mobile)))


@given(
    filler,
    st.from_regex(r"[a-z][a-z0-9]{1,8}", fullmatch=True),
    st.sampled_from(["com", "cn", "top", "xyz"]),
    st.sampled_from([".", "。", "．", " . ", "[.]", "(点)", "点", "·"]),
    filler,
)
@example("", "vx00000", "com", ".", "")
@example("", "wx12345-abc", "top", "点", "")
def test_a_host_is_found_however_its_dots_are_written(before, name, suffix, dot, after):
    text = f"{before}，{name}{dot}{suffix}，{after}"
    (token,) = found(text)
    assert (token.kind, token.value) == ("url", f"domain:{name}.{suffix}")
    assert text[slice(*token.span)] == f"{name}{dot}{suffix}"
    assert token.hidden == (dot != ".")


@given(
    filler,
    st.sampled_from(["微信", "加微信：", "薇信号 ", "VX:", "加V "]),
    st.from_regex(r"[a-z][a-z0-9_]{5,15}", fullmatch=True),
    filler,
)
def test_a_messenger_id_is_found(before, word, name, after):
    assert [t.value for t in found(f"{before}，{word}{name}，{after}")] == [f"wechat:{name}"]


def luhn(digits: str) -> bool:
    """As in the standard's annex: from the right, every second digit doubled, its digits added."""
    total = sum(int(d) for d in digits[-1::-2])
    return (total + sum(sum(map(int, str(2 * int(d)))) for d in digits[-2::-2])) % 10 == 0


@given(st.from_regex(r"(62|4\d|5[1-5])\d{10,17}", fullmatch=True).filter(str.isascii))
def test_a_card_is_told_by_luhn(digits):
    assert is_card(digits) == (luhn(digits) and 13 <= len(digits) <= 19)
    check = next(c for c in "0123456789" if luhn(digits[:-1] + c))
    card = digits[:-1] + check
    if len(card) >= 16:
        (token,) = found(f"请转账至{card}，收款人")
        assert (token.kind, token.value) == ("card", f"card:{card}")
        assert card not in repr(token)


@given(st.text(st.sampled_from("加微信qQvx.。·点hxtps:/0123456789一二三aA中 -[](@)") | st.characters(), max_size=60))
@settings(max_examples=500)
def test_any_text_gives_tokens_inside_it(text):
    tokens = found(text)
    for token in tokens:
        assert 0 <= token.span[0] < token.span[1] <= len(text)
    for one, other in pairwise(tokens):
        assert one.span[1] <= other.span[0]


@pytest.mark.parametrize(
    "text",
    ["9.5折优惠", "2026-11-24 13:00 开会", "验证码 123456，5分钟内有效", "订单号 20261124000012345", "回复TD退订",
     "e.g. this", "客服 95588", "短信来自 1069123456789012", "第3.14节", "价格3999.00元", "航班CA1352.准点"],
)  # fmt: skip
def test_what_is_none_is_not_taken(text):
    assert found(text) == ()


def test_a_host_is_looked_up_with_its_parents():
    (token,) = found("见 http://a.b.evil.top/x?y=1")
    assert token.look_up() == ("domain:a.b.evil.top", "domain:b.evil.top", "domain:evil.top")
    assert [t.is_short_link for t in found("t.cn/A6xyz dwz.cn/1 evil.top")] == [True, True, False]


@pytest.mark.parametrize("part", ["a.", "1 ", "a·b点", "微信:", "h t", "１", "wxwx", "+86", "[.]a", "a-"])
def test_the_work_grows_with_the_length_only(part):
    """Bounded patterns: the longest SMS there is, made to make them backtrack, ends. (A runaway one would not.)"""
    text = (part * 39_015)[:39_015]
    assert all(re.match(r"domain:|\+|wechat:|qq:|card:", token.value) for token in found(text))


@pytest.mark.parametrize("piece", ["wx-", "vx12345-", "wx12345", "qq1", "1-3", "a.com", "微信", "6 ", "http:/"])
def test_the_time_for_a_text_grows_with_its_length_and_not_with_its_square(piece):
    """A message may have 39,015 characters: one that takes seconds would stop a worker."""

    def seconds(count: int) -> float:
        text = piece * (count // len(piece))
        normalised, found = normalise(text), []
        for _ in range(5):
            started = process_time()
            extract(text, normalised)
            found.append(process_time() - started)
        return min(found)

    assert seconds(39_000) < 40 * seconds(3_900) + 0.01  # a square would be 100 times
