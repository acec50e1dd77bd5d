"""How well campaigns survive edits, and whether different ham is ever taken for one campaign.

    python -m tests.benchmarks.campaign [--data FOLDER]

Edits: a share of a text's characters is substituted, deleted or doubled, each a third, by a seeded generator. A false
merge: two ham texts found to be one campaign of which less than half the characters are in common (longest matching
blocks of difflib, which knows nothing of trigrams).
"""

from __future__ import annotations

import random
import statistics
import time  # noqa: TID251 - a benchmark reads the clock
from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

from detectors.campaign.index import CampaignIndex
from detectors.campaign.sketch import SHORTEST, sketch
from detectors.normalise.text import normalise
from tests.benchmarks.report import Finding, Section, run, table
from tests.benchmarks.sms_data import DATA, is_fraud, is_ham, texts

SHARES = (0.05, 0.10, 0.20)
REQUIRED = (1.0, 0.95, 0.80)
SAMPLE = 2_000


def edited(text: str, share: float, letters: str, rng: random.Random) -> str:
    """``text`` with ``share`` of its characters changed."""
    out = list(text)
    for at in rng.sample(range(len(out)), round(share * len(out))):
        out[at] = rng.choice((rng.choice(letters), "", out[at] * 2))
    return "".join(out)


class Found(NamedTuple):
    """Of edited texts, how many are found to be of the campaign of their original."""

    share: float  #: of characters edited
    first: int  #: texts that began their campaign
    first_found: int
    joined: int  #: texts that had joined another's campaign: edits upon edits
    joined_found: int


def recall(folder: Path) -> Iterator[Found]:
    """By share of edits. The index holds all the originals."""
    rng = random.Random(7)
    every = sorted({n for t in texts(folder, is_fraud) if len(n := normalise(t)) >= 2 * SHORTEST})
    letters = "".join(sorted(set("".join(every))))
    chosen = rng.sample(every, min(SAMPLE, len(every)))
    for share in SHARES:
        index, seen = CampaignIndex(), Counter[tuple[bool, bool]]()
        campaigns = [index.add(text, "+8613800000000", 0) for text in chosen]
        for text, campaign in zip(chosen, campaigns, strict=True):
            hit = index.add(edited(text, share, letters, rng), "+8613800000001", 1) is campaign
            seen[campaign.wordings[0] == text, hit] += 1
        yield Found(
            share, seen[True, True] + seen[True, False], seen[True, True], seen[False, True] + seen[False, False],
            seen[False, True],
        )  # fmt: skip


def false_merges(folder: Path) -> tuple[int, int, list[tuple[str, str]]]:
    """(ham texts, merges of different texts, those of them that are false)."""
    index, originals, merges, false = CampaignIndex(max_campaigns=1 << 30), {}, 0, []
    every = sorted({n for t in texts(folder, is_ham) if (n := normalise(t))})
    for text in every:
        campaign = index.add(text, "+8613800000000", 0)
        other = originals.setdefault(campaign.id, text)
        if other is not text:
            merges += 1
            blocks = SequenceMatcher(None, other, text, autojunk=False).get_matching_blocks()
            if sum(block.size for block in blocks) < 0.5 * max(len(other), len(text)):
                false.append((other, text))
    return len(every), merges, false


def microseconds(folder: Path) -> float:
    """Of one sketch, the median of five rounds."""
    sample = [normalise(text) for text in texts(folder, is_fraud)][:SAMPLE]
    rounds = []
    for _ in range(5):
        started = time.perf_counter()
        for text in sample:
            sketch(text)
        rounds.append((time.perf_counter() - started) / len(sample) * 1e6)
    return statistics.median(rounds)


def section(data: Path) -> Section:
    """Recall by share of edits, and false merges."""
    folder = data / "sms"
    found = list(zip(recall(folder), REQUIRED, strict=True))
    count, merges, false = false_merges(folder)
    rows = (
        (f"{f.share:.0%}", f"{f.first:,}", f"{f.first_found / f.first:.4f}", f"{least:.2f}", f"{f.joined:,}",
         f"{f.joined_found / f.joined:.4f}")
        for f, least in found
    )  # fmt: skip
    heads = (">edits", ">first texts", ">recall", ">required", ">texts that had joined", ">recall")
    text = (
        f"{SAMPLE:,} different fraud texts are put into one index. Then a share of the characters of each is "
        "substituted, deleted or doubled, a third each, by a seeded generator; found is what the index takes for the "
        "campaign of its original. Edits are counted from the first text of a campaign; of a text that had itself "
        "joined another's campaign they come on top of up to a quarter of other edits, which is shown beside it. A "
        "false merge: two ham texts in one campaign with less than half of their characters in common (difflib's "
        "matching blocks).\n\n"
        f"{table(heads, rows)}\n\nHam: {count:,} different texts, {merges:,} merged with a near-duplicate, "
        f"{len(false)} false merges. A sketch takes {microseconds(folder):.0f} us.\n"
    )
    findings = [
        Finding(
            f"Campaigns: recall at {f.share:.0%} edits >= {least:.2f}",
            f"{f.first_found / f.first:.4f} of {f.first:,}",
            f.first_found >= least * f.first,
        )
        for f, least in found
    ]
    merged = Finding("Campaigns: no false merge on the ham", f"{len(false)} among {count:,} texts", not false)
    return Section(text, (*findings, merged))


def markdown(data: Path = DATA) -> tuple[str, bool]:
    """The section of the report, and whether the requirements are met."""
    return section(data).markdown()


if __name__ == "__main__":
    run(__doc__, section)
