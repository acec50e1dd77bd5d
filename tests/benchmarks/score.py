"""What the message score costs: microseconds a message, in batches as a worker's.

    python -m tests.benchmarks.score                                    # spam_ham_zh, in ../shared/data/sms
    python -m tests.benchmarks.score --texts ham.jsonl.xz --model MODEL # {"text": ...} a line; weights of your own

Without ``--model`` weights are random: a look-up costs the same. Texts are normalised beforehand, as a batch has them.
"""

from __future__ import annotations

import argparse
import statistics
import time  # noqa: TID251 - a benchmark reads the clock
from pathlib import Path

import numpy as np

from detectors.contract import Batch
from detectors.model.events import SmsEvent
from detectors.normalise.text import normalise
from detectors.score import MessageScore, Parameters, ScoreModel
from detectors.score.features import BITS
from detectors.score.model import LIMIT
from stream.model_files import read_model
from tests.benchmarks.stages import BATCH, read_texts

TEXTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "sms" / "spam_ham_zh.jsonl.xz"
LIMIT_US = 15.0
ROUNDS = 7


def random_model() -> ScoreModel:
    """Finds nothing: its threshold is out of reach."""
    weights = np.random.default_rng(0).integers(-LIMIT, LIMIT + 1, 1 << BITS).astype(np.int16)
    return ScoreModel(weights, Parameters(scale=1e-6, bias=-9.0, threshold=1.0))


def measure(model: ScoreModel, texts: list[str]) -> dict[str, float]:
    """Median microseconds a message: the model alone, and the detector."""
    detector = MessageScore(model)
    chunks = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    normalised = [[normalise(text) for text in chunk] for chunk in chunks]
    batches = [
        Batch([SmsEvent(id="s", time=0, a_number="13800000000", b_number="13900000000", text=text) for text in chunk])
        for chunk in chunks
    ]
    runs: dict[str, list[float]] = {"model": [], "detector": []}
    for _ in range(ROUNDS):
        for name, work, work_on in (("model", model.scores, normalised), ("detector", detector.inspect, batches)):
            started = time.perf_counter()
            for each in work_on:
                work(each)
            runs[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) / len(texts) * 1e6 for name, times in runs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, default=TEXTS, metavar="FILE")
    parser.add_argument("--model", type=Path, metavar="FILE")
    args = parser.parse_args()
    texts = read_texts(args.texts)
    found = measure(read_model(args.model) if args.model else random_model(), texts)
    print(  # noqa: T201
        f"{len(texts):,} messages of {statistics.mean(map(len, texts)):.0f} characters, batches of {BATCH}: "
        + ", ".join(f"{name} {cost:.2f} us" for name, cost in found.items())
        + f" a message (at most {LIMIT_US:g})"
    )


if __name__ == "__main__":
    main()
