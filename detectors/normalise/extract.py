"""Links, phone numbers, messenger ids and bank cards in message text, however they are written, with exact spans.

Cheap looks tell whether there can be any (most messages have none); then the text is read character for character
(full-width, circled and Chinese digits, other dots), so that positions stay those of the original.

Host names: RFC 1123, 2.1; domain suffixes: a list of those that messages use, as the public suffix list would make a
link of every "end.of sentence". Card numbers: ISO/IEC 7812-1 (length, Luhn, issuer). All patterns are bounded.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct

from detectors.normalise.phone import canonical

Kind = Literal["url", "phone", "messenger", "card"]


class Token(Struct, frozen=True):
    """Something in a message that a list can know.

    Attributes:
        value: look-up key: ``domain:bad.example``, ``+8613800001234``, ``qq:12345``, ``wechat:abc``, ``card:62...``.
        span: ``[start, end)`` in characters of the original text.
        hidden: written so that a plain search misses it.
    """

    kind: Kind
    value: str
    span: tuple[int, int]
    hidden: bool = False

    def look_up(self) -> tuple[str, ...]:
        """What to look up: the value, and for a host its parent domains too."""
        if self.kind != "url":
            return (self.value,)
        labels = self.value.removeprefix("domain:").split(".")
        return tuple("domain:" + ".".join(labels[i:]) for i in range(max(1, len(labels) - 1)))

    @property
    def is_short_link(self) -> bool:
        """Whether the host is a public link shortener: it hides where it leads."""
        return self.value.removeprefix("domain:").removeprefix("www.") in SHORTENERS

    def __repr__(self) -> str:  # a card or phone number is personal data
        return f"Token({self.kind}, {self.span}, hidden={self.hidden})"


SHORTENERS: Final = frozenset((
    "t.cn", "url.cn", "dwz.cn", "suo.im", "suo.nz", "mrw.so", "c7.gg", "dwz.mk", "sourl.cn", "u.nu", "t.ly",
    "bit.ly", "tinyurl.com", "goo.gl", "is.gd", "ow.ly", "cutt.ly", "rb.gy", "s.id", "tny.im", "t.co", "buff.ly",
    "lihi.cc", "rebrand.ly", "shorturl.at", "reurl.cc", "ppt.cc", "985.so", "3.cn", "m.tb.cn",
))  # fmt: skip
_SUFFIXES: Final = (
    "com|cn|net|org|top|xyz|vip|cc|info|club|shop|site|online|icu|tk|ml|ga|cf|gq|me|io|co|app|link|live|work|tech|pro|biz"
    "|ltd|fun|store|wang|ren|win|bid|loan|mobi|asia|tv|us|uk|hk|tw|kr|jp|ru|in|eu|ly|gl|gd|im|so|la|pw|ws|nu|gg|id|space"
    "|website|example|test|gov|edu|cyou|buzz|today|life|world|group|cloud|host|press|red|kim|men|party|date|trade|xin|ink"
)
# Cheap looks. The first is at the normalised text, which has no separators and plain digits. `Texts.with_tokens` does
# the same for a whole batch.
NUMERALS: Final = "0123456789一二三四五六七八九零〇幺"
RUN: Final = 7  #: numerals in a row that may be a number
DOTS: Final = ".．。·点])）】"
LETTERS: Final = "".join(chr(start + i) for start in map(ord, "AaＡａ") for i in range(26))
NAMES: Final = ("微信", "qq", "vx", "薇信", "威信", "wx", "加v", "tme")
_NUMBER = re.compile(rf"[{NUMERALS}]{{{RUN}}}")
_HOST = re.compile(rf"[{re.escape(DOTS)}] ?[{LETTERS}]|[:：][/／]| dot ")
_DIGITS = {
    **{ord(c): str(i % 10) for i, c in enumerate("〇一二三四五六七八九零壹贰叁肆伍陆柒捌玖")},
    **{ord(c): str(i) for i, c in enumerate("零壹貳參肆伍陸柒捌玖")},
    ord("幺"): "1", ord("两"): "2",
}  # fmt: skip
_DOT = r"(?:[ ]{0,2}[.·][ ]{0,2}|[ ]?[\[(][ ]?(?:\.|dot|点)[ ]?[\])][ ]?|点)"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_URL = re.compile(
    rf"(?P<scheme>h[tx]{{2}}ps?[ ]?:[ ]?/{{1,2}}[ ]?)?(?<![a-z0-9@-])"
    rf"(?P<host>{_LABEL}(?:{_DOT}{_LABEL}){{0,5}}{_DOT}(?:{_SUFFIXES}))(?![a-z0-9-])"
)
_SUFFIX = re.compile(rf"{_DOT}(?:{_SUFFIXES})(?![a-z0-9-])")  # how every link ends: a third of the price to look for
_PHONE = re.compile(
    r"(?<![0-9a-z])(?:\+?86[- ]?|0086[- ]?)?1[ -]?[3-9](?:[ .-]?[0-9]){9}(?![0-9])"
    r"|(?<![0-9a-z.])0[0-9]{2,3}[ -]?[2-9][0-9]{2,3}[ -]?[0-9]{4}(?![0-9])"
    r"|(?<![0-9a-z])[48]00[ -]?[0-9]{3}[ -]?[0-9]{4}(?![0-9])"
    r"|(?<![0-9a-z])\+[1-9][0-9]{0,2}(?:[ -]?[0-9]){6,12}(?![0-9])"
)
_CARD = re.compile(r"(?<![0-9a-z])[2-6][0-9]{3}(?:[ -]?[0-9]{4}){2}(?:[ -]?[0-9]){1,7}(?![0-9a-z])")
_ISSUER = re.compile(r"62|4|5[1-5]|2[2-7]|35|3[47]|60|9558")
_GAP = r"(?:号码?|群|名|是|加|添|id|[ :,\"“”'()~-]){0,5}"
_NO_HOST = rf"(?![a-z0-9]|[a-z0-9-]{{0,62}}+{_DOT}(?:{_SUFFIXES})(?![a-z0-9-]))"  # vx12345.com is a link
_MESSENGER = re.compile(
    rf"(?:[微薇威徽][信芯新]?|wechat|weixin|[vw]x|[vw]信|加v){_GAP}(?P<wechat>[a-z][a-z0-9_-]{{5,19}}+|[0-9]{{5,11}}+){_NO_HOST}"
    rf"|(?:qq|扣扣|企鹅|[q扣]群){_GAP}(?P<qq>[1-9][0-9]{{4,10}})(?![0-9])"
    r"|(?:t\.me/|telegram[ :]{0,2}@?|电报[ :]{0,2}@?|飞机[ :]{0,2}@)(?P<telegram>[a-z][a-z0-9_]{4,31})"
    r"|(?:wa\.me/|whatsapp[ :]{0,2})\+?(?P<whatsapp>[1-9][0-9]{6,14})"
)


class _Table(dict[int, str]):
    """One character to one: positions stay."""

    def __missing__(self, codepoint: int) -> str:
        char = chr(codepoint)
        plain = _DIGITS.get(codepoint) or unicodedata.normalize("NFKC", char).lower()
        if (digit := unicodedata.digit(char, None)) is not None:
            plain = str(digit)
        if char in "。｡．﹒•・⋅∙‧":
            plain = "."
        self[codepoint] = found = plain if len(plain) == 1 else char
        return found


_TABLE = _Table()


def _looks(text: str, n: str) -> tuple[bool, bool, bool]:
    return bool(_NUMBER.search(n)), bool(_HOST.search(text)), any(name in n for name in NAMES)


def extract(text: str, normalised: str) -> tuple[Token, ...]:
    """The tokens of a message, in order; no two overlap. ``normalised`` is its matching form."""
    number, host, name = _looks(text, normalised)
    if not (number or host or name):
        return ()
    plain = text.translate(_TABLE)
    found: list[Token] = []
    # In order of precedence: what is a card is no phone number, what is a messenger's id neither.
    for finder in (_messengers,) * bool(name) + (_cards, _phones) * bool(number) + (_urls,) * bool(host):
        found += [t for t in finder(text, plain) if all(_apart(t.span, f.span) for f in found)]
    return tuple(sorted(found, key=lambda token: token.span))


def _messengers(text: str, plain: str) -> Iterator[Token]:
    for match in _MESSENGER.finditer(plain):
        kind = match.lastgroup or ""
        yield Token("messenger", f"{kind}:{match[kind]}", match.span(kind), _differs(text, match, kind))


def _cards(text: str, plain: str) -> Iterator[Token]:
    for match in _CARD.finditer(plain):
        digits = re.sub(r"[ -]", "", match[0])
        if is_card(digits):
            yield Token("card", f"card:{digits}", match.span(), _differs(text, match))


def _urls(text: str, plain: str) -> Iterator[Token]:
    if not _SUFFIX.search(plain):
        return
    for match in _URL.finditer(plain):
        host = re.sub(_DOT, ".", match["host"]).strip(" .")
        hidden = host != match["host"] or _differs(text, match) or "x" in (match["scheme"] or "")
        yield Token("url", f"domain:{host}", match.span(), hidden)


def _phones(text: str, plain: str) -> Iterator[Token]:
    for match in _PHONE.finditer(plain):
        number = canonical(match[0].replace(".", ""))
        if number.startswith("+"):
            yield Token("phone", number, match.span(), _differs(text, match) or "." in match[0])


def _apart(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[1] <= other[0] or other[1] <= one[0]


def _differs(text: str, match: re.Match[str], group: str | int = 0) -> bool:
    return text[match.start(group) : match.end(group)].lower() != match[group]


def is_card(digits: str) -> bool:
    """Whether digits can be a payment card: a known issuer's range and the Luhn check (ISO/IEC 7812-1, annex B)."""
    if not 13 <= len(digits) <= 19 or not _ISSUER.match(digits):
        return False
    total = 0
    for i, digit in enumerate(map(int, reversed(digits))):
        doubled = digit * 2 if i % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0
