"""A fingerprint that survives small edits: the least hashes of a text's trigrams (bottom-k, Broder 1997).

    text    您尾号DIGIT的积分将过期 ...       trigrams   您尾号 尾号的 号的积 ...       hashes, the 8 least kept

Two texts share a least hash with a chance equal to the part of trigrams they have in common. Digits are left out: they
rotate within a campaign. Measured (tests/benchmarks/campaign.py): recall 1.0 at 5, 10 and 20 % edits of the text that
began a campaign.
"""

from __future__ import annotations

import re
from heapq import nsmallest
from zlib import adler32, crc32

KEPT = 8
SHORTEST = 16  #: characters; below, trigrams are too few to tell texts apart: only equal ones are one
_DIGITS = re.compile(r"[0-9]+")

Sketch = frozenset[int]


def digest(normalised: str) -> int:
    """64 bits that equal texts share. Not for secrets: two checksums, 0.3 us."""
    data = normalised.encode()
    return crc32(data) << 32 | adler32(data)


def sketch(normalised: str) -> Sketch:
    """The fingerprint; empty for a text that is too short for one."""
    text = _DIGITS.sub("", normalised)
    if len(text) < SHORTEST:
        return frozenset()
    data = text.encode("utf-32-le")
    return frozenset(nsmallest(KEPT, {crc32(data[i : i + 12]) for i in range(0, len(data) - 8, 4)}))
