"""How well campaigns survive edits, and whether different ham is ever taken for one campaign.

    python -m tests.benchmarks.campaign [FOLDER with the SMS data sets]

Edits: a share of a text's characters is substituted, deleted or doubled, each a third, by a seeded generator. A false
merge: two ham texts found to be one campaign of which less than half the characters are in common (longest matching
blocks of difflib, which knows nothing of trigrams).
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time  # noqa: TID251 - a benchmark reads the clock
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

from detectors.campaign.index import CampaignIndex
from detectors.campaign.sketch import SHORTEST, sketch
from detectors.normalise.text import normalise
from tests.benchmarks.sms_data import FOLDER, is_fraud, is_ham, texts

SHARES = (0.05, 0.10, 0.20)
REQUIRED = (1.0, 0.95, 0.80)
SAMPLE = 2_000


def edited(text: str, share: float, letters: str, rng: random.Random) -> str:
    """``text`` with ``share`` of its characters changed."""
    out = list(text)
    for at in rng.sample(range(len(out)), round(share * len(out))):
        out[at] = rng.choice((rng.choice(letters), "", out[at] * 2))
    return "".join(out)


def recall(folder: Path) -> Iterator[tuple[float, float]]:
    """(share of edits, part of the edited fraud texts that are found to be of the campaign of their original)."""
    rng = random.Random(7)
    every = sorted({n for t in texts(folder, is_fraud) if len(n := normalise(t)) >= 2 * SHORTEST})
    letters = "".join(sorted(set("".join(every))))
    chosen = rng.sample(every, SAMPLE)
    for share in SHARES:
        hit = 0
        for text in chosen:
            index = CampaignIndex()
            first = index.add(text, "+8613800000000", 0)
            hit += index.add(edited(text, share, letters, rng), "+8613800000001", 1) is first
        yield share, hit / len(chosen)


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


def markdown(folder: Path) -> tuple[str, bool]:
    """The section of the report, and whether the requirements are met."""
    found = list(recall(folder))
    count, merges, false = false_merges(folder)
    rows = "\n".join(f"| {s:.0%} edits | {r:.3f} | {q:.2f} |" for (s, r), q in zip(found, REQUIRED, strict=True))
    text = (
        f"| {SAMPLE:,} fraud texts | recall | required |\n|---|---|---|\n{rows}\n\n"
        f"Ham: {count:,} different texts, {merges:,} merged with a near-duplicate, **{len(false)} false merges**. "
        f"A sketch takes {microseconds(folder):.0f} us.\n"
    )
    return text, not false and all(r >= q for (_, r), q in zip(found, REQUIRED, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    text, passed = markdown(parser.parse_args().folder)
    print(text)  # noqa: T201
    sys.exit(not passed)


if __name__ == "__main__":
    main()
