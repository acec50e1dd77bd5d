"""Canonical numbers, and how they are shown.

A canonical number is a string: ``+8613800001234`` (E.164) or, for codes that exist only inside the national
network (110, 10086, 95588, 1069...), the bare digits. ``""`` stands for a number that is withheld or unusable.
"""

from __future__ import annotations

Canonical = str


def mask(number: str) -> str:
    """Hide the subscriber part: keep the country and operator prefix and the last two digits.

    >>> mask("+8613800001234")
    '+86138*******34'
    >>> mask("10086")
    '10***'
    """
    if len(number) <= 8:
        return number[:2] + "*" * (len(number) - 2)
    return number[:6] + "*" * (len(number) - 8) + number[-2:]
