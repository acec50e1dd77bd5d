"""Raw signalled numbers to canonical ones (E.164, ITU-T E.164; Chinese service codes kept national).

A strict fast path takes the forms that make up nearly all traffic (0.3 us); everything else goes through
libphonenumber behind a cache. The raw form stays in the event.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import phonenumbers

from detectors.model.numbers import Canonical
from detectors.normalise.key import Keys, key, keys_of_cn

HOME = "CN"
_COUNTRY = r"(?:\+?86|0086)?"
_AREA = r"(?:10|2\d|[3-9]\d{2})"
# Area code + emergency code reaches the emergency desk of another city: +86 731 110, 0731110, 10 110.
_EMERGENCY = re.compile(rf"{_COUNTRY}(?:0?{_AREA})?(110|119|120|122)")
# Codes that exist only in the national network: 1xx/1xxxx services, 95/96 short codes, 106x SMS ports. The five-digit
# ones are also dialled behind an area code (0731 12345): no subscriber number is that short.
_SERVICE = re.compile(rf"{_COUNTRY}(1[0-2]\d{{1,3}}|9[56]\d{{3,6}})")
# After a country code 10 6xxx xxxx is no port, but a telephone in Beijing.
_PORT = re.compile(r"(?:(?:\+?86|0086)(?!106\d{7}\Z))?(106\d{2,18})")
_FAR_SERVICE = re.compile(rf"(?:(?:\+86|0086)0?|0){_AREA}(1[02]\d{{3}}|9[56]\d{{3}})")
# Dialled without its area code: no E.164 number can be made of it.
_LOCAL = re.compile(r"([2-9]\d{6,7})")
_NATIONAL = (_EMERGENCY, _SERVICE, _PORT, _FAR_SERVICE, _LOCAL)
_MOBILE_0086 = re.compile(r"00861[3-9][0-9]{9}")
_COLUMNS = np.arange(11)
_PLUS_86 = np.frombuffer(b"+86", dtype=np.uint8) - ord("0")
_PUNCTUATION = str.maketrans("", "", " -().\u00a0\u2011\u2013/")


@lru_cache(maxsize=1 << 16)
def _slow(raw: str, home: str) -> Canonical:
    # NFKC: full-width digits are dialled all the same. A URI scheme comes from SIP signalling (RFC 3966).
    digits = unicodedata.normalize("NFKC", raw).translate(_PUNCTUATION).lower().removeprefix("tel:").rstrip("#")
    if not (digits.removeprefix("+").isascii() and digits.removeprefix("+").isdigit()):
        return ""
    if home == HOME and (national := _national(digits)):
        return national
    if len(digits) <= 6 and digits[0] != "+":
        return digits  # a short code of another plan
    try:
        number = phonenumbers.parse(digits, home)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(number):
        return ""
    found = f"+{number.country_code}{phonenumbers.national_significant_number(number)}"
    # Again, as libphonenumber may have made out an area code (10 95000 is +86 10 95000) or left zeros (+86 013...).
    return found if found == digits else canonical(found, home)


def _national(digits: str) -> str | None:
    match = next(filter(None, (form.fullmatch(digits) for form in _NATIONAL)), None)
    return match[1] if match else None


def canonicals(raws: Sequence[str], home: str = HOME) -> tuple[list[Canonical], Keys]:
    """``canonical`` of many numbers, and their keys (``normalise.key``): of Chinese mobiles, nearly all, at once."""
    lengths = np.fromiter(map(len, raws), dtype=np.int64, count=len(raws))
    data = np.frombuffer("".join(raws).encode("ascii", "replace"), dtype=np.uint8) - ord("0")
    starts = np.cumsum(lengths) - lengths
    prefixed = np.flatnonzero(lengths == _PLUS_86.size + _COLUMNS.size)
    prefixed = prefixed[(data[starts[prefixed][:, None] + _COLUMNS[: _PLUS_86.size]] == _PLUS_86).all(axis=1)]
    starts[prefixed] += _PLUS_86.size
    maybe = np.concatenate((np.flatnonzero(lengths == _COLUMNS.size), prefixed)) if home == HOME else prefixed
    digits = data[starts[maybe][:, None] + _COLUMNS]
    is_mobile = (digits <= 9).all(axis=1) & (digits[:, 0] == 1) & (digits[:, 1] >= 3)
    mobiles = maybe[is_mobile]
    keys = np.zeros(len(raws), dtype=np.uint64)
    keys[mobiles] = keys_of_cn(digits[is_mobile])
    numbers = [raw if n > _COLUMNS.size else "+86" + raw for raw, n in zip(raws, lengths.tolist(), strict=True)]
    for i in np.flatnonzero(keys == 0).tolist():
        numbers[i] = canonical(raws[i], home)
        keys[i] = key(numbers[i])
    return numbers, keys


def canonical(raw: str, home: str = HOME) -> Canonical:
    """The canonical form of a number as signalled; ``""`` when it is withheld or no number at all.

    Args:
        raw: as it came: ``13800001234``, ``+86 138-0000-1234``, ``008613800001234``, ``110``, ``anonymous``.
        home: ISO 3166 region whose national forms are assumed.

    >>> canonical("0086 138 0000 1234"), canonical("10086"), canonical("anonymous")
    ('+8613800001234', '10086', '')
    """
    # isdigit() alone takes superscripts and other scripts' digits.
    if len(raw) == 14 and raw.startswith("+861") and raw[4] in "3456789" and raw.isascii() and raw[4:].isdigit():
        return raw
    if len(raw) == 11 and home == HOME and raw[0] == "1" and raw[1] in "3456789" and raw.isascii() and raw.isdigit():
        return "+86" + raw
    if len(raw) == 15 and home == HOME and _MOBILE_0086.fullmatch(raw):
        return "+" + raw[2:]
    return _slow(raw, home) if raw else ""
