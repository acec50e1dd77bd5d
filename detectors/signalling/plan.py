"""What the numbering plan says about a canonical number (ITU-T E.164; China: +86).

Chinese national numbers: a mobile has 11 digits and begins with 13 to 19; a fixed number is an area code of two digits
(10, 2x) or three and a local number of seven or eight: 10 or 11 digits; 400 and 800 numbers have 10.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

import phonenumbers

from detectors.model.numbers import Canonical

HOME: Final = "+86"
FULL: Final = 14  #: characters of a Chinese mobile, +86 and 11 digits; no canonical number of this length is faulty
HOME_NETWORKS: Final = ("460", "461")  #: mobile country codes of China (ITU-T E.212)
_HOME_LENGTHS: Final = (10, 11)
_MOBILE: Final = 11
_DIGITS = re.compile(r"\+?\d+")
_PUNCTUATION = str.maketrans("", "", " -().\u00a0\u2011\u2013/")
# Numbers of things, with 13 digits, which libphonenumber does not know; they make no calls but are no fault either.
_OF_THINGS = re.compile(r"(?:\+?86|0086)?14[0-4]\d{10}")
_SERVICE = re.compile(r"106\d+|1[0-2]\d{1,3}|9[56]\d{3,6}")
_BEIJING = re.compile(r"106\d{7}")  # a port of ten digits, or +86 10 6xxxxxxx: `canonical` cannot tell, so no port here
_LOCAL = re.compile(r"[2-9]\d{6,7}")


def is_mobile(number: Canonical) -> bool:
    """A Chinese mobile of full length."""
    return len(number) == FULL and number.startswith("+861") and number[4] in "3456789"


def is_service(number: Canonical) -> bool:
    """A code of the national network: 110, 10086, 12345, 95588, 1069..."""
    return _SERVICE.fullmatch(number) is not None and _BEIJING.fullmatch(number) is None


def is_domestic(number: Canonical) -> bool:
    """A number that a callee in China takes for a Chinese one. Not a short code that may be of any plan."""
    return number.startswith(HOME) or any(form.fullmatch(number) for form in (_SERVICE, _LOCAL))


def is_ordinary(number: Canonical) -> bool:
    """A mobile or a number abroad. A fixed line at home may be the trunk of whoever owns a service number."""
    return is_mobile(number) or (number.startswith("+") and not number.startswith(HOME))


def is_one_line(one: Canonical, other: Canonical) -> bool:
    """The same number, or the same but for its area code: 66108608 is +86 10 66108608."""
    short, long = sorted((one, other), key=len)
    if short == long:
        return True
    area = len(long) - len(HOME) - len(short)
    return area in (2, 3) and long.startswith(HOME) and long.endswith(short) and _LOCAL.fullmatch(short) is not None


def fault(raw: str, number: Canonical) -> str:
    """Why a number cannot be one of the plan; ``""`` where it can, or where none is shown.

    Args:
        raw: as signalled. Names ("anonymous", RFC 3323) are no numbers and therefore no wrong ones.
        number: its canonical form.

    >>> fault("138000012", "+86138000012"), fault("anonymous", ""), fault("0000000000", "")
    ('9 digits, a mobile has 11', '', 'no number of any plan')
    """
    if not number:
        text = unicodedata.normalize("NFKC", raw).translate(_PUNCTUATION).lower().removeprefix("tel:").rstrip("#")
        wrong = _DIGITS.fullmatch(text) and not _OF_THINGS.fullmatch(text)
        return "no number of any plan" if wrong else ""
    if number.startswith(HOME):
        digits = len(number) - len(HOME)
        if number[3:4] == "1" and number[4:5] >= "3":
            return "" if digits == _MOBILE else f"{digits} digits, a mobile has {_MOBILE}"
        return "" if digits in _HOME_LENGTHS else f"{digits} digits, a number has 10 or 11"
    if number[0] == "+":
        return "no area code" if _lacks_area(number) else ""
    return "no short number" if len(number) < 3 or number[0] == "0" else ""


@lru_cache(maxsize=1 << 14)
def _lacks_area(number: Canonical) -> bool:
    reason = phonenumbers.is_possible_number_with_reason(phonenumbers.parse(number))
    return bool(reason == phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY)
