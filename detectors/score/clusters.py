"""Near-duplicates as clusters, and folds that keep them together: or a classifier is asked what it has been told.

Of each text the eight least hashes of its 5-grams (digits left out) are kept. Two texts that have three in common are
of one cluster, and so is whatever is linked through others; so are equal texts. Exact and linear: two sketches have
three hashes in common if and only if they have one of the 56 threes of hashes of either in common.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from heapq import nsmallest
from itertools import combinations
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

GRAM: Final = 5
KEPT: Final = 8
COMMON: Final = 3
_WIDTH: Final = 4  # bytes of a character
_DIGITS: Final = re.compile(r"\d+")


def clusters(texts: Sequence[str]) -> NDArray[np.int64]:
    """The cluster of each normalised text: the index of its first member."""
    forest = list(range(len(texts)))
    first: dict[str | tuple[int, ...], int] = {}
    for i, text in enumerate(texts):
        if (same := first.setdefault(text, i)) != i:
            forest[i] = same
            continue
        kept = _sketch(text)
        for key in combinations(kept, COMMON) if len(kept) >= COMMON else (tuple(kept),):
            _unite(forest, i, first.setdefault(key, i))
    return np.array([_root(forest, i) for i in range(len(texts))], dtype=np.int64)


def folds(groups: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """The fold of each row, 0 to ``count - 1``: rows of a group share one, and folds are as even as that allows.

    Groups are dealt out in an order that ``seed`` shuffles, large ones first, each to the emptiest fold.
    """
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(sizes.size)
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of, filled = np.zeros(sizes.size, dtype=np.int64), [0] * count
    for group, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
        fold_of[group] = fold = min(range(count), key=filled.__getitem__)
        filled[fold] += size
    return fold_of[group_of]


def _sketch(text: str) -> list[int]:
    data = _DIGITS.sub("", text).encode("utf-32-le", "surrogatepass")
    last = max(_WIDTH, len(data) - (GRAM - 1) * _WIDTH)
    return sorted(nsmallest(KEPT, {crc32(data[i : i + GRAM * _WIDTH]) for i in range(0, last, _WIDTH)}))


def _root(forest: list[int], i: int) -> int:
    while forest[i] != i:
        forest[i] = i = forest[forest[i]]
    return i


def _unite(forest: list[int], one: int, other: int) -> None:
    """The lower index leads."""
    low, high = sorted((_root(forest, one), _root(forest, other)))
    forest[high] = low
